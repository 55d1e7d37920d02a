/* SPDX-License-Identifier: MIT */
/* A task for each element of a list, in processes: many in a message, and one that crashes costs only itself. */
#include "gate.h"

#define COUNT 1000

/* Lines of text, two of which are bad. */
static brg_value *make_lines(void)
{
    brg_error error;
    brg_builder *builder = NULL;
    brg_value *lines = NULL;
    must(brg_builder_create(&builder, &error), &error);
    brg_builder_list(builder);
    for (int i = 0; i < COUNT; i++) {
        char line[32];
        snprintf(line, sizeof(line), "line=%d", i);
        brg_builder_string(builder, i == 300 ? "nonsense" : i == 600 ? "crash" : line);
    }
    brg_builder_end(builder);
    must(brg_builder_finish(builder, &lines, &error), &error);
    brg_builder_destroy(builder);
    return lines;
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    brg_value *lines = make_lines(), *numbers = NULL;
    size_t failures = 0;
    must(brg_pool_create(&pool, brg_pool_opts(.module = "./parsing.so", .isolation = BRG_ISOLATION_PROCESS), &error),
         &error);
    must(brg_map_values(pool, "parse", lines, &numbers,
                        brg_flow_opts(.errors = BRG_FLOW_COLLECT, .failures = &failures), &error),
         &error);
    brg_pool_destroy(pool);

    int64_t sum = 0, number = 0;
    for (size_t i = 0; i < brg_view_count(brg_value_root(numbers)); i++) {
        brg_view one = brg_view_at(brg_value_root(numbers), i);
        if (brg_view_error(one, &error) == BRG_OK)
            printf("line %zu: %s\n", i, error.status == BRG_FAILED ? error.message : brg_status_text(error.status));
        else if (brg_view_int(one, &number) == BRG_OK)
            sum += number;
    }
    printf("%zu failed, the others sum up to %lld\n", failures, (long long)sum);
    brg_value_unref(numbers);
    brg_value_unref(lines);
    return EXIT_SUCCESS;
}
