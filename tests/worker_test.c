/* SPDX-License-Identifier: MIT */
/* One worker, in both isolations: its events on the loop, its messages without one, what it is given and is. */
#include "record.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define BOUND SCENARIO_BOUND

/* ---- events on the loop ------------------------------------------------------------------------------------------ */

static void terminate_at_third_message(recorder *record, char event)
{
    if (event == RECORD_MESSAGE && record->messages == 3)
        assert_int_equal(brg_worker_terminate(record->worker), BRG_OK);
}

static void events_come_in_order(void **state)
{
    recorder record = {.act = terminate_at_third_message};
    record_start(&record, scenario_isolation(state), NULL);
    for (int i = 0; i < 3; i++)
        record_post(record.worker, "echo", i);
    assert_int_equal(brg_loop_pending(record.loop), 1);
    assert_int_equal(brg_loop_destroy(record.loop), BRG_STATE);
    record_run(&record);
    assert_string_equal(record.events, "ommmx");
    assert_false(record.out_of_order);
    assert_int_equal(record.exit.status, BRG_OK);
    assert_true(record.exit.requested);
    assert_int_equal(record.exit.exit_code, 0);
    assert_int_equal(record.exit.signal, 0);
    assert_int_equal(brg_loop_pending(record.loop), 0);
    assert_int_equal(brg_worker_get_state(record.worker), BRG_WORKER_EXITED);
    record_run(&record); /* nothing more comes */
    record_end(&record);
    assert_string_equal(record.events, "ommmxr");
}

static brg_value *start_at(const scenario_gate *gate)
{
    brg_value *init = NULL;
    assert_int_equal(brg_value_map(&init, NULL, brg_field_string("start", "meet"),
                                   brg_field_string("reach", gate->reach), brg_field_string("hold", gate->hold)),
                     BRG_OK);
    return init;
}

static void terminate_at_fifth_message(recorder *record, char event)
{
    if (event == RECORD_MESSAGE && record->messages == 5)
        brg_worker_terminate(record->worker);
}

static void messages_wait_for_online(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    recorder record = {.act = terminate_at_fifth_message};
    record_start(&record, scenario_isolation(state), brg_worker_opts(.init_data = start_at(&gate)));
    record_post(record.worker, "echo", 0); /* before it even runs */
    scenario_gate_reached(&gate);
    assert_int_equal(brg_worker_get_state(record.worker), BRG_WORKER_STARTING);
    assert_int_equal(brg_worker_wait_online(record.worker, 0, NULL), BRG_TIMED_OUT);
    for (int i = 1; i < 5; i++)
        record_post(record.worker, "echo", i);
    scenario_gate_release(&gate);
    record_run(&record);
    assert_string_equal(record.events, "ommmmmx");
    assert_false(record.out_of_order);
    record_end(&record);
    scenario_gate_close(&gate);
}

static brg_value *many(int64_t count, bool then_exit)
{
    brg_value *message = NULL;
    assert_int_equal(brg_value_map(&message, NULL, brg_field_string("do", "many"), brg_field_int("count", count),
                                   brg_field_bool("then_exit", then_exit)),
                     BRG_OK);
    return message;
}

static void last_words_arrive_before_exit(void **state)
{
    (void)state;
    recorder record = {0};
    record_start(&record, BRG_ISOLATION_PROCESS,
                 brg_worker_opts(.mailbox_max = 8, .start_timeout_ns = SCENARIO_LONG, .grace_ns = SCENARIO_LONG));
    assert_int_equal(brg_worker_post(record.worker, many(3000, true), BOUND, NULL), BRG_OK);
    record_run(&record);
    assert_int_equal(record.online, 1);
    assert_int_equal(record.messages, 3000);
    assert_false(record.out_of_order);
    assert_int_equal(record.exits, 1);
    assert_int_equal(record.exit.status, BRG_OK); /* code 0 */
    assert_false(record.exit.requested);
    record_end(&record);
}

static void last_words_without_a_loop(void **state)
{
    (void)state;
    brg_worker *worker = NULL;
    brg_value *message = NULL;
    assert_int_equal(brg_worker_create(&worker,
                                       brg_worker_opts(.isolation = BRG_ISOLATION_PROCESS, .module = scenario_module(),
                                                       .mailbox_max = 8),
                                       NULL),
                     BRG_OK);
    assert_int_equal(brg_worker_post(worker, many(1000, true), BOUND, NULL), BRG_OK);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_OK);
        assert_int_equal(brg_view_get_int(brg_value_root(message), "n", -1), i);
        brg_value_unref(message);
    }
    assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_CLOSED);
    brg_worker_destroy(worker);
}

/* A slow reader: the mailbox is small, nothing is lost and nothing overtakes. */
static void small_mailboxes_lose_nothing(void **state)
{
    recorder record = {0};
    record_start(&record, scenario_isolation(state), brg_worker_opts(.mailbox_max = 1));
    assert_int_equal(brg_worker_post(record.worker, many(500, false), BOUND, NULL), BRG_OK);
    record_post(record.worker, "echo", 500);
    while (record.messages < 501)
        brg_loop_dispatch(record.loop);
    assert_false(record.out_of_order);
    record_end(&record);
}

/* ---- errors of handlers, and ends by themselves ------------------------------------------------------------------ */

static void fail_echo_terminate(recorder *record, char event)
{
    if (event == RECORD_ONLINE)
        record_post(record->worker, "fail", 0);
    else if (event == RECORD_ERROR)
        record_post(record->worker, "echo", 0);
    else if (event == RECORD_MESSAGE)
        brg_worker_terminate(record->worker);
}

static void failing_handler_is_told_and_survived(void **state)
{
    recorder record = {.act = fail_echo_terminate};
    record_start(&record, scenario_isolation(state), NULL);
    record_run(&record);
    assert_string_equal(record.events, "oemx");
    assert_int_equal(record.error.status, BRG_FAILED);
    assert_int_equal(record.error.code, 5);
    assert_string_equal(record.error.domain, "scenario");
    assert_string_equal(record.error.message, "no such dish");
    assert_int_equal(record.exit.status, BRG_OK);
    record_end(&record);
}

static void crash_shows_in_exit(void **state)
{
    (void)state;
    recorder record = {0};
    record_start(&record, BRG_ISOLATION_PROCESS, NULL);
    record_post(record.worker, "echo", 0);
    record_post(record.worker, "crash", 1);
    record_run(&record);
    assert_string_equal(record.events, "omx");
    assert_int_equal(record.exit.status, BRG_CRASHED);
    assert_int_equal(record.exit.signal, 6);
    assert_false(record.exit.requested);
    assert_int_equal(record.exit.error.status, BRG_CRASHED);
    assert_int_equal(record.exit.error.signal, 6);
    assert_non_null(strstr(record.exit.error.message, "SIGABRT"));
    assert_true(strlen(record.exit.error.backtrace) > 0);
    brg_value *message = scenario_int("n", 1);
    assert_int_equal(brg_worker_post(record.worker, message, BRG_FOREVER, NULL), BRG_CLOSED);
    brg_value_unref(message);
    record_end(&record);
}

static void exit_codes_show_in_exit(void **state)
{
    (void)state;
    static const int codes[] = {0, 1, 7, 255};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        brg_worker *worker = NULL;
        brg_value *message = NULL;
        brg_exit exit;
        assert_int_equal(
            brg_worker_create(&worker,
                              brg_worker_opts(.isolation = BRG_ISOLATION_PROCESS, .module = scenario_module(),
                                              .start_timeout_ns = SCENARIO_LONG, .grace_ns = SCENARIO_LONG),
                              NULL),
            BRG_OK);
        assert_int_equal(brg_value_map(&message, NULL, brg_field_string("do", "exit"), brg_field_int("code", codes[i])),
                         BRG_OK);
        assert_int_equal(brg_worker_post(worker, message, BOUND, NULL), BRG_OK);
        assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
        assert_int_equal(exit.status, codes[i] == 0 ? BRG_OK : BRG_EXITED);
        assert_int_equal(exit.exit_code, codes[i]);
        assert_int_equal(exit.signal, 0);
        assert_false(exit.requested);
        brg_worker_destroy(worker);
    }
}

static void failed_start_is_error_and_exit(void **state)
{
    recorder record = {0};
    record_start(&record, scenario_isolation(state), brg_worker_opts(.init_data = scenario_string("start", "fail")));
    record_run(&record);
    assert_string_equal(record.events, "ex");
    assert_string_equal(record.error.message, "the kitchen is closed");
    assert_int_equal(record.error.code, 3);
    assert_int_equal(record.exit.status, BRG_START_FAILED);
    assert_string_equal(record.exit.error.message, "the kitchen is closed");
    assert_false(record.exit.requested);
    record_end(&record);
}

/* ---- messages without a loop ------------------------------------------------------------------------------------- */

static brg_worker *worker_without_loop(brg_isolation isolation, const brg_worker_options *options)
{
    brg_worker_options complete = *options;
    brg_worker *worker = NULL;
    brg_error error;
    complete.isolation = isolation;
    if (complete.module == NULL && complete.entry == NULL && complete.linked_module == NULL)
        complete.module = scenario_module();
    complete.grace_ns = complete.start_timeout_ns = RECORD_PATIENT;
    if (brg_worker_create(&worker, &complete, &error) != BRG_OK)
        fail_msg("worker: %s", error.message);
    return worker;
}

static brg_value *bytes_value(size_t size, bool as_buffer)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    brg_buffer *buffer = NULL;
    assert_int_equal(brg_buffer_create(&buffer, size, NULL), BRG_OK);
    unsigned char *bytes = brg_buffer_data(buffer);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 + size);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_map(builder);
    brg_builder_key(builder, "bytes");
    if (as_buffer)
        brg_builder_buffer(builder, &buffer);
    else
        brg_builder_bytes(builder, bytes, size);
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
    brg_builder_destroy(builder);
    brg_buffer_unref(buffer);
    return value;
}

static const void *bytes_of(const brg_value *value, size_t *size)
{
    brg_view view = brg_view_get(brg_value_root(value), "bytes");
    brg_buffer *buffer = brg_view_type(view) == BRG_TYPE_BUFFER ? brg_view_buffer(view) : NULL;
    if (buffer == NULL)
        return brg_view_bytes(view, size);
    *size = brg_buffer_size(buffer);
    return brg_buffer_data(buffer);
}

static void echo_round_trips_of_all_sizes(void **state)
{
    static const size_t sizes[] = {0, 1, 7, 8, 63, 64, 65, 4000, 65536, 100000, 1 << 20, (1 << 20) + 1, 7 << 20};
    brg_worker *worker = worker_without_loop(scenario_isolation(state), brg_worker_opts(.message_bytes_max = 8 << 20));
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        brg_value *sent = bytes_value(sizes[i / 2], i % 2 != 0), *got = NULL;
        assert_int_equal(brg_worker_post(worker, brg_value_ref(sent), BOUND, NULL), BRG_OK);
        assert_int_equal(brg_worker_receive(worker, &got, BOUND), BRG_OK);
        size_t sent_size = 0, got_size = 1;
        const void *sent_bytes = bytes_of(sent, &sent_size), *got_bytes = bytes_of(got, &got_size);
        assert_int_equal(got_size, sizes[i / 2]);
        assert_int_equal(sent_size, got_size);
        assert_true(got_size == 0 || memcmp(sent_bytes, got_bytes, got_size) == 0);
        brg_value_unref(sent);
        brg_value_unref(got);
    }
    brg_worker_destroy(worker);
}

static void receive_waits_as_long_as_told(void **state)
{
    brg_value *message = NULL;
    brg_worker *worker = worker_without_loop(scenario_isolation(state), brg_worker_opts(.no_spin = true));
    assert_int_equal(brg_worker_receive(worker, &message, 0), BRG_EMPTY);
    assert_int_equal(brg_worker_receive(worker, &message, BRG_MILLISECONDS(1)), BRG_TIMED_OUT);
    assert_int_equal(brg_worker_wait(worker, 0, NULL), BRG_TIMED_OUT);
    assert_int_equal(brg_worker_wait(worker, BRG_MILLISECONDS(1), NULL), BRG_TIMED_OUT);
    assert_null(message);
    for (int i = 0; i < 200; i++) {
        record_post(worker, "echo", i);
        assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_OK);
        assert_int_equal(brg_view_get_int(brg_value_root(message), "n", -1), i);
        brg_value_unref(message);
    }
    brg_worker_destroy(worker);
    recorder with_loop = {0};
    record_start(&with_loop, scenario_isolation(state), NULL);
    assert_int_equal(brg_worker_receive(with_loop.worker, &message, 0), BRG_STATE);
    record_end(&with_loop);
}

/* What it answered before it ended can still be taken; then the end shows. */
static void receive_takes_all_before_closed(void **state)
{
    brg_value *message = NULL;
    brg_exit exit;
    brg_worker *worker = worker_without_loop(scenario_isolation(state), brg_worker_opts(.mailbox_max = 300));
    assert_int_equal(brg_worker_post(worker, many(200, false), BOUND, NULL), BRG_OK);
    assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_OK); /* now it is at it, and is not interrupted */
    brg_value_unref(message);
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_OK);
    for (int i = 1; i < 200; i++) {
        assert_int_equal(brg_worker_receive(worker, &message, i % 2 == 0 ? 0 : BOUND), BRG_OK);
        assert_int_equal(brg_view_get_int(brg_value_root(message), "n", -1), i);
        brg_value_unref(message);
    }
    assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_CLOSED);
    assert_int_equal(brg_worker_receive(worker, &message, 0), BRG_CLOSED);
    brg_worker_destroy(worker);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

typedef struct late_post {
    brg_worker *worker;
    brg_value *message;
    brg_status status;
} late_post;

static void *late_post_main(void *argument)
{
    late_post *late = argument;
    late->status = brg_worker_post(late->worker, late->message, BRG_FOREVER, NULL);
    return NULL;
}

static void mailbox_is_bounded(void **state)
{
    scenario_gate gate;
    scenario_gate_open(&gate);
    brg_worker *worker = worker_without_loop(scenario_isolation(state),
                                             brg_worker_opts(.init_data = start_at(&gate), .mailbox_max = 4));
    for (int i = 0; i < 4; i++) {
        brg_value *message = scenario_int("n", i);
        assert_int_equal(brg_worker_post(worker, message, 0, NULL), BRG_OK); /* init_data is no message */
    }
    brg_value *message = scenario_int("n", 4);
    brg_error error;
    assert_int_equal(brg_worker_post(worker, message, 0, &error), BRG_FULL);
    assert_int_equal(error.status, BRG_FULL);
    assert_int_equal(brg_worker_post(worker, message, BRG_MILLISECONDS(2), &error), BRG_TIMED_OUT);
    scenario_gate_reached(&gate);
    assert_int_equal(brg_worker_post(worker, message, 0, NULL), BRG_FULL);
    late_post late = {.worker = worker, .message = message};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, late_post_main, &late), 0);
    scenario_gate_release(&gate); /* room appears */
    pthread_join(thread, NULL);
    assert_int_equal(late.status, BRG_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(brg_worker_receive(worker, &message, BOUND), BRG_OK);
        assert_int_equal(brg_view_get_int(brg_value_root(message), "n", -1), i);
        brg_value_unref(message);
    }
    brg_worker_destroy(worker);
    scenario_gate_close(&gate);
}

static void one_byte_too_large(void **state)
{
    brg_value *message = bytes_value(5000, false), *got = NULL;
    size_t size = brg_value_size_with_buffers(message);
    brg_error error;
    brg_worker *worker = worker_without_loop(scenario_isolation(state), brg_worker_opts(.message_bytes_max = size - 1));
    assert_int_equal(brg_worker_post(worker, message, BOUND, &error), BRG_TOO_LARGE);
    assert_non_null(strstr(error.message, "message_bytes_max"));
    brg_worker_destroy(worker);
    worker = worker_without_loop(scenario_isolation(state), brg_worker_opts(.message_bytes_max = size));
    assert_int_equal(brg_worker_post(worker, message, BOUND, &error), BRG_OK); /* it was still ours */
    assert_int_equal(brg_worker_receive(worker, &got, BOUND), BRG_OK);
    brg_value_unref(got);
    brg_worker_destroy(worker);
}

/* ---- what it is given and is ------------------------------------------------------------------------------------- */

static void worker_knows_itself(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    brg_worker *worker = worker_without_loop(
        isolation,
        brg_worker_opts(.name = "the-saucier-and-more", .init_data = scenario_string("greeting", "bonjour")));
    brg_value *answer = NULL;
    record_post(worker, "who", 0);
    assert_int_equal(brg_worker_receive(worker, &answer, BOUND), BRG_OK);
    brg_view root = brg_value_root(answer);
    assert_int_equal(brg_view_get_int(root, "worker", 0), brg_worker_id(worker));
    assert_int_equal(brg_view_get_int(root, "isolation", -1), isolation);
    assert_int_equal(brg_view_get_int(root, "attempt", -1), 0); /* no task runs */
    assert_string_equal(brg_view_get_string(root, "name", ""), "the-saucier-and-more");
    assert_string_equal(brg_worker_name(worker), "the-saucier-and-more");
    assert_string_equal(brg_view_get_string(root, "greeting", ""), "bonjour");
    int64_t pid = brg_view_get_int(root, "pid", 0);
    assert_int_equal(brg_worker_process_id(worker), isolation == BRG_ISOLATION_PROCESS ? pid : 0);
    assert_true((pid == getpid()) == (isolation == BRG_ISOLATION_THREAD));
    brg_value_unref(answer);
    brg_worker_destroy(worker);
}

static void ids_are_never_reused(void **state)
{
    uint64_t last = 0;
    for (int i = 0; i < 5; i++) {
        brg_worker *worker = worker_without_loop(scenario_isolation(state), brg_worker_opts(.name = NULL));
        char name[64];
        assert_true(brg_worker_id(worker) > last);
        last = brg_worker_id(worker);
        snprintf(name, sizeof(name), "brigade-%llu", (unsigned long long)last);
        assert_string_equal(brg_worker_name(worker), name);
        brg_worker_destroy(worker);
    }
}

/* Who waits may see it online before the template has told its number. */
static void who_is_online_has_a_number(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        brg_worker *worker = worker_without_loop(BRG_ISOLATION_PROCESS, brg_worker_opts(.name = NULL));
        assert_int_equal(brg_worker_wait_online(worker, BOUND, NULL), BRG_OK);
        assert_true(brg_worker_process_id(worker) > 0);
        brg_worker_destroy(worker);
    }
}

static void wait_online_and_wait(void **state)
{
    brg_exit exit = {.exit_code = 77};
    brg_worker *worker = worker_without_loop(scenario_isolation(state), brg_worker_opts(.name = NULL));
    assert_int_equal(brg_worker_wait_online(worker, BOUND, NULL), BRG_OK);
    assert_int_equal(brg_worker_get_state(worker), BRG_WORKER_ONLINE);
    assert_int_equal(brg_worker_wait_online(worker, 0, NULL), BRG_OK);
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    assert_int_equal(brg_worker_wait(worker, BOUND, &exit), BRG_OK);
    assert_int_equal(exit.status, BRG_OK);
    assert_int_equal(exit.exit_code, 0);
    assert_true(exit.requested);
    assert_int_equal(brg_worker_wait_online(worker, 0, NULL), BRG_OK); /* it was */
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);            /* again is no error */
    assert_int_equal(brg_worker_wait(worker, 0, NULL), BRG_OK);
    brg_worker_destroy(worker);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void release_must_not_run(void *user_data) { *(int *)user_data += 1; }
static brg_status idle_entry(brg_context *context, void *argument)
{
    (void)context;
    (void)argument;
    return BRG_OK;
}
static void unused_exit(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    (void)worker;
    (void)exit;
    (void)user_data;
}

static void refused(const brg_worker_options *options, brg_status status, const char *named)
{
    brg_worker_options complete = *options;
    brg_worker *worker = NULL;
    brg_error error;
    int released = 0;
    complete.init_data = scenario_int("n", 1);
    complete.release = release_must_not_run;
    complete.user_data = &released;
    memset(&error, 0, sizeof(error));
    assert_int_equal(brg_worker_create(&worker, &complete, &error), status);
    assert_int_equal(error.status, status);
    if (strstr(error.message, named) == NULL)
        fail_msg("\"%s\" does not name %s", error.message, named);
    assert_null(worker);
    assert_int_equal(released, 0);
    brg_value_unref(complete.init_data); /* still ours */
}

static void bad_options_are_named(void **state)
{
    (void)state;
    static const brg_module linked = {.size = sizeof(linked), .abi = BRG_MODULE_ABI, .name = "linked"};
    const char *module = scenario_module();
    refused(brg_worker_opts(.name = "x"), BRG_INVALID, "module");
    refused(brg_worker_opts(.isolation = BRG_ISOLATION_PROCESS), BRG_INVALID, ".module");
    refused(brg_worker_opts(.module = module, .entry = idle_entry), BRG_INVALID, "entry");
    refused(brg_worker_opts(.linked_module = &linked, .entry = idle_entry), BRG_INVALID, "entry");
    refused(brg_worker_opts(.isolation = BRG_ISOLATION_PROCESS, .entry = idle_entry), BRG_UNSUPPORTED, ".module");
    refused(brg_worker_opts(.isolation = BRG_ISOLATION_PROCESS, .linked_module = &linked), BRG_UNSUPPORTED, ".module");
    refused(brg_worker_opts(.isolation = (brg_isolation)7, .module = module), BRG_INVALID, "isolation");
    refused(brg_worker_opts(.module = "/no/such/module.so"), BRG_NOT_FOUND, "/no/such/module.so");
    refused(brg_worker_opts(.module = module, .spin_ns = BRG_FOREVER), BRG_INVALID, "spin_ns");
    refused(brg_worker_opts(.module = module, .mailbox_max = 1u << 30), BRG_INVALID, "mailbox_max");
    refused(brg_worker_opts(.module = module, .message_bytes_max = SIZE_MAX), BRG_INVALID, "message_bytes_max");
    refused(brg_worker_opts(.module = module, .on_exit = unused_exit), BRG_INVALID, "loop");
    brg_error error;
    assert_int_equal(brg_worker_create(NULL, brg_worker_opts(.module = module), &error), BRG_INVALID);
    assert_int_equal(brg_worker_post(NULL, NULL, 0, &error), BRG_INVALID);
    assert_int_equal(brg_worker_terminate(NULL), BRG_INVALID);
    brg_worker_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(events_come_in_order),
        SCENARIO_BOTH(messages_wait_for_online),
        cmocka_unit_test(last_words_arrive_before_exit),
        cmocka_unit_test(last_words_without_a_loop),
        SCENARIO_BOTH(small_mailboxes_lose_nothing),
        SCENARIO_BOTH(failing_handler_is_told_and_survived),
        cmocka_unit_test(crash_shows_in_exit),
        cmocka_unit_test(exit_codes_show_in_exit),
        SCENARIO_BOTH(failed_start_is_error_and_exit),
        SCENARIO_BOTH(echo_round_trips_of_all_sizes),
        SCENARIO_BOTH(receive_waits_as_long_as_told),
        SCENARIO_BOTH(receive_takes_all_before_closed),
        SCENARIO_BOTH(mailbox_is_bounded),
        SCENARIO_BOTH(one_byte_too_large),
        SCENARIO_BOTH(worker_knows_itself),
        SCENARIO_BOTH(ids_are_never_reused),
        cmocka_unit_test(who_is_online_has_a_number),
        SCENARIO_BOTH(wait_online_and_wait),
        cmocka_unit_test(bad_options_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
