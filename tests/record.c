/* SPDX-License-Identifier: MIT */
#include "record.h"

static void record_note(recorder *record, char event)
{
    size_t length = strlen(record->events);
    if (length + 1 < sizeof(record->events))
        record->events[length] = event;
    if (event != RECORD_RELEASE && record->act != NULL)
        record->act(record, event);
}

static void record_online(brg_worker *worker, void *user_data)
{
    recorder *record = user_data;
    record->online++;
    assert_ptr_equal(worker, record->worker);
    record_note(record, RECORD_ONLINE);
}

static void record_message(brg_worker *worker, brg_value *message, void *user_data)
{
    recorder *record = user_data;
    record->messages++;
    assert_ptr_equal(worker, record->worker);
    record->out_of_order |= brg_view_get_int(brg_value_root(message), "n", -1) != record->next++;
    record_note(record, RECORD_MESSAGE);
}

static void record_error(brg_worker *worker, const brg_error *error, void *user_data)
{
    recorder *record = user_data;
    record->errors++;
    record->error = *error;
    assert_ptr_equal(worker, record->worker);
    record_note(record, RECORD_ERROR);
}

static void record_exit(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    recorder *record = user_data;
    record->exits++;
    record->exit = *exit;
    assert_ptr_equal(worker, record->worker);
    assert_true(brg_worker_get_state(worker) >= BRG_WORKER_EXITED);
    record_note(record, RECORD_EXIT);
}

static void record_release(void *user_data)
{
    recorder *record = user_data;
    record->released++;
    record_note(record, RECORD_RELEASE);
}

void record_start(recorder *record, brg_isolation isolation, const brg_worker_options *options)
{
    brg_worker_options complete = {.size = sizeof(complete)};
    brg_error error;
    if (options != NULL)
        complete = *options;
    if (record->loop == NULL)
        assert_int_equal(brg_loop_create(&record->loop, NULL, NULL), BRG_OK);
    complete.loop = record->loop;
    complete.isolation = isolation;
    if (complete.module == NULL && complete.linked_module == NULL && complete.entry == NULL)
        complete.module = scenario_module();
    complete.on_online = record_online;
    complete.on_message = record_message;
    complete.on_error = record_error;
    complete.on_exit = record_exit;
    complete.release = record_release;
    complete.user_data = record;
    if (complete.grace_ns == 0)
        complete.grace_ns = RECORD_PATIENT;
    if (complete.start_timeout_ns == 0)
        complete.start_timeout_ns = RECORD_PATIENT;
    if (brg_worker_create(&record->worker, &complete, &error) != BRG_OK)
        fail_msg("worker: %s", error.message);
}

void record_run(recorder *record) { assert_int_equal(brg_loop_run(record->loop), BRG_OK); }

void record_end(recorder *record)
{
    brg_worker_destroy(record->worker);
    record->worker = NULL;
    assert_int_equal(record->released, 1);
    assert_int_equal(brg_loop_destroy(record->loop), BRG_OK);
    record->loop = NULL;
}

void record_terminate_online(recorder *record, char event)
{
    if (event == RECORD_ONLINE)
        assert_int_equal(brg_worker_terminate(record->worker), BRG_OK);
}

void record_post(brg_worker *worker, const char *what, int64_t n)
{
    brg_value *message = NULL;
    brg_error error;
    assert_int_equal(brg_value_map(&message, NULL, brg_field_string("do", what), brg_field_int("n", n)), BRG_OK);
    if (brg_worker_post(worker, message, SCENARIO_BOUND, &error) != BRG_OK)
        fail_msg("post %s: %s", what, error.message);
}
