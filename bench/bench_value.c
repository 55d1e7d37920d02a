/* SPDX-License-Identifier: MIT */
/* The tree of 1000 leaves: built, taken in and checked as bytes of any origin are, then read leaf by leaf. */
#include <stdio.h>

#include <brigade.h>

#include "harness.h"
#include "tree.h"

static void value_check(brg_status status, const brg_error *error, const char *what)
{
    if (status != BRG_OK)
        bench_fail("%s: %s: %s", what, brg_status_text(status), error != NULL ? error->message : "");
}

static void value_round(void *state)
{
    brg_error error;
    brg_value *received = NULL;
    brg_value *sent = bench_tree_encode(state);
    value_check(brg_value_from_bytes(&received, brg_value_data(sent), brg_value_size(sent), NULL, 0, &error), &error,
                "brg_value_from_bytes");
    if (bench_tree_read(brg_value_root(received)) != BENCH_TREE_SUM)
        bench_fail("the tree came back different");
    brg_value_unref(received);
    brg_value_unref(sent);
}

static void value_tree(int argc, char **argv)
{
    brg_error error;
    brg_builder *builder = NULL;
    (void)argc;
    (void)argv;
    value_check(brg_builder_create(&builder, &error), &error, "brg_builder_create");
    bench_round_trips("tree", value_round, builder);
    brg_value *value = bench_tree_encode(builder);
    fprintf(stderr, "%zu bytes\n", brg_value_size(value));
    brg_value_unref(value);
    brg_builder_destroy(builder);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"tree", value_tree}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
