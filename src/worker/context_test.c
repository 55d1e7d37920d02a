/* SPDX-License-Identifier: MIT */
/* The worker's side without a worker: arena, failures, cancel flag, named tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/context.h"

static uint64_t cancel_flag;

static brg_status task_ok(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    *output = input == NULL ? NULL : brg_value_ref(input);
    return BRG_OK;
}

static brg_status task_fails(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)input;
    (void)output;
    return brg_context_fail(context, 9, "attempt %u", brg_context_attempt(context));
}

static brg_status task_says_nothing(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    return BRG_NOT_FOUND;
}

static brg_status task_returns_nonsense(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    return (brg_status)4711;
}

static const brg_module_task tasks[] = {{"ok", task_ok},
                                        {"ok2", task_ok},
                                        {"fails", task_fails},
                                        {"says_nothing", task_says_nothing},
                                        {"returns_nonsense", task_returns_nonsense},
                                        {NULL, NULL}};
static const brg_module module = {.size = sizeof(module), .abi = BRG_MODULE_ABI, .name = "kitchen", .tasks = tasks};

static void context_make(brg_context *context, size_t arena_max)
{
    cancel_flag = 0;
    brg__context_init(context, NULL, NULL, &module);
    context->xcancel = &cancel_flag;
    context->arena_max = arena_max;
}

/* ---- arena ------------------------------------------------------------------------------------------------------- */

static void memory_is_zeroed_each_time(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 0, 7, 16, 4096, 20000, 3, 100000, 64};
    brg_context context;
    context_make(&context, 1 << 20);
    for (int task = 1; task <= 3; task++) {
        brg__context_begin(&context, (uint64_t)task, 1);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            unsigned char *memory = brg_context_alloc(&context, sizes[i]);
            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(memory[k], 0);
            if (sizes[i] != 0)
                memset(memory, 0xee, sizes[i]);
        }
        brg__context_end(&context);
        assert_int_equal(context.arena_used, 0);
    }
    brg__context_done(&context);
}

static void arena_has_a_limit(void **state)
{
    (void)state;
    brg_context context;
    context_make(&context, 1000);
    brg__context_begin(&context, 1, 1);
    assert_null(brg_context_alloc(&context, 1001));
    assert_null(brg_context_alloc(&context, SIZE_MAX));
    assert_non_null(brg_context_alloc(&context, 999));
    assert_null(brg_context_alloc(&context, 2));
    assert_non_null(brg_context_alloc(&context, 1));
    assert_null(brg_context_alloc(&context, 1));
    brg__context_end(&context);
    brg__context_begin(&context, 2, 1);
    assert_non_null(brg_context_alloc(&context, 1000)); /* the next task has it all again */
    brg__context_end(&context);
    brg__context_done(&context);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static brg_status run(brg_context *context, const char *name)
{
    brg_value *output = NULL;
    brg__context_begin(context, 1, 3);
    brg_status status = brg__context_run_named(context, name, strlen(name), NULL, &output);
    assert_null(output);
    return status;
}

static void failures_are_made_whole(void **state)
{
    (void)state;
    brg_context context;
    context_make(&context, 0);
    assert_int_equal(run(&context, "ok"), BRG_OK);
    brg__context_end(&context);
    assert_int_equal(run(&context, "fails"), BRG_FAILED);
    assert_int_equal(context.failure.status, BRG_FAILED);
    assert_int_equal(context.failure.code, 9);
    assert_int_equal(context.failure.attempt, 3);
    assert_string_equal(context.failure.domain, "kitchen");
    assert_string_equal(context.failure.message, "attempt 3");
    brg__context_end(&context);
    assert_int_equal(run(&context, "says_nothing"), BRG_NOT_FOUND);
    assert_int_equal(context.failure.code, 0); /* nothing of the one before */
    assert_non_null(strstr(context.failure.message, "says_nothing"));
    assert_non_null(strstr(context.failure.message, brg_status_text(BRG_NOT_FOUND)));
    brg__context_end(&context);
    assert_int_equal(run(&context, "returns_nonsense"), BRG_FAILED);
    assert_non_null(strstr(context.failure.message, "4711"));
    brg__context_end(&context);
    brg__context_done(&context);
}

static void names_are_matched_whole(void **state)
{
    (void)state;
    brg_context context;
    brg_value *output = NULL;
    context_make(&context, 0);
    brg__context_begin(&context, 1, 1);
    assert_int_equal(brg__context_run_named(&context, "ok2 and more", 2, NULL, &output), BRG_OK);
    assert_int_equal(brg__context_run_named(&context, "ok2 and more", 3, NULL, &output), BRG_OK);
    assert_int_equal(brg__context_run_named(&context, "ok2 and more", 4, NULL, &output), BRG_NOT_FOUND);
    assert_int_equal(brg__context_run_named(&context, "o", 1, NULL, &output), BRG_NOT_FOUND);
    assert_non_null(strstr(context.failure.message, "\"o\""));
    assert_int_equal(brg__context_run_named(&context, "", 0, NULL, &output), BRG_NOT_FOUND);
    brg__context_end(&context);
    context.module = NULL;
    assert_int_equal(run(&context, "ok"), BRG_NOT_FOUND);
    brg__context_end(&context);
    brg__context_done(&context);
}

static void detail_is_taken_and_let_go(void **state)
{
    (void)state;
    brg_context context;
    brg_value *detail = NULL;
    context_make(&context, 0);
    brg__context_begin(&context, 1, 1);
    for (int i = 0; i < 2; i++) { /* the second replaces the first: a leak checker sees the rest */
        assert_int_equal(brg_value_map(&detail, NULL, brg_field_int("page", i)), BRG_OK);
        assert_int_equal(brg_context_fail_with(&context, BRG_TOO_LARGE, i, detail, "page %d", i), BRG_TOO_LARGE);
    }
    assert_ptr_equal(context.failure_detail, detail);
    assert_int_equal(context.failure.status, BRG_TOO_LARGE);
    assert_string_equal(context.failure.message, "page 1");
    brg__context_end(&context);
    assert_null(context.failure_detail);
    brg__context_done(&context);
}

/* ---- the cancel flag --------------------------------------------------------------------------------------------- */

static void flag_is_for_one_task_or_all(void **state)
{
    (void)state;
    brg_context context;
    context_make(&context, 0);
    brg__context_begin(&context, 5, 1);
    assert_false(brg_context_cancelled(&context));
    cancel_flag = 4; /* an earlier one */
    assert_false(brg_context_cancelled(&context));
    cancel_flag = 5;
    assert_true(brg_context_cancelled(&context));
    brg__context_end(&context);
    cancel_flag = 0;
    assert_false(brg_context_cancelled(&context)); /* between tasks the ticket is 0, which means nobody */
    cancel_flag = UINT64_MAX;
    assert_true(brg_context_cancelled(&context)); /* the worker itself */
    brg__context_begin(&context, 6, 1);
    assert_true(brg_context_cancelled(&context));
    brg__context_end(&context);
    assert_int_equal(brg_context_attempt(&context), 0);
    brg__context_done(&context);
}

static void pooled_workers_post_nothing(void **state)
{
    (void)state;
    brg_context context;
    brg_error error;
    brg_value *message = NULL;
    context_make(&context, 0);
    context.is_pooled = true;
    assert_int_equal(brg_value_map(&message, NULL, brg_field_int("n", 1)), BRG_OK);
    assert_int_equal(brg_context_post(&context, message, 0, &error), BRG_UNSUPPORTED);
    assert_non_null(strstr(error.message, "output"));
    brg_value_unref(message); /* still ours */
    assert_int_equal(brg_context_post(&context, NULL, 0, &error), BRG_INVALID);
    assert_int_equal(brg_context_receive(&context, NULL, 0), BRG_INVALID);
    brg__context_done(&context);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(memory_is_zeroed_each_time),  cmocka_unit_test(arena_has_a_limit),
        cmocka_unit_test(failures_are_made_whole),     cmocka_unit_test(names_are_matched_whole),
        cmocka_unit_test(detail_is_taken_and_let_go),  cmocka_unit_test(flag_is_for_one_task_or_all),
        cmocka_unit_test(pooled_workers_post_nothing),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
