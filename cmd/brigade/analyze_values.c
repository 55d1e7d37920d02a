/* SPDX-License-Identifier: MIT */
/*
 * Where percentiles or distinct counts have many different values, most of the work is to put equal ones together. Lists
 * of them go back to the workers to be sorted; what is left here is to join sorted lists, in whatever order they come:
 * they are counts.
 */
#include <string.h>

#include "analyze_run.h"

static void values_done(const brg_result *result, void *user_data)
{
    analyze_run *run = user_data;
    size_t size;
    run->values_out--;
    if (run->ended)
        return;
    const char *entries = result->status == BRG_OK ? analyze_output(result->output, &size) : NULL;
    if (entries == NULL) {
        analyze_task_failed(run, "sorting values", result);
        return;
    }
    analyze_judge(run, size % sizeof(tally_entry) != 0
                           ? RESULT_FALSE
                           : analyze_result_add_run(&run->result, entries, size / sizeof(tally_entry)));
    if (!run->ended)
        analyze_submit_more(run); /* it ends the run where this was the last */
}

static brg_status values_build(brg_buffer **buffer, size_t count, brg_value **input, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status == BRG_OK) {
        brg_builder_map(builder);
        brg_builder_key(builder, "values");
        brg_builder_buffer(builder, buffer);
        brg_builder_key(builder, "count");
        brg_builder_uint(builder, count);
        brg_builder_end(builder);
        status = brg_builder_finish(builder, input, error);
    }
    brg_builder_destroy(builder);
    return status;
}

bool analyze_values_submit(const tally_entry *entries, size_t count, void *user_data)
{
    analyze_run *run = user_data;
    brg_error error = {.status = BRG_OK};
    brg_buffer *buffer = NULL;
    brg_value *input = NULL;
    brg_status status = brg_buffer_create(&buffer, count * sizeof(*entries), &error);
    if (status == BRG_OK) {
        memcpy(brg_buffer_data(buffer), entries, count * sizeof(*entries));
        status = values_build(&buffer, count, &input, &error);
    }
    if (status == BRG_OK)
        status = brg_pool_submit(run->pool, "values", input,
                                 brg_submit_opts(.done = values_done, .user_data = run, .error = &error), NULL);
    brg_buffer_unref(buffer);
    if (status == BRG_OK) {
        run->values_out++;
        return true;
    }
    brg_value_unref(input);
    return cli_complain("analyze", "%s", error.message);
}
