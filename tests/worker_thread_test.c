/* SPDX-License-Identifier: MIT */
/* What only thread workers have: entry functions, modules of the program itself, and the context as they use it. */
#include "record.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#define BOUND SCENARIO_BOUND

static brg_worker *worker_create(const brg_worker_options *options)
{
    brg_worker_options complete = *options;
    brg_worker *worker = NULL;
    brg_error error;
    complete.grace_ns = complete.start_timeout_ns = RECORD_PATIENT;
    if (brg_worker_create(&worker, &complete, &error) != BRG_OK)
        fail_msg("worker: %s", error.message);
    return worker;
}

static brg_exit worker_ends(brg_worker *worker)
{
    brg_exit exit;
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    return exit;
}

static int64_t receive_int(brg_worker *worker, const char *key)
{
    brg_value *message = NULL;
    assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_OK);
    int64_t number = brg_view_get_int(brg_value_root(message), key, -1);
    brg_value_unref(message);
    return number;
}

/* Inside workers: what fails there cannot be asserted, so it is the status. */
#define ENTRY_CHECK(condition)                                                                                         \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return brg_context_fail(context, __LINE__, "line %d: not %s", __LINE__, #condition);                       \
    } while (0)

static void ended_well(const brg_exit *exit)
{
    if (exit->status != BRG_OK)
        fail_msg("%s", exit->error.message);
}

/* ---- entry functions --------------------------------------------------------------------------------------------- */

static brg_status post_int(brg_context *context, int64_t n, uint64_t timeout_ns, brg_error *error)
{
    brg_value *value = NULL;
    brg_status status = brg_value_map(&value, NULL, brg_field_int("n", n));
    if (status == BRG_OK && (status = brg_context_post(context, value, timeout_ns, error)) != BRG_OK)
        brg_value_unref(value);
    return status;
}

static brg_status echo_entry(brg_context *context, void *argument)
{
    brg_value *message = NULL;
    brg_status status;
    ENTRY_CHECK(brg_context_receive(context, NULL, 0) == BRG_INVALID);
    ENTRY_CHECK(brg_context_post(context, NULL, 0, NULL) == BRG_INVALID);
    ENTRY_CHECK(brg_context_receive(context, &message, 0) == BRG_EMPTY);
    ENTRY_CHECK(brg_context_receive(context, &message, BRG_MILLISECONDS(1)) == BRG_TIMED_OUT);
    ENTRY_CHECK(!brg_context_cancelled(context));
    ENTRY_CHECK(post_int(context, *(int *)argument, 0, NULL) == BRG_OK);
    while ((status = brg_context_receive(context, &message, BRG_FOREVER)) == BRG_OK) {
        status = brg_context_post(context, message, BRG_FOREVER, NULL);
        if (status != BRG_OK)
            brg_value_unref(message);
        ENTRY_CHECK(status == BRG_OK);
    }
    ENTRY_CHECK(status == BRG_CLOSED);
    ENTRY_CHECK(brg_context_cancelled(context));
    ENTRY_CHECK(brg_context_receive(context, &message, 0) == BRG_CLOSED);
    return BRG_OK;
}

static void entry_receives_and_posts(void **state)
{
    (void)state;
    int argument = 42;
    brg_worker *worker = worker_create(brg_worker_opts(.entry = echo_entry, .entry_argument = &argument));
    assert_int_equal(receive_int(worker, "n"), 42);
    for (int i = 0; i < 100; i++) {
        record_post(worker, "anything", i);
        assert_int_equal(receive_int(worker, "n"), i);
    }
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    brg_exit exit = worker_ends(worker);
    ended_well(&exit);
    assert_true(exit.requested);
    brg_worker_destroy(worker);
}

static brg_status bounded_entry(brg_context *context, void *argument)
{
    brg_error error;
    brg_buffer *buffer = NULL;
    brg_builder *builder = NULL;
    brg_value *large = NULL;
    ENTRY_CHECK(post_int(context, 0, 0, NULL) == BRG_OK);
    ENTRY_CHECK(post_int(context, 1, BRG_FOREVER, NULL) == BRG_OK);
    ENTRY_CHECK(post_int(context, 2, 0, &error) == BRG_FULL && error.status == BRG_FULL);
    ENTRY_CHECK(post_int(context, 2, BRG_MILLISECONDS(1), &error) == BRG_TIMED_OUT);
    ENTRY_CHECK(brg_buffer_create(&buffer, 2000, NULL) == BRG_OK && brg_builder_create(&builder, NULL) == BRG_OK);
    brg_builder_buffer(builder, &buffer);
    brg_status status = brg_builder_finish(builder, &large, NULL);
    brg_builder_destroy(builder);
    ENTRY_CHECK(status == BRG_OK);
    status = brg_context_post(context, large, BRG_FOREVER, &error); /* too large comes before full */
    brg_value_unref(large);
    ENTRY_CHECK(status == BRG_TOO_LARGE && strstr(error.message, "message_bytes_max") != NULL);
    atomic_store((atomic_bool *)argument, true);                    /* from here on the owner takes them */
    ENTRY_CHECK(post_int(context, 2, BRG_FOREVER, NULL) == BRG_OK); /* room appears */
    return BRG_OK;
}

static void bounds_hold_towards_the_owner(void **state)
{
    (void)state;
    atomic_bool is_full = false;
    brg_worker *worker = worker_create(brg_worker_opts(.entry = bounded_entry, .entry_argument = &is_full,
                                                       .mailbox_max = 2, .message_bytes_max = 1000));
    brg_value *message = NULL;
    while (!atomic_load(&is_full) && brg_worker_wait(worker, 0, NULL) == BRG_TIMED_OUT) /* it may fail before */
        sched_yield();
    assert_int_equal(brg_worker_wait(worker, BRG_MILLISECONDS(20), NULL), BRG_TIMED_OUT); /* it waits for us */
    for (int i = 0; i < 3; i++)
        assert_int_equal(receive_int(worker, "n"), i);
    assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_CLOSED);
    brg_exit exit = worker_ends(worker);
    ended_well(&exit);
    assert_false(exit.requested); /* it ended by itself */
    brg_worker_destroy(worker);
}

static brg_status last_words_entry(brg_context *context, void *argument)
{
    for (int i = 0; i < *(int *)argument; i++)
        ENTRY_CHECK(post_int(context, i, BRG_FOREVER, NULL) == BRG_OK);
    return BRG_OK;
}

static void last_words_of_a_thread(void **state)
{
    (void)state;
    int count = 3000;
    recorder record = {0};
    record_start(&record, BRG_ISOLATION_THREAD,
                 brg_worker_opts(.entry = last_words_entry, .entry_argument = &count, .mailbox_max = 16));
    record_run(&record);
    assert_int_equal(record.online, 1);
    assert_int_equal(record.messages, count);
    assert_false(record.out_of_order);
    assert_int_equal(record.exits, 1);
    ended_well(&record.exit);
    record_end(&record);
}

static brg_status failing_entry(brg_context *context, void *argument)
{
    switch (*(int *)argument) {
    case 0:
        return brg_context_fail(context, 17, "pan number %d burnt", 3);
    case 1:
        return BRG_NOT_FOUND;
    default:
        return (brg_status)12345;
    }
}

static void error_of_an_entry_is_its_exit(void **state)
{
    (void)state;
    static const struct {
        brg_status status;
        int64_t code;
        const char *message;
    } expected[] = {{BRG_FAILED, 17, "pan number 3 burnt"}, {BRG_NOT_FOUND, 0, "not found"}, {BRG_FAILED, 0, "12345"}};
    for (int i = 0; i < 3; i++) {
        brg_worker *worker = worker_create(brg_worker_opts(.entry = failing_entry, .entry_argument = &i));
        brg_exit exit = worker_ends(worker);
        assert_int_equal(exit.status, expected[i].status);
        assert_int_equal(exit.error.status, expected[i].status);
        assert_int_equal(exit.error.code, expected[i].code);
        assert_non_null(strstr(exit.error.message, expected[i].message));
        assert_int_equal(exit.exit_code, 0);
        assert_false(exit.requested);
        assert_int_equal(brg_worker_wait_online(worker, 0, NULL), BRG_OK); /* it had started */
        brg_worker_destroy(worker);
    }
}

static brg_status cancel_fd_entry(brg_context *context, void *argument)
{
    struct pollfd poller = {.fd = brg_context_cancel_fd(context), .events = POLLIN};
    ENTRY_CHECK(poller.fd >= 0);
    ENTRY_CHECK(brg_context_cancel_fd(context) == poller.fd);
    if (*(bool *)argument) { /* asked before it looked: the descriptor tells it all the same */
        while (!brg_context_cancelled(context))
            ;
    } else {
        ENTRY_CHECK(poll(&poller, 1, 0) == 0);
    }
    ENTRY_CHECK(post_int(context, 1, 0, NULL) == BRG_OK);
    ENTRY_CHECK(poll(&poller, 1, -1) == 1);
    ENTRY_CHECK(brg_context_cancelled(context));
    return BRG_OK;
}

static void terminate_makes_the_descriptor_readable(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        bool early = i == 1;
        brg_worker *worker = worker_create(brg_worker_opts(.entry = cancel_fd_entry, .entry_argument = &early));
        if (!early)
            assert_int_equal(receive_int(worker, "n"), 1); /* it polls, or is about to */
        assert_int_equal(brg_worker_terminate(worker), BRG_OK);
        brg_exit exit = worker_ends(worker);
        ended_well(&exit);
        brg_worker_destroy(worker);
    }
}

static brg_status arena_entry(brg_context *context, void *argument)
{
    (void)argument;
    char name[16] = "";
    ENTRY_CHECK(pthread_getname_np(pthread_self(), name, sizeof(name)) == 0);
    ENTRY_CHECK(strcmp(name, "a-name-longer-t") == 0); /* the first 15 bytes */
    ENTRY_CHECK(strcmp(brg_context_worker_name(context), "a-name-longer-than-that") == 0);
    ENTRY_CHECK(brg_context_alloc(context, 1 << 20) == NULL); /* one byte less is the limit */
    char *memory = brg_context_alloc(context, 4096);
    ENTRY_CHECK(memory != NULL && (uintptr_t)memory % _Alignof(max_align_t) == 0);
    for (int i = 0; i < 4096; i++)
        ENTRY_CHECK(memory[i] == 0);
    ENTRY_CHECK(brg_context_alloc(context, (1 << 20) - 4096) == NULL);
    ENTRY_CHECK(brg_context_alloc(context, (1 << 20) - 4096 - 1) != NULL);
    ENTRY_CHECK(brg_context_init_data(context) == NULL && brg_context_state(context) == NULL);
    return BRG_OK;
}

static void entry_has_name_and_arena(void **state)
{
    (void)state;
    brg_worker *worker = worker_create(brg_worker_opts(.entry = arena_entry, .name = "a-name-longer-than-that",
                                                       .limits = {.arena_bytes_max = (1 << 20) - 1}));
    brg_exit exit = worker_ends(worker);
    ended_well(&exit);
    brg_worker_destroy(worker);
}

/* ---- modules of this program ------------------------------------------------------------------------------------- */

static atomic_int preloads, starts, ends;
static atomic_bool preload_fails;

static brg_status linked_preload(brg_error *error)
{
    atomic_fetch_add(&preloads, 1);
    return atomic_load(&preload_fails) ? brg_error_set(error, BRG_UNSUPPORTED, "kitchen", "no gas") : BRG_OK;
}

static brg_status linked_start(brg_context *context)
{
    atomic_fetch_add(&starts, 1);
    int *count = malloc(sizeof(*count));
    if (count == NULL)
        return BRG_NO_MEMORY;
    *count = 0;
    brg_context_set_state(context, count);
    return BRG_OK;
}

static void linked_end(brg_context *context)
{
    atomic_fetch_add(&ends, 1);
    free(brg_context_state(context));
}

static brg_status linked_message(brg_context *context, const brg_value *message)
{
    int *count = brg_context_state(context);
    *count += (int)brg_view_get_int(brg_value_root(message), "n", 0);
    return post_int(context, *count, BRG_FOREVER, NULL);
}

#define LINKED_MODULE .size = sizeof(brg_module), .abi = BRG_MODULE_ABI, .name = "linked"

static void linked_module_runs_its_hooks(void **state)
{
    (void)state;
    static const brg_module module = {LINKED_MODULE, .preload = linked_preload, .worker_start = linked_start,
                                      .worker_end = linked_end, .message = linked_message};
    brg_worker *workers[4];
    atomic_store(&preloads, 0);
    atomic_store(&starts, 0);
    atomic_store(&ends, 0);
    for (int i = 0; i < 4; i++)
        workers[i] = worker_create(brg_worker_opts(.linked_module = &module));
    for (int i = 0; i < 4; i++) { /* a state each */
        record_post(workers[i], "count", 10 * (i + 1));
        assert_int_equal(receive_int(workers[i], "n"), 10 * (i + 1));
        record_post(workers[i], "count", 1);
        assert_int_equal(receive_int(workers[i], "n"), 10 * (i + 1) + 1);
    }
    assert_int_equal(atomic_load(&preloads), 1);
    assert_int_equal(atomic_load(&starts), 4);
    assert_int_equal(atomic_load(&ends), 0);
    for (int i = 0; i < 4; i++)
        brg_worker_destroy(workers[i]);
    assert_int_equal(atomic_load(&ends), 4);
}

static void failed_preload_is_tried_again(void **state)
{
    (void)state;
    static const brg_module module = {LINKED_MODULE, .preload = linked_preload, .worker_start = linked_start,
                                      .worker_end = linked_end};
    brg_error error;
    atomic_store(&preloads, 0);
    atomic_store(&starts, 0);
    atomic_store(&preload_fails, true);
    brg_worker *worker = worker_create(brg_worker_opts(.linked_module = &module));
    assert_int_equal(brg_worker_wait_online(worker, BOUND, &error), BRG_START_FAILED);
    assert_string_equal(error.message, "no gas");
    assert_int_equal(atomic_load(&starts), 0);
    brg_worker_destroy(worker);
    atomic_store(&preload_fails, false);
    worker = worker_create(brg_worker_opts(.linked_module = &module));
    assert_int_equal(brg_worker_wait_online(worker, BOUND, &error), BRG_OK);
    brg_worker_destroy(worker);
    assert_int_equal(atomic_load(&preloads), 2);
}

/* Without a handler messages wait for whoever receives, here a start hook. */
static brg_status receiving_start(brg_context *context)
{
    brg_value *message = NULL;
    ENTRY_CHECK(brg_context_receive(context, &message, BRG_FOREVER) == BRG_OK);
    int64_t n = brg_view_get_int(brg_value_root(message), "n", 0);
    brg_value_unref(message);
    return post_int(context, n + 1, BRG_FOREVER, NULL);
}

static void module_without_a_handler(void **state)
{
    (void)state;
    static const brg_module module = {LINKED_MODULE, .worker_start = receiving_start};
    brg_worker *worker = worker_create(brg_worker_opts(.linked_module = &module));
    assert_int_equal(brg_worker_wait_online(worker, 0, NULL), BRG_TIMED_OUT);
    record_post(worker, "start", 1);
    assert_int_equal(brg_worker_wait_online(worker, BOUND, NULL), BRG_OK);
    assert_int_equal(receive_int(worker, "n"), 2);
    brg_worker_destroy(worker);
}

static void refused_module(const brg_module *module, const char *why)
{
    brg_worker *worker = worker_create(brg_worker_opts(.linked_module = module));
    brg_error error;
    assert_int_equal(brg_worker_wait_online(worker, BOUND, &error), BRG_START_FAILED);
    if (strstr(error.message, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.message, why);
    brg_worker_destroy(worker);
}

static brg_status any_task(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    return BRG_OK;
}

static void bad_modules_are_refused(void **state)
{
    (void)state;
    static const brg_module_task unnamed[] = {{"", any_task}, {NULL, NULL}}, empty[] = {{"task", NULL}, {NULL, NULL}};
    static const brg_module_task long_name[] = {
        {"1234567890123456789012345678901234567890123456789012345678901234", any_task}, {NULL, NULL}};
    static const brg_module old = {.size = sizeof(old), .abi = BRG_MODULE_ABI + 1, .name = "old"};
    static const brg_module short_one = {
        .size = offsetof(brg_module, direct) - 8, .abi = BRG_MODULE_ABI, .name = "short"};
    static const brg_module bad_tasks[] = {
        {LINKED_MODULE, .tasks = unnamed}, {LINKED_MODULE, .tasks = empty}, {LINKED_MODULE, .tasks = long_name}};
    refused_module(&old, "ABI");
    refused_module(&short_one, "ABI");
    for (int i = 0; i < 3; i++)
        refused_module(&bad_tasks[i], "name of 1 to 63 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_receives_and_posts),
        cmocka_unit_test(bounds_hold_towards_the_owner),
        cmocka_unit_test(last_words_of_a_thread),
        cmocka_unit_test(error_of_an_entry_is_its_exit),
        cmocka_unit_test(terminate_makes_the_descriptor_readable),
        cmocka_unit_test(entry_has_name_and_arena),
        cmocka_unit_test(linked_module_runs_its_hooks),
        cmocka_unit_test(failed_preload_is_tried_again),
        cmocka_unit_test(module_without_a_handler),
        cmocka_unit_test(bad_modules_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
