/* SPDX-License-Identifier: MIT */
/* Standard streams of workers in both isolations: captured to the last byte before exit, bounded, written. */
#include "scenario.h"

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define BOUND SCENARIO_BOUND
#define PATIENT BRG_SECONDS(3600) /* a grace that nobody waits out */

static const char *world_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/world.so", directory != NULL ? directory : ".");
    return path;
}

typedef struct capture {
    brg_loop *loop;
    brg_worker *worker;
    char *out;
    size_t out_size;
    char err[64];
    size_t err_size;
    bool exited, late;
} capture;

static void on_stdout(brg_worker *worker, const void *bytes, size_t size, void *user_data)
{
    capture *self = user_data;
    assert_ptr_equal(worker, self->worker);
    assert_true(size > 0);
    self->late = self->late || self->exited;
    self->out = realloc(self->out, self->out_size + size + 1);
    memcpy(self->out + self->out_size, bytes, size);
    self->out_size += size;
    self->out[self->out_size] = '\0';
}

static void on_stderr(brg_worker *worker, const void *bytes, size_t size, void *user_data)
{
    capture *self = user_data;
    (void)worker;
    self->late = self->late || self->exited;
    assert_true(self->err_size + size < sizeof(self->err));
    memcpy(self->err + self->err_size, bytes, size);
    self->err_size += size;
    self->err[self->err_size] = '\0';
}

static void end_after_printing(brg_worker *worker, brg_value *message, void *user_data)
{
    (void)message;
    (void)user_data;
    brg_worker_terminate(worker);
}

static void on_exit_seen(brg_worker *worker, const brg_exit *exit, void *user_data)
{
    (void)worker;
    assert_int_equal(exit->status, BRG_OK);
    ((capture *)user_data)->exited = true;
}

static void capture_run(capture *self, void **state, int64_t lines, bool child, size_t bytes_max)
{
    brg_value *message = NULL;
    brg_error error;
    memset(self, 0, sizeof(*self));
    assert_int_equal(brg_loop_create(&self->loop, NULL, NULL), BRG_OK);
    if (brg_worker_create(&self->worker,
                          brg_worker_opts(.module = world_module(), .isolation = scenario_isolation(state),
                                          .loop = self->loop, .stdout_mode = BRG_STDIO_PIPE,
                                          .stderr_mode = BRG_STDIO_PIPE, .stdio_bytes_max = bytes_max,
                                          .on_stdout = on_stdout, .on_stderr = on_stderr, .grace_ns = PATIENT,
                                          .on_message = end_after_printing, .on_exit = on_exit_seen, .user_data = self),
                          &error) != BRG_OK)
        fail_msg("worker: %s", error.message);
    assert_int_equal(brg_value_map(&message, NULL, brg_field_string("do", "print"), brg_field_int("lines", lines),
                                   brg_field_bool("child", child)),
                     BRG_OK);
    assert_int_equal(brg_worker_post(self->worker, message, BOUND, NULL), BRG_OK);
    assert_int_equal(brg_loop_run(self->loop), BRG_OK);
    assert_true(self->exited);
    assert_false(self->late);
}

static void capture_end(capture *self)
{
    brg_worker_destroy(self->worker);
    assert_int_equal(brg_loop_destroy(self->loop), BRG_OK);
    free(self->out);
}

static void output_is_captured_whole(void **state)
{
    capture self;
    capture_run(&self, state, 3, false, 0);
    assert_string_equal(self.out, "line 0\nline 1\nline 2\ntail"); /* without a newline: at the end, before exit */
    assert_string_equal(self.err, "oops");
    capture_end(&self);
}

/* Far more than the bound and a pipe hold: the writer waits, nothing is lost or out of order. */
static void much_output_is_bounded(void **state)
{
    enum { LINES = 50000 };
    capture self;
    capture_run(&self, state, LINES, false, 4096);
    const char *at = self.out;
    for (int i = 0; i < LINES; i++) {
        char line[32];
        int size = snprintf(line, sizeof(line), "line %d\n", i);
        assert_memory_equal(at, line, size);
        at += size;
    }
    assert_string_equal(at, "tail");
    capture_end(&self);
}

static void children_of_the_worker_are_captured(void **state)
{
    capture self;
    capture_run(&self, state, 1, true, 0);
    assert_non_null(strstr(self.out, "from a child\n"));
    assert_non_null(strstr(self.out, "tail"));
    capture_end(&self);
}

static brg_worker *piped_worker(void **state, size_t bytes_max)
{
    brg_worker *worker = NULL;
    brg_error error;
    if (brg_worker_create(&worker,
                          brg_worker_opts(.module = world_module(), .isolation = scenario_isolation(state),
                                          .stdin_mode = BRG_STDIO_PIPE, .stdout_mode = BRG_STDIO_PIPE,
                                          .stderr_mode = BRG_STDIO_NULL, .stdio_bytes_max = bytes_max,
                                          .grace_ns = PATIENT),
                          &error) != BRG_OK)
        fail_msg("worker: %s", error.message);
    return worker;
}

static void post(brg_worker *worker, const char *what)
{
    assert_int_equal(brg_worker_post(worker, scenario_string("do", what), BOUND, NULL), BRG_OK);
}

static void output_without_a_loop(void **state)
{
    char text[128];
    size_t size = 0, got = 0;
    brg_worker *worker = piped_worker(state, 0);
    assert_int_equal(brg_worker_read_output(worker, BRG_OUTPUT_STDOUT, text, sizeof(text), &got, 0), BRG_EMPTY);
    assert_int_equal(brg_worker_read_output(worker, BRG_OUTPUT_STDERR, text, sizeof(text), &got, 0), BRG_STATE);
    assert_int_equal(brg_worker_read_output(worker, BRG_OUTPUT_STDOUT, text, 0, &got, 0), BRG_INVALID);
    assert_int_equal(brg_worker_read_output(worker, BRG_OUTPUT_STDOUT, text, 4, &got, BRG_MILLISECONDS(1)),
                     BRG_TIMED_OUT);
    post(worker, "print");
    while (size < 7) {
        assert_int_equal(brg_worker_read_output(worker, BRG_OUTPUT_STDOUT, text + size, 3, &got, BOUND), BRG_OK);
        assert_in_range(got, 1, 3);
        size += got;
    }
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    brg_status status;
    while ((status = brg_worker_read_output(worker, BRG_OUTPUT_STDOUT, text + size, 3, &got, BOUND)) == BRG_OK)
        size += got;
    assert_int_equal(status, BRG_CLOSED);
    text[size] = '\0';
    assert_string_equal(text, "line 0\ntail");
    assert_int_equal(brg_worker_wait(worker, BOUND, NULL), BRG_OK); /* its end follows */
    brg_worker_destroy(worker);
}

static const char *read_line(brg_worker *worker, brg_value **held)
{
    post(worker, "read");
    assert_int_equal(brg_worker_receive(worker, held, BOUND), BRG_OK);
    return brg_view_get_string(brg_value_root(*held), "line", "(end)");
}

static void stdin_is_written(void **state)
{
    brg_value *held = NULL;
    brg_error error;
    size_t written = 0;
    brg_worker *worker = piped_worker(state, 0);
    assert_int_equal(brg_worker_write_stdin(worker, "first\nsec", 9, &written, BOUND, &error), BRG_OK);
    assert_int_equal(written, 9);
    assert_string_equal(read_line(worker, &held), "first\n");
    brg_value_unref(held);
    assert_int_equal(brg_worker_write_stdin(worker, "ond\nrest", 8, NULL, BOUND, &error), BRG_OK);
    assert_string_equal(read_line(worker, &held), "second\n");
    brg_value_unref(held);
    brg_worker_close_stdin(worker);
    brg_worker_close_stdin(worker);
    assert_int_equal(brg_worker_write_stdin(worker, "x", 1, &written, BOUND, &error), BRG_CLOSED);
    assert_int_equal(written, 0);
    assert_string_equal(read_line(worker, &held), "rest");
    brg_value_unref(held);
    assert_string_equal(read_line(worker, &held), "(end)");
    brg_value_unref(held);
    brg_worker_destroy(worker);
}

/* Nobody reads: as much as fits, no more, no SIGPIPE when the worker is gone. */
static void stdin_is_bounded(void **state)
{
    static char block[1 << 20];
    brg_error error;
    size_t written = 0;
    brg_worker *worker = piped_worker(state, 4096);
    memset(block, 'x', sizeof(block));
    assert_int_equal(brg_worker_wait_online(worker, BOUND, NULL), BRG_OK);
    assert_int_equal(brg_worker_write_stdin(worker, block, sizeof(block), &written, 0, &error), BRG_FULL);
    assert_in_range(written, 1, sizeof(block) - 1);
    assert_int_equal(brg_worker_write_stdin(worker, block, sizeof(block), &written, BRG_MILLISECONDS(1), &error),
                     BRG_TIMED_OUT);
    assert_int_equal(written, 0);
    assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    assert_int_equal(brg_worker_wait(worker, BOUND, NULL), BRG_OK);
    assert_int_equal(brg_worker_write_stdin(worker, block, 1, &written, BOUND, &error), BRG_CLOSED);
    brg_worker_destroy(worker);
}

static void modes_are_checked(void **state)
{
    brg_loop *loop = NULL;
    brg_worker *worker = NULL;
    brg_error error;
    brg_isolation isolation = scenario_isolation(state);
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    assert_int_equal(brg_worker_create(&worker,
                                       brg_worker_opts(.module = world_module(), .isolation = isolation, .loop = loop,
                                                       .stdout_mode = BRG_STDIO_PIPE),
                                       &error),
                     BRG_INVALID);
    assert_int_equal(brg_worker_create(&worker,
                                       brg_worker_opts(.module = world_module(), .isolation = isolation, .loop = loop,
                                                       .on_stderr = on_stderr),
                                       &error),
                     BRG_INVALID);
    assert_int_equal(brg_worker_create(&worker,
                                       brg_worker_opts(.module = world_module(), .isolation = isolation,
                                                       .stdout_mode = BRG_STDIO_PIPE, .on_stdout = on_stdout),
                                       &error),
                     BRG_INVALID);
    assert_null(worker);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* Nobody ever reads, and the handle goes: the worker must not hang in a write. */
static void unread_output_hinders_no_end(void **state)
{
    brg_worker *worker = piped_worker(state, 4096);
    brg_value *message = NULL;
    assert_int_equal(brg_value_map(&message, NULL, brg_field_string("do", "print"), brg_field_int("lines", 100000)),
                     BRG_OK);
    assert_int_equal(brg_worker_post(worker, message, BOUND, NULL), BRG_OK);
    brg_worker_destroy(worker);
}

static void descriptors_stay_flat(void **state)
{
    brg_worker_destroy(piped_worker(state, 0)); /* the first makes supervisor and template */
    int before = scenario_open_files();
    for (int i = 0; i < 20; i++)
        brg_worker_destroy(piped_worker(state, 0));
    while (scenario_open_files() > before) /* the supervisor lets go a moment after the end, of the first one too */
        sched_yield();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(output_is_captured_whole),
        SCENARIO_BOTH(much_output_is_bounded),
        SCENARIO_PROCESS(children_of_the_worker_are_captured),
        SCENARIO_BOTH(output_without_a_loop),
        SCENARIO_BOTH(stdin_is_written),
        SCENARIO_BOTH(stdin_is_bounded),
        SCENARIO_BOTH(modes_are_checked),
        SCENARIO_BOTH(unread_output_hinders_no_end),
        SCENARIO_BOTH(descriptors_stay_flat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
