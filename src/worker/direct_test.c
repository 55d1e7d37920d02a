/* SPDX-License-Identifier: MIT */
/*
 * Messages by id: thread workers played by threads, process workers played over a fixture's link, the program's
 * handler.
 */
#include "worker/uplink_fixture.h"

#include <brigade/direct.h>

#include "worker/direct_hub.h"

static brg_loop *loop;

static brg_value *number_value(int64_t number)
{
    brg_value *value = NULL;
    fixture_check(brg_value_map(&value, NULL, brg_field_int("number", number)) == BRG_OK);
    return value;
}

static int64_t number_of(const brg_value *value) { return brg_view_get_int(brg_value_root(value), "number", -1); }

/* Posts `number`; after an error the message is still ours. */
static brg_status post(uint64_t to, int64_t number, uint64_t timeout_ns, brg_error *error)
{
    brg_value *message = number_value(number);
    brg_status status = brg_worker_post_to(to, message, timeout_ns, error);
    if (status != BRG_OK)
        brg_value_unref(message);
    return status;
}

/* A count of the hub's. */
static uint32_t count_of(const uint32_t *count)
{
    brg__direct_lock();
    uint32_t found = *count;
    brg__direct_unlock();
    return found;
}

/* ---- a worker that handles messages ---------------------------------------------------------------------------- */

typedef struct served {
    uint64_t id;
    fixture_worker *process; /* NULL: a thread worker */
    brg__direct_target target;
    brg_context context;
    uint64_t xcancel;
    brg__thread thread;
    uint32_t xsignal, xstop;
    uint32_t xheld, xrests; /* it does not begin any while xheld is not 0: the number of the hold that it keeps to */
    uint32_t xcount;
    uint64_t last_from;
    int64_t last_number;
    uint32_t xinside, xblock; /* the hook waits while xblock is set */
} served;

/* 13 fails. */
static brg_status served_direct(brg_context *context, uint64_t from, const brg_value *message)
{
    served *s = context->state;
    s->last_from = from;
    s->last_number = number_of(message);
    brg_add_seq_cst(&s->xcount, 1u);
    brg_store_seq_cst(&s->xinside, 1u);
    fixture_until(brg_load_seq_cst(&s->xblock) == 0);
    brg_store_seq_cst(&s->xinside, 0u);
    if (s->last_number == 13)
        return brg_context_fail(context, 4711, "thirteen is unlucky");
    return BRG_OK;
}

static const brg_module served_module = {
    .size = sizeof(brg_module), .abi = BRG_MODULE_ABI, .name = "served", .direct = served_direct};
static const brg_module deaf_module = {.size = sizeof(brg_module), .abi = BRG_MODULE_ABI, .name = "deaf"};

static void served_wake(brg__direct_target *target)
{
    served *s = brg__container_of(target, served, target);
    brg_add_seq_cst(&s->xsignal, 1u);
    brg__futex_wake(&s->xsignal, INT32_MAX, BRG__FUTEX_PRIVATE);
}

static void served_run(void *argument)
{
    served *s = argument;
    if (s->process != NULL)
        fixture_current = s->process;
    brg__context_set_current(&s->context);
    while (brg_load_acquire(&s->xstop) == 0) {
        uint32_t seen = brg_load_seq_cst(&s->xsignal), held = brg_load_seq_cst(&s->xheld);
        brg_store_seq_cst(&s->xrests, held);
        if (held != 0 || !brg__direct_run(&s->context))
            if (brg_load_acquire(&s->xstop) == 0)
                brg__futex_wait(&s->xsignal, seen, UINT64_MAX, BRG__FUTEX_PRIVATE);
    }
    fixture_leave();
}

static void served_signal(served *s) { served_wake(&s->target); }

/* From here on it begins none: its thread has seen that, and is not about to. Each hold has another number. */
static void served_hold(served *s, uint32_t number)
{
    brg_store_seq_cst(&s->xheld, number);
    served_signal(s);
    fixture_until(brg_load_seq_cst(&s->xrests) == number);
}

static void served_let_go(served *s)
{
    brg_store_seq_cst(&s->xheld, 0u);
    served_signal(s);
}

static served *served_start_with(uint64_t id, fixture_worker *process, const brg_module *module)
{
    served *s = brg__calloc_aligned(sizeof(*s));
    assert_non_null(s);
    s->id = id;
    s->process = process;
    s->context.worker_id = id;
    s->context.xcancel = &s->xcancel;
    s->context.usage = &s->context.own_usage;
    s->context.state = s;
    s->context.direct = &s->target;
    s->context.module = module;
    if (process != NULL)
        brg__direct_open_home(&s->target, id, served_wake);
    else
        assert_int_equal(brg__direct_open(&s->target, id, NULL, served_wake, NULL), BRG_OK);
    return s;
}

static void served_online(served *s)
{
    brg__direct_ready(&s->target, brg__direct_has_hook(s->context.module));
    assert_int_equal(brg__thread_start(&s->thread, "served", 0, served_run, s, NULL), BRG_OK);
}

static served *served_start(uint64_t id, fixture_worker *process)
{
    served *s = served_start_with(id, process, &served_module);
    served_online(s);
    return s;
}

static void served_stop(served *s)
{
    brg_store_release(&s->xstop, 1u);
    served_signal(s);
    brg__thread_join(&s->thread);
}

static void served_close(served *s)
{
    if (s->process != NULL)
        fixture_current = s->process;
    brg__direct_close(&s->target);
    brg__direct_close(&s->target); /* twice does nothing */
    fixture_current = NULL;
}

static void served_end(served *s)
{
    served_stop(s);
    served_close(s);
    brg__mfree_aligned(s);
}

/* ---- a thread that posts --------------------------------------------------------------------------------------- */

typedef struct poster {
    brg__thread thread;
    uint64_t to;
    int64_t number;
    uint64_t timeout_ns;
    fixture_worker *process;
    uint32_t xdone;
    brg_status status;
    brg_error error;
} poster;

static void poster_run(void *argument)
{
    poster *p = argument;
    if (p->process != NULL)
        fixture_enter(p->process);
    p->status = post(p->to, p->number, p->timeout_ns, &p->error);
    fixture_leave();
    brg_store_release(&p->xdone, 1u);
}

static void poster_start(poster *p)
{
    if (p->timeout_ns == 0)
        p->timeout_ns = BRG_FOREVER;
    assert_int_equal(brg__thread_start(&p->thread, "poster", 0, poster_run, p, NULL), BRG_OK);
}

/* ---- thread workers -------------------------------------------------------------------------------------------- */

static void a_post_returns_when_it_was_handled(void **state)
{
    (void)state;
    served *s = served_start(5, NULL);
    brg_error error;
    memset(&error, 0, sizeof(error));
    assert_int_equal(post(5, 42, BRG_FOREVER, &error), BRG_OK);
    assert_int_equal(s->last_number, 42);
    assert_int_equal(s->last_from, 0);
    assert_int_equal(post(5, 13, BRG_FOREVER, &error), BRG_FAILED);
    assert_int_equal(error.status, BRG_FAILED);
    assert_int_equal(error.code, 4711);
    assert_string_equal(error.message, "thirteen is unlucky");
    served *other = served_start(6, NULL);
    brg__context_set_current(&other->context); /* this thread plays worker 6 */
    assert_int_equal(post(5, 1, BRG_FOREVER, NULL), BRG_OK);
    assert_int_equal(s->last_from, 6);
    assert_int_equal(post(6, 1, BRG_FOREVER, NULL), BRG_DEADLOCK);
    brg__context_set_current(NULL);
    served_end(other);
    served_end(s);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    brg_error error;
    assert_int_equal(post(999, 1, BRG_FOREVER, &error), BRG_NOT_FOUND);
    assert_int_equal(post(BRG_PROGRAM_ID, 1, BRG_FOREVER, &error), BRG_DEADLOCK);
    assert_int_equal(post(999, 1, 0, &error), BRG_INVALID);
    assert_int_equal(brg_worker_post_to(999, NULL, BRG_FOREVER, &error), BRG_INVALID);
    served *deaf = served_start_with(5, NULL, &deaf_module);
    served_online(deaf);
    assert_int_equal(post(5, 1, BRG_FOREVER, &error), BRG_UNSUPPORTED);
    brg__context_set_current(&deaf->context);
    assert_int_equal(post(BRG_PROGRAM_ID, 1, BRG_FOREVER, &error), BRG_UNSUPPORTED);
    brg__context_set_current(NULL);
    served_end(deaf);
    assert_int_equal(post(5, 1, BRG_FOREVER, &error), BRG_NOT_FOUND);
    const brg_module short_module = {.size = offsetof(brg_module, direct), .direct = served_direct};
    assert_false(brg__direct_has_hook(&short_module)); /* a module from before there was the hook */
    assert_false(brg__direct_has_hook(NULL));
}

static void messages_wait_for_a_worker_that_starts(void **state)
{
    (void)state;
    served *s = served_start_with(5, NULL, &served_module);
    poster p = {.to = 5, .number = 3};
    poster_start(&p);
    fixture_until(count_of(&s->target.count) == 1);
    assert_int_equal(brg_load_acquire(&p.xdone), 0);
    served_online(s);
    brg__thread_join(&p.thread);
    assert_int_equal(p.status, BRG_OK);
    served_end(s);
    s = served_start_with(5, NULL, &deaf_module);
    poster_start(&p);
    fixture_until(count_of(&s->target.count) == 1);
    served_online(s);
    brg__thread_join(&p.thread);
    assert_int_equal(p.status, BRG_UNSUPPORTED);
    served_end(s);
}

static void a_handler_that_is_too_slow_goes_on(void **state)
{
    (void)state;
    served *s = served_start(5, NULL);
    brg_store_seq_cst(&s->xblock, 1u);
    do /* one that was not begun in time is withdrawn */
        assert_int_equal(post(5, 1, BRG_MILLISECONDS(2), NULL), BRG_TIMED_OUT);
    while (brg_load_seq_cst(&s->xinside) == 0);
    brg_error error;
    assert_int_equal(post(5, 2, BRG_MILLISECONDS(2), &error), BRG_TIMED_OUT); /* never begun */
    assert_string_equal(error.message, "the worker did not handle the message in time");
    brg_store_seq_cst(&s->xblock, 0u);
    assert_int_equal(post(5, 3, BRG_FOREVER, NULL), BRG_OK);
    assert_int_equal(brg_load_seq_cst(&s->xcount), 2);
    assert_int_equal(s->last_number, 3);
    served_end(s);
}

static void a_worker_that_ends_closes_what_waits_for_it(void **state)
{
    (void)state;
    served *s = served_start(5, NULL);
    brg_store_seq_cst(&s->xblock, 1u);
    poster runs = {.to = 5, .number = 1}, waits = {.to = 5, .number = 2};
    poster_start(&runs);
    fixture_until(brg_load_seq_cst(&s->xinside) == 1);
    poster_start(&waits);
    fixture_until(count_of(&s->target.count) == 2);
    served_close(s); /* abandoned: it is still in its handler */
    brg__thread_join(&runs.thread);
    brg__thread_join(&waits.thread);
    assert_int_equal(runs.status, BRG_CLOSED);
    assert_int_equal(waits.status, BRG_CLOSED);
    brg_store_seq_cst(&s->xblock, 0u);
    served_end(s);
}

static void nobody_cares(const brg_error *error, void *user_data) { (void)error, (void)user_data; }

static void what_waits_for_a_worker_is_bounded(void **state)
{
    (void)state;
    served *s = served_start(5, NULL);
    served_hold(s, 1);
    brg_error error;
    for (int i = 0; i < BRG__DIRECT_QUEUE_MAX; i++)
        assert_int_equal(
            brg_worker_post_to_async(5, number_value(i), brg_direct_opts(.loop = loop, .done = nobody_cares), &error),
            BRG_OK);
    assert_int_equal(post(5, 0, BRG_FOREVER, &error), BRG_FULL);
    served_let_go(s);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(post(5, 0, BRG_FOREVER, &error), BRG_OK);
    served_hold(s, 2);
    brg_value *big = NULL;
    brg_buffer *buffer = NULL;
    brg_builder *builder = NULL;
    assert_int_equal(brg_buffer_create(&buffer, BRG__DIRECT_BYTES_MAX + 1, NULL), BRG_OK);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_buffer(builder, &buffer);
    assert_int_equal(brg_builder_finish(builder, &big, NULL), BRG_OK);
    brg_builder_destroy(builder);
    assert_int_equal(brg_worker_post_to_async(5, big, brg_direct_opts(.loop = loop, .done = nobody_cares), &error),
                     BRG_OK); /* one always passes */
    assert_int_equal(post(5, 0, BRG_FOREVER, &error), BRG_FULL);
    served_let_go(s);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    served_end(s);
}

static void a_worker_that_is_asked_to_end_stops_waiting(void **state)
{
    (void)state;
    served *s = served_start(5, NULL);
    served_hold(s, 1);
    brg_context asked;
    uint64_t xcancel = UINT64_MAX;
    memset(&asked, 0, sizeof(asked));
    asked.worker_id = 6;
    asked.xcancel = &xcancel;
    asked.usage = &asked.own_usage;
    brg__context_set_current(&asked);
    assert_int_equal(post(5, 1, BRG_FOREVER, NULL), BRG_CANCELLED);
    brg__context_set_current(NULL);
    assert_int_equal(s->target.count, 0);
    served_end(s);
}

/* ---- on loops -------------------------------------------------------------------------------------------------- */

typedef struct outcome {
    int done, released;
    brg_status status;
} outcome;

static void outcome_done(const brg_error *error, void *user_data)
{
    outcome *o = user_data;
    o->done++;
    o->status = error != NULL ? error->status : BRG_OK;
}

static void outcome_release(void *user_data) { ((outcome *)user_data)->released++; }

#define outcome_opts(o, ...)                                                                                           \
    brg_direct_opts(.loop = loop, .done = outcome_done, .release = outcome_release, .user_data = (o), __VA_ARGS__)

static void outcomes_are_heard_on_the_loop(void **state)
{
    (void)state;
    served *s = served_start(5, NULL);
    outcome well = {0}, failed = {0}, late = {0};
    assert_int_equal(brg_worker_post_to_async(5, number_value(1), outcome_opts(&well, .timeout_ns = BRG_FOREVER), NULL),
                     BRG_OK);
    assert_int_equal(well.done, 0);
    assert_int_equal(
        brg_worker_post_to_async(5, number_value(13), outcome_opts(&failed, .timeout_ns = BRG_SECONDS(100000)), NULL),
        BRG_OK);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    served_hold(s, 1);
    assert_int_equal(
        brg_worker_post_to_async(5, number_value(2), outcome_opts(&late, .timeout_ns = BRG_MILLISECONDS(1)), NULL),
        BRG_OK);
    assert_int_equal(brg_loop_destroy(loop), BRG_STATE);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(well.status, BRG_OK);
    assert_int_equal(failed.status, BRG_FAILED);
    assert_int_equal(late.status, BRG_TIMED_OUT);
    assert_int_equal(well.done + failed.done + late.done, 3);
    assert_int_equal(well.released + failed.released + late.released, 3);
    brg_value *message = number_value(3);
    outcome never = {0};
    assert_int_equal(brg_worker_post_to_async(999, message, outcome_opts(&never, .timeout_ns = 1), NULL),
                     BRG_NOT_FOUND);
    assert_int_equal(brg_worker_post_to_async(5, message, NULL, NULL), BRG_INVALID);
    assert_int_equal(brg_worker_post_to_async(5, NULL, outcome_opts(&never, .timeout_ns = 1), NULL), BRG_INVALID);
    assert_int_equal(never.done + never.released, 0);
    brg_value_unref(message);
    served_end(s);
    assert_int_equal(brg_loop_pending(loop), 0);
}

typedef struct program {
    int count, released;
    uint64_t last_from;
    brg_direct_handler *handler;
    bool unhandle_inside;
} program;

static brg_status program_direct(uint64_t from, const brg_value *message, void *user_data, brg_error *error)
{
    program *p = user_data;
    p->count++;
    p->last_from = from;
    if (p->unhandle_inside)
        brg_direct_unhandle(p->handler);
    if (number_of(message) == 13)
        return brg_error_set(error, BRG_INVALID, "test", "no thirteen here");
    return number_of(message) == 14 ? BRG_RANGE : BRG_OK;
}

static void program_release(void *user_data) { ((program *)user_data)->released++; }

#define program_opts(p)                                                                                                \
    brg_direct_handler_opts(.loop = loop, .on_direct = program_direct, .keeps_loop = true, .release = program_release, \
                            .user_data = (p))

static void poster_finish(poster *p)
{
    while (brg_load_acquire(&p->xdone) == 0)
        (void)brg_loop_dispatch(loop);
    brg__thread_join(&p->thread);
}

static void the_program_handles_messages_on_its_loop(void **state)
{
    (void)state;
    program mine = {0};
    assert_int_equal(brg_direct_handle(&mine.handler, program_opts(&mine), NULL), BRG_OK);
    brg_direct_handler *second = NULL;
    assert_int_equal(brg_direct_handle(&second, program_opts(&mine), NULL), BRG_STATE);
    assert_int_equal(brg_direct_handle(&second, brg_direct_handler_opts(.loop = loop), NULL), BRG_INVALID);
    fixture_worker *worker = fixture_worker_start(7);
    poster well = {.process = worker, .number = 1}, fails = {.process = worker, .number = 13};
    poster fails_silently = {.process = worker, .number = 14}, waits = {.process = worker, .number = 2};
    poster_start(&well);
    poster_finish(&well);
    assert_int_equal(well.status, BRG_OK);
    assert_int_equal(mine.last_from, 7);
    poster_start(&fails);
    poster_finish(&fails);
    assert_int_equal(fails.status, BRG_FAILED);
    assert_string_equal(fails.error.message, "no thirteen here");
    poster_start(&fails_silently);
    poster_finish(&fails_silently);
    assert_int_equal(fails_silently.status, BRG_FAILED);
    assert_true(strstr(fails_silently.error.message, "BRG_RANGE") != NULL);
    mine.unhandle_inside = true;
    poster_start(&waits);
    poster_finish(&waits);
    assert_int_equal(waits.status, BRG_OK); /* it ended itself, and well */
    assert_int_equal(mine.released, 1);
    poster_start(&waits);
    poster_finish(&waits);
    assert_int_equal(waits.status, BRG_UNSUPPORTED);
    assert_int_equal(brg_direct_handle(&second, program_opts(&mine), NULL), BRG_OK);
    brg_direct_unhandle(second);
    brg_direct_unhandle(NULL);
    fixture_worker_end(worker);
    assert_int_equal(brg_loop_pending(loop), 0);
}

static void ending_the_handler_closes_what_waits_for_it(void **state)
{
    (void)state;
    program mine = {0};
    assert_int_equal(brg_direct_handle(&mine.handler, program_opts(&mine), NULL), BRG_OK);
    fixture_worker *worker = fixture_worker_start(7);
    poster waits = {.process = worker};
    poster_start(&waits);
    fixture_until(count_of(&worker->client.call_count) == 1);
    brg_direct_unhandle(mine.handler);
    poster_finish(&waits);
    assert_true(waits.status == BRG_CLOSED || waits.status == BRG_UNSUPPORTED);
    assert_int_equal(mine.count, 0);
    fixture_worker_end(worker);
}

/* A worker with a loop of its own takes a handler in place of its hook, and the hook again after. */
static void a_handler_stands_in_for_the_hook(void **state)
{
    (void)state;
    served *s = served_start(5, NULL);
    program mine = {0};
    brg__context_set_current(&s->context);
    assert_int_equal(brg_direct_handle(&mine.handler, program_opts(&mine), NULL), BRG_OK);
    brg__context_set_current(NULL);
    poster p = {.to = 5};
    poster_start(&p);
    poster_finish(&p);
    assert_int_equal(p.status, BRG_OK);
    assert_int_equal(mine.count, 1);
    assert_int_equal(brg_load_seq_cst(&s->xcount), 0);
    brg_direct_unhandle(mine.handler);
    assert_int_equal(post(5, 1, BRG_FOREVER, NULL), BRG_OK);
    assert_int_equal(brg_load_seq_cst(&s->xcount), 1);
    brg__context_set_current(&s->context);
    assert_int_equal(brg_direct_handle(&mine.handler, program_opts(&mine), NULL), BRG_OK);
    brg__context_set_current(NULL);
    served_end(s); /* its handler outlives it, and does nothing any more */
    brg_direct_unhandle(mine.handler);
}

/* ---- process workers ------------------------------------------------------------------------------------------- */

static void a_process_worker_handles_messages(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    served *s = served_start(7, worker);
    served *thread = served_start(5, NULL);
    brg_error error;
    assert_int_equal(post(7, 42, BRG_FOREVER, &error), BRG_OK);
    assert_int_equal(s->last_number, 42);
    assert_int_equal(s->last_from, 0);
    assert_int_equal(post(7, 13, BRG_FOREVER, &error), BRG_FAILED);
    assert_int_equal(error.code, 4711);
    assert_string_equal(error.message, "thirteen is unlucky");
    brg__context_set_current(&thread->context);
    assert_int_equal(post(7, 1, BRG_FOREVER, &error), BRG_OK);
    assert_int_equal(s->last_from, 5);
    fixture_leave();
    fixture_enter(worker);
    assert_int_equal(post(5, 8, BRG_FOREVER, &error), BRG_OK);
    assert_int_equal(thread->last_from, 7);
    assert_int_equal(post(5, 13, BRG_FOREVER, &error), BRG_FAILED);
    assert_int_equal(error.code, 4711);
    assert_string_equal(error.message, "thirteen is unlucky");
    assert_int_equal(post(7, 8, BRG_FOREVER, &error), BRG_DEADLOCK);
    assert_int_equal(post(999, 8, BRG_FOREVER, &error), BRG_NOT_FOUND);
    fixture_leave();
    fixture_worker *second = fixture_worker_start(8);
    fixture_enter(second);
    assert_int_equal(post(7, 9, BRG_FOREVER, &error), BRG_OK);
    assert_int_equal(s->last_from, 8);
    outcome o = {0};
    assert_int_equal(brg_worker_post_to_async(7, number_value(13), outcome_opts(&o, .timeout_ns = 0), NULL), BRG_OK);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(o.status, BRG_FAILED);
    fixture_leave();
    assert_int_equal(brg_load_acquire(&worker->xprotocol) + brg_load_acquire(&second->xprotocol), 0);
    served_end(thread);
    served_end(s);
    assert_int_equal(post(7, 9, BRG_FOREVER, &error), BRG_UNSUPPORTED); /* its link is still there */
    fixture_worker_end(second);
    fixture_worker_end(worker);
    assert_int_equal(post(7, 9, BRG_FOREVER, &error), BRG_NOT_FOUND);
}

static void a_process_worker_that_dies_fails_its_messages(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    served *thread = served_start(5, NULL);
    fixture_hold(worker, 1);
    poster to_it = {.to = 7};
    poster_start(&to_it);
    fixture_until(count_of(&worker->client.direct.count) == 1);
    brg_store_seq_cst(&worker->xheld, 0u);
    brg_store_seq_cst(&thread->xblock, 1u);
    poster from_it = {.to = 5, .process = worker};
    poster_start(&from_it);
    fixture_until(brg_load_seq_cst(&thread->xinside) == 1);
    fixture_worker_die(worker);
    brg__thread_join(&to_it.thread);
    brg__thread_join(&from_it.thread);
    assert_true(to_it.status == BRG_CLOSED || to_it.status == BRG_UNSUPPORTED);
    assert_int_equal(from_it.status, BRG_CLOSED);
    brg_store_seq_cst(&thread->xblock, 0u);
    assert_int_equal(post(5, 1, BRG_FOREVER, NULL), BRG_OK);
    served_end(thread);
    fixture_worker_free(worker);
}

static void a_process_worker_hears_of_a_timeout(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    served *thread = served_start(5, NULL);
    brg_store_seq_cst(&thread->xblock, 1u);
    poster p = {.to = 5, .process = worker, .timeout_ns = BRG_MILLISECONDS(5)};
    poster_start(&p);
    brg__thread_join(&p.thread);
    assert_int_equal(p.status, BRG_TIMED_OUT);
    brg_store_seq_cst(&thread->xblock, 0u);
    fixture_until(count_of(&worker->client.call_count) == 0);
    served_end(thread);
    fixture_worker_end(worker);
}

/* What a hostile worker says: it has handled what it was never sent, or anything about nothing. */
static void nonsense_does_no_harm(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    served *thread = served_start(5, NULL);
    const uint64_t notices[][BRG__SERVICE_WORDS] = {
        {0, 0}, {1, 0}, {UINT64_MAX, UINT64_MAX}, {1, 77}, {2, (uint64_t)(int64_t)BRG_FULL}};
    fixture_enter(worker);
    for (size_t i = 0; i < brg__count_of(notices); i++) {
        brg_value *value = number_value(1);
        brg__uplink_notice(BRG__SERVICE_DIRECT, notices[i], i % 2 == 0 ? value : NULL);
        brg_value_unref(value);
    }
    const uint64_t words[BRG__SERVICE_WORDS] = {5, BRG_FOREVER};
    assert_int_equal(brg__uplink_call_wait(BRG__SERVICE_DIRECT, words, NULL, UINT64_MAX, NULL, NULL), BRG_PROTOCOL);
    assert_int_equal(post(5, 1, BRG_FOREVER, NULL), BRG_OK);
    fixture_leave();
    served_end(thread);
    fixture_worker_end(worker);
}

/* ---- many ------------------------------------------------------------------------------------------------------ */

#define MANY_POSTS 200

typedef struct crowd {
    brg__thread thread;
    fixture_worker *process;
    uint64_t random;
    uint32_t handled;
} crowd;

static void crowd_run(void *argument)
{
    crowd *c = argument;
    if (c->process != NULL)
        fixture_enter(c->process);
    for (int i = 0; i < MANY_POSTS; i++) {
        c->random = c->random * UINT64_C(6364136223846793005) + 1;
        uint64_t to = 5 + (c->random >> 62);
        bool hurried = (c->random >> 40) % 8 == 0;
        brg_status status = post(to, 1, hurried ? BRG_MICROSECONDS(30) : BRG_FOREVER, NULL);
        fixture_check(status == BRG_OK || (status == BRG_TIMED_OUT && hurried) ||
                      (status == BRG_DEADLOCK && c->process != NULL && to == 7) ||
                      (to == 8 && (status == BRG_NOT_FOUND || status == BRG_CLOSED)));
        c->handled += status == BRG_OK;
    }
    fixture_leave();
}

/* To two threads, a process and a worker that comes and goes, from threads and the process. */
static void a_crowd_posts_to_each_other(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    served *targets[] = {served_start(5, NULL), served_start(6, NULL), served_start(7, worker)};
    crowd all[5];
    for (size_t i = 0; i < brg__count_of(all); i++) {
        all[i] = (crowd){.random = i * 99 + 7, .process = i < 3 ? NULL : worker};
        assert_int_equal(brg__thread_start(&all[i].thread, "crowd", 0, crowd_run, &all[i], NULL), BRG_OK);
    }
    for (int i = 0; i < 30; i++)
        served_end(served_start(8, NULL));
    uint32_t settled = 0, handled = 0;
    for (size_t i = 0; i < brg__count_of(all); i++) {
        brg__thread_join(&all[i].thread);
        settled += all[i].handled;
    }
    for (size_t i = 0; i < brg__count_of(targets); i++)
        handled += brg_load_seq_cst(&targets[i]->xcount);
    assert_true(settled != 0 && handled != 0);
    for (size_t i = 0; i < brg__count_of(targets); i++)
        served_end(targets[i]);
    fixture_worker_end(worker);
}

static int setup(void **state)
{
    (void)state;
    return brg_loop_create(&loop, NULL, NULL);
}

static int teardown(void **state)
{
    (void)state;
    while (brg_loop_dispatch(loop) != 0)
        ;
    return brg_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_post_returns_when_it_was_handled),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(messages_wait_for_a_worker_that_starts),
        cmocka_unit_test(a_handler_that_is_too_slow_goes_on),
        cmocka_unit_test(a_worker_that_ends_closes_what_waits_for_it),
        cmocka_unit_test(what_waits_for_a_worker_is_bounded),
        cmocka_unit_test(a_worker_that_is_asked_to_end_stops_waiting),
        cmocka_unit_test(outcomes_are_heard_on_the_loop),
        cmocka_unit_test(the_program_handles_messages_on_its_loop),
        cmocka_unit_test(ending_the_handler_closes_what_waits_for_it),
        cmocka_unit_test(a_handler_stands_in_for_the_hook),
        cmocka_unit_test(a_process_worker_handles_messages),
        cmocka_unit_test(a_process_worker_that_dies_fails_its_messages),
        cmocka_unit_test(a_process_worker_hears_of_a_timeout),
        cmocka_unit_test(nonsense_does_no_harm),
        cmocka_unit_test(a_crowd_posts_to_each_other),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
