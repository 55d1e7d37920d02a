/* SPDX-License-Identifier: MIT */
/*
 * A nested tree of 1000 leaves: built, taken in and checked as bytes of any origin are, then read leaf by leaf.
 * bench/peers/tree.mjs builds the same one. The leaves of a group: a string, a flag, a double, and integers.
 */
#include <stdio.h>

#include <brigade.h>

#include "harness.h"

#define VALUE_SECTIONS 10
#define VALUE_GROUPS 10
#define VALUE_LEAVES 10

static void value_check(brg_status status, const brg_error *error, const char *what)
{
    if (status != BRG_OK)
        bench_fail("%s: %s: %s", what, brg_status_text(status), error != NULL ? error->message : "");
}

static void value_build_group(brg_builder *builder, int64_t number)
{
    static const char *const keys[VALUE_LEAVES] = {"surname", "enabled", "average",  "byteSize",  "position",
                                                   "counted", "topEdge", "leftEdge", "rightEdge", "lowest"};
    brg_builder_map(builder);
    for (int64_t leaf = 0; leaf < VALUE_LEAVES; leaf++) {
        brg_builder_key(builder, keys[leaf]);
        if (leaf == 0)
            brg_builder_string(builder, "a name");
        else if (leaf == 1)
            brg_builder_bool(builder, true);
        else if (leaf == 2)
            brg_builder_double(builder, (double)number + 0.5);
        else
            brg_builder_int(builder, number * VALUE_LEAVES + leaf);
    }
    brg_builder_end(builder);
}

static brg_value *value_encode(brg_builder *builder)
{
    brg_error error;
    brg_value *value = NULL;
    brg_builder_list(builder);
    for (int64_t section = 0; section < VALUE_SECTIONS; section++) {
        brg_builder_map(builder);
        brg_builder_key(builder, "groups");
        brg_builder_list(builder);
        for (int64_t group = 0; group < VALUE_GROUPS; group++)
            value_build_group(builder, section * VALUE_GROUPS + group);
        brg_builder_end(builder);
        brg_builder_end(builder);
    }
    brg_builder_end(builder);
    value_check(brg_builder_finish(builder, &value, &error), &error, "brg_builder_finish");
    return value;
}

static int64_t value_read_leaf(brg_view leaf)
{
    int64_t number = 0;
    double real = 0;
    size_t size_bytes = 0;
    bool flag = false;
    switch (brg_view_type(leaf)) {
    case BRG_TYPE_STRING:
        return brg_view_string(leaf, &size_bytes) != NULL ? (int64_t)size_bytes : 0;
    case BRG_TYPE_BOOL:
        return brg_view_bool(leaf, &flag) == BRG_OK && flag;
    case BRG_TYPE_DOUBLE:
        return brg_view_double(leaf, &real) == BRG_OK ? (int64_t)real : 0;
    default:
        return brg_view_int(leaf, &number) == BRG_OK ? number : 0;
    }
}

/* The sum of a number from every leaf, each key read on the way. */
static int64_t value_read(brg_view node)
{
    int64_t sum = 0;
    brg_type type = brg_view_type(node);
    if (type != BRG_TYPE_LIST && type != BRG_TYPE_MAP)
        return value_read_leaf(node);
    size_t count = brg_view_count(node);
    for (size_t i = 0; i < count; i++) {
        if (type == BRG_TYPE_MAP && brg_view_key_at(node, i, NULL) == NULL)
            bench_fail("a key is missing");
        sum += value_read(brg_view_at(node, i));
    }
    return sum;
}

static void value_round(void *state)
{
    brg_error error;
    brg_value *received = NULL;
    brg_value *sent = value_encode(state);
    value_check(brg_value_from_bytes(&received, brg_value_data(sent), brg_value_size(sent), NULL, 0, &error), &error,
                "brg_value_from_bytes");
    /* strings 600, flags 100, doubles 0 + ... + 99, ints 10 n + 3 ... 10 n + 9 */
    if (value_read(brg_value_root(received)) != 600 + 100 + 4950 + 346500 + 4200)
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
    brg_value *value = value_encode(builder);
    fprintf(stderr, "%zu bytes\n", brg_value_size(value));
    brg_value_unref(value);
    brg_builder_destroy(builder);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"tree", value_tree}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
