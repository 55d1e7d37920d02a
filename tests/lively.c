/* SPDX-License-Identifier: MIT */
#include "lively.h"

#include "os/clock.h"

static brg_value *lively_input(const char *how, int64_t ms, uint64_t since, brg_shared *seen)
{
    brg_builder *builder = NULL;
    brg_value *input = NULL;
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_map(builder);
    brg_builder_key(builder, "how");
    brg_builder_string(builder, how);
    brg_builder_key(builder, "ms");
    brg_builder_int(builder, ms);
    brg_builder_key(builder, "since");
    brg_builder_int(builder, (int64_t)since);
    brg_builder_key(builder, "seen");
    brg_builder_shared(builder, seen);
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &input, NULL), BRG_OK);
    brg_builder_destroy(builder);
    return input;
}

bool lively_lives(brg_pool *pool, const char *how, int64_t ms)
{
    brg_shared *seen = NULL;
    uint64_t since = brg__now_real(), longest = 0, last = 0;
    assert_int_equal(brg_shared_create(&seen, brg_shared_opts(.size_bytes = 64), NULL), BRG_OK);
    brg_shared_store64(seen, 8, since);
    brg_task *task = scenario_submit(pool, "lively", lively_input(how, ms, since, seen), NULL);
    brg_status status = scenario_result(task)->status;
    assert_int_equal(brg_shared_load64(seen, 0, &longest), BRG_OK);
    assert_int_equal(brg_shared_load64(seen, 8, &last), BRG_OK);
    assert_true(status == BRG_OK ||
                (status == BRG_TIMED_OUT && (longest >= LIVELY_BEAT || brg__now_real() - last >= LIVELY_BEAT)));
    brg_task_unref(task);
    brg_shared_unref(seen);
    return status == BRG_OK;
}
