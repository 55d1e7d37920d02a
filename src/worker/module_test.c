/* SPDX-License-Identifier: MIT */
/* Modules of this program: preloaded once however many workers ask, and again only after a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "worker/module.h"

#define THREADS 8

static atomic_int preloads, ready;
static atomic_bool fails;

static brg_status count_preload(brg_error *error)
{
    atomic_fetch_add(&preloads, 1);
    for (int i = 0; i < 100; i++)
        sched_yield(); /* the others come meanwhile */
    return atomic_load(&fails) ? brg_error_set(error, BRG_UNSUPPORTED, "kitchen", "no gas") : BRG_OK;
}

static brg_status silent_preload(brg_error *error)
{
    (void)error;
    return BRG_NOT_FOUND;
}

#define MODULE .size = sizeof(brg_module), .abi = BRG_MODULE_ABI, .name = "linked"

typedef struct asker {
    pthread_t thread;
    const brg_module *wanted, *got;
    brg_status status;
    brg_error error;
} asker;

static void *ask(void *argument)
{
    asker *self = argument;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < THREADS)
        sched_yield();
    self->status = brg__module_shared(NULL, self->wanted, &self->got, &self->error);
    return NULL;
}

static void ask_at_once(asker askers[THREADS], const brg_module *module)
{
    memset(askers, 0, THREADS * sizeof(askers[0]));
    atomic_store(&preloads, 0);
    atomic_store(&ready, 0);
    for (int i = 0; i < THREADS; i++) {
        askers[i].wanted = module;
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(askers[i].thread, NULL);
}

static void one_preload_for_all(void **state)
{
    (void)state;
    static const brg_module module = {MODULE, .preload = count_preload};
    asker askers[THREADS];
    atomic_store(&fails, false);
    ask_at_once(askers, &module);
    assert_int_equal(atomic_load(&preloads), 1);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(askers[i].status, BRG_OK);
        assert_ptr_equal(askers[i].got, &module);
    }
    ask_at_once(askers, &module);
    assert_int_equal(atomic_load(&preloads), 0);
}

static void failure_is_told_and_tried_again(void **state)
{
    (void)state;
    static const brg_module module = {MODULE, .preload = count_preload};
    asker askers[THREADS];
    atomic_store(&fails, true);
    ask_at_once(askers, &module);
    assert_in_range(atomic_load(&preloads), 1, THREADS);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(askers[i].status, BRG_UNSUPPORTED);
        assert_string_equal(askers[i].error.message, "no gas");
        assert_null(askers[i].got);
    }
    atomic_store(&fails, false);
    ask_at_once(askers, &module);
    assert_int_equal(atomic_load(&preloads), 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(askers[i].status, BRG_OK);
}

static void silent_failure_gets_words(void **state)
{
    (void)state;
    static const brg_module module = {MODULE, .preload = silent_preload};
    const brg_module *got = NULL;
    brg_error error;
    assert_int_equal(brg__module_shared(NULL, &module, &got, &error), BRG_NOT_FOUND);
    assert_int_equal(error.status, BRG_NOT_FOUND);
    assert_non_null(strstr(error.message, "preload"));
    assert_int_equal(brg__module_shared(NULL, &module, &got, NULL), BRG_NOT_FOUND);
    assert_null(got);
}

static void missing_files_are_named(void **state)
{
    (void)state;
    const brg_module *got = NULL;
    void *library = NULL;
    brg_error error;
    assert_int_equal(brg__module_open("/no/such/module.so", &got, &library, &error), BRG_NOT_FOUND);
    assert_non_null(strstr(error.message, "/no/such/module.so"));
    assert_int_equal(brg__module_shared("/no/such/module.so", NULL, &got, &error), BRG_NOT_FOUND);
    assert_null(got);
    assert_null(library);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_preload_for_all),
        cmocka_unit_test(failure_is_told_and_tried_again),
        cmocka_unit_test(silent_failure_gets_words),
        cmocka_unit_test(missing_files_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
