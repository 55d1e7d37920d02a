/* SPDX-License-Identifier: MIT */
/* Named locks: in threads of the program and, through a link that is played, in process workers. */
#include "worker/uplink_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

#include <brigade/locks.h>
#include <brigade/token.h>

static brg_loop *loop;

static size_t query_count(const char *which)
{
    brg_value *all = NULL;
    fixture_check(brg_locks_query(&all, NULL) == BRG_OK);
    size_t count = brg_view_count(brg_view_get(brg_value_root(all), which));
    brg_value_unref(all);
    return count;
}

static brg_lock *take(const char *name, const brg_lock_options *options)
{
    brg_lock *lock = NULL;
    brg_error error;
    brg_status status = brg_lock_acquire(&lock, name, options, &error);
    if (status != BRG_OK)
        fprintf(stderr, "%s\n", error.message);
    fixture_check(status == BRG_OK);
    fixture_check(brg_lock_is_held(lock) && !brg_lock_is_lost(lock));
    return lock;
}

#define take_shared(name) take(name, brg_lock_opts(.mode = BRG_LOCK_SHARED))
#define try_lock(out, name, mode_) brg_lock_acquire(out, name, brg_lock_opts(.mode = mode_, .if_available = true), NULL)

/* ---- a thread that acquires, and says so ----------------------------------------------------------------------- */

typedef struct taker {
    const char *name;
    brg_lock_mode mode;
    uint64_t worker_id;      /* a thread worker's */
    fixture_worker *process; /* or it is in that one */
    uint64_t timeout_ns;
    brg_token *token;
    brg__thread thread;
    brg_context context;
    uint64_t xcancel;
    uint32_t xdone;
    uint32_t xorder; /* when it got it, from 1 */
    brg_status status;
    brg_lock *lock;
} taker;

static uint32_t xtaken; /* how many got theirs */

static void taker_run(void *argument)
{
    taker *t = argument;
    if (t->process != NULL) {
        fixture_enter(t->process);
    } else if (t->worker_id != 0) {
        t->context.worker_id = t->worker_id;
        t->context.xcancel = &t->xcancel;
        t->context.usage = &t->context.own_usage;
        brg__context_set_current(&t->context);
    }
    t->status = brg_lock_acquire(&t->lock, t->name,
                                 brg_lock_opts(.mode = t->mode, .timeout_ns = t->timeout_ns, .token = t->token), NULL);
    if (t->status == BRG_OK)
        t->xorder = brg_add_seq_cst(&xtaken, 1u) + 1;
    fixture_leave();
    brg_store_release(&t->xdone, 1u);
}

static void taker_start(taker *t)
{
    assert_int_equal(brg__thread_start(&t->thread, "taker", 0, taker_run, t, NULL), BRG_OK);
}

static bool taker_is_done(taker *t) { return brg_load_acquire(&t->xdone) != 0; }

/* Starts it and waits until it is in the queue, `pending` of them by then. */
static void taker_start_pending(taker *t, size_t pending)
{
    taker_start(t);
    fixture_until(query_count("pending") == pending);
    assert_false(taker_is_done(t));
}

static void taker_join(taker *t) { brg__thread_join(&t->thread); }

static void taker_release(taker *t)
{
    if (t->process != NULL)
        fixture_enter(t->process);
    brg_lock_release(t->lock);
    fixture_leave();
}

/* ---- in the program -------------------------------------------------------------------------------------------- */

static void exclusive_excludes_and_shared_shares(void **state)
{
    (void)state;
    brg_lock *other = NULL;
    brg_lock *lock = take("a", NULL);
    assert_string_equal(brg_lock_name(lock), "a");
    assert_int_equal(brg_lock_get_mode(lock), BRG_LOCK_EXCLUSIVE);
    assert_int_equal(try_lock(&other, "a", BRG_LOCK_EXCLUSIVE), BRG_FULL);
    assert_int_equal(try_lock(&other, "a", BRG_LOCK_SHARED), BRG_FULL);
    assert_null(other);
    brg_lock *elsewhere = take("b", NULL);
    brg_lock_release(elsewhere);
    brg_lock_release(lock);
    brg_lock *one = take_shared("a");
    brg_lock *two = take_shared("a");
    assert_int_equal(try_lock(&other, "a", BRG_LOCK_EXCLUSIVE), BRG_FULL);
    assert_int_equal(query_count("held"), 2);
    brg_lock_release(one);
    assert_int_equal(try_lock(&other, "a", BRG_LOCK_EXCLUSIVE), BRG_FULL);
    brg_lock_release(two);
    assert_int_equal(try_lock(&other, "a", BRG_LOCK_EXCLUSIVE), BRG_OK);
    brg_lock_release(other);
    assert_int_equal(query_count("held"), 0);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    char name[BRG_LOCK_NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    brg_lock *lock = NULL;
    brg_error error;
    assert_int_equal(brg_lock_acquire(&lock, name, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_lock_acquire(&lock, "", NULL, &error), BRG_INVALID);
    assert_int_equal(brg_lock_acquire(&lock, NULL, NULL, &error), BRG_INVALID);
    assert_int_equal(brg_lock_acquire(NULL, "a", NULL, &error), BRG_INVALID);
    assert_int_equal(brg_lock_acquire(&lock, "\xff", NULL, &error), BRG_INVALID);
    assert_int_equal(brg_lock_acquire(&lock, "a", brg_lock_opts(.steal = true, .mode = BRG_LOCK_SHARED), &error),
                     BRG_INVALID);
    assert_int_equal(brg_lock_acquire(&lock, "a", brg_lock_opts(.steal = true, .if_available = true), &error),
                     BRG_INVALID);
    assert_int_equal(brg_lock_acquire(&lock, "a", brg_lock_opts(.mode = (brg_lock_mode)7), &error), BRG_INVALID);
    assert_int_equal(brg_lock_acquire(&lock, "a", brg_lock_opts(.loop = loop), &error), BRG_INVALID);
    assert_int_equal(brg_lock_request(&lock, "a", NULL, &error), BRG_INVALID);
    assert_int_equal(brg_lock_request(&lock, "a", brg_lock_opts(.loop = loop), &error), BRG_INVALID);
    assert_null(lock);
    brg_lock_release(NULL);
    name[BRG_LOCK_NAME_MAX] = '\0';
    brg_lock_release(take(name, NULL));
}

/* Shared held; exclusive waits; a later shared one waits behind it, though it would agree with the holder. */
static void requests_are_served_in_order(void **state)
{
    (void)state;
    brg_store_relaxed(&xtaken, 0u);
    brg_lock *held = take_shared("queue");
    taker writer = {.name = "queue"};
    taker reader = {.name = "queue", .mode = BRG_LOCK_SHARED};
    taker reader_too = {.name = "queue", .mode = BRG_LOCK_SHARED};
    taker_start_pending(&writer, 1);
    taker_start_pending(&reader, 2);
    taker_start_pending(&reader_too, 3);
    brg_lock *other = NULL;
    assert_int_equal(try_lock(&other, "queue", BRG_LOCK_SHARED), BRG_FULL);
    brg_lock_release(held);
    taker_join(&writer);
    assert_int_equal(writer.status, BRG_OK);
    assert_int_equal(query_count("pending"), 2);
    taker_release(&writer);
    taker_join(&reader);
    taker_join(&reader_too);
    assert_int_equal(query_count("held"), 2);
    assert_int_equal(writer.xorder, 1);
    taker_release(&reader);
    taker_release(&reader_too);
    assert_int_equal(query_count("held"), 0);
}

static void a_wait_ends_in_time_or_by_its_token(void **state)
{
    (void)state;
    brg_lock *held = take("timed", NULL), *lock = NULL;
    assert_int_equal(brg_lock_acquire(&lock, "timed", brg_lock_opts(.timeout_ns = BRG_MILLISECONDS(2)), NULL),
                     BRG_TIMED_OUT);
    assert_int_equal(query_count("pending"), 0);
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    taker waits = {.name = "timed", .token = token};
    taker_start_pending(&waits, 1);
    brg_token_cancel(token);
    taker_join(&waits);
    assert_int_equal(waits.status, BRG_CANCELLED);
    assert_int_equal(query_count("pending"), 0);
    assert_int_equal(brg_lock_acquire(&lock, "timed", brg_lock_opts(.token = token), NULL), BRG_CANCELLED);
    assert_null(lock);
    brg_token_unref(token);
    brg_lock_release(held);
}

static void a_withdrawn_request_lets_those_behind_it_pass(void **state)
{
    (void)state;
    brg_lock *held = take_shared("passing");
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    taker writer = {.name = "passing", .token = token};
    taker reader = {.name = "passing", .mode = BRG_LOCK_SHARED};
    taker_start_pending(&writer, 1);
    taker_start_pending(&reader, 2);
    brg_token_cancel(token);
    taker_join(&writer);
    assert_int_equal(writer.status, BRG_CANCELLED);
    taker_join(&reader);
    assert_int_equal(reader.status, BRG_OK);
    taker_release(&reader);
    brg_token_unref(token);
    /* The same by time, which may be over before the reader comes. */
    taker late = {.name = "passing", .timeout_ns = BRG_MILLISECONDS(100)};
    reader = (taker){.name = "passing", .mode = BRG_LOCK_SHARED};
    taker_start(&late);
    fixture_until(query_count("pending") == 1 || taker_is_done(&late));
    taker_start(&reader);
    taker_join(&late);
    assert_int_equal(late.status, BRG_TIMED_OUT);
    taker_join(&reader);
    assert_int_equal(reader.status, BRG_OK);
    taker_release(&reader);
    brg_lock_release(held);
}

static void a_stolen_lock_is_lost(void **state)
{
    (void)state;
    brg_lock *one = take_shared("stolen"), *two = take_shared("stolen");
    taker waits = {.name = "stolen"};
    taker_start_pending(&waits, 1);
    brg_lock *thief = take("stolen", brg_lock_opts(.steal = true));
    assert_true(brg_lock_is_lost(one) && brg_lock_is_lost(two));
    assert_false(brg_lock_is_held(one));
    assert_int_equal(query_count("held"), 1);
    assert_int_equal(query_count("pending"), 1);
    brg_lock_release(one); /* lets go of nothing that is the thief's */
    brg_lock_release(two);
    assert_false(taker_is_done(&waits));
    assert_true(brg_lock_is_held(thief));
    brg_lock_release(thief);
    taker_join(&waits);
    assert_int_equal(waits.status, BRG_OK);
    taker_release(&waits);
}

static void a_worker_that_ends_lets_go(void **state)
{
    (void)state;
    taker holds = {.name = "ended", .worker_id = 41};
    taker_start(&holds);
    taker_join(&holds);
    taker waits = {.name = "ended", .worker_id = 41}, next = {.name = "ended", .worker_id = 42};
    taker_start_pending(&waits, 1);
    taker_start_pending(&next, 2);
    brg_value *all = NULL;
    assert_int_equal(brg_locks_query(&all, NULL), BRG_OK);
    brg_view held = brg_view_at(brg_view_get(brg_value_root(all), "held"), 0);
    assert_string_equal(brg_view_get_string(held, "name", ""), "ended");
    assert_string_equal(brg_view_get_string(held, "mode", ""), "exclusive");
    assert_int_equal(brg_view_get_int(held, "worker", -1), 41);
    brg_view second = brg_view_at(brg_view_get(brg_value_root(all), "pending"), 1);
    assert_int_equal(brg_view_get_int(second, "worker", -1), 42);
    brg_value_unref(all);
    brg__services_worker_gone(41);
    taker_join(&waits);
    taker_join(&next);
    assert_int_equal(waits.status, BRG_CLOSED);
    assert_int_equal(next.status, BRG_OK);
    assert_true(brg_lock_is_lost(holds.lock));
    taker_release(&holds);
    assert_true(brg_lock_is_held(next.lock));
    taker_release(&next);
}

static void a_forked_child_is_refused(void **state)
{
    (void)state;
    brg_lock *lock = take("forked", NULL), *other = NULL;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        brg_value *all = NULL;
        fixture_check(brg_lock_acquire(&other, "forked too", NULL, NULL) == BRG_FORKED);
        fixture_check(brg_locks_query(&all, NULL) == BRG_FORKED);
        brg_lock_release(lock); /* does nothing, and does not hang */
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    brg_lock_release(lock);
}

/* ---- on a loop ------------------------------------------------------------------------------------------------- */

typedef struct heard {
    int granted, refused, lost, released;
    brg_status status;
    bool release_inside;
} heard;

static void heard_granted(brg_lock *lock, const brg_error *error, void *user_data)
{
    heard *h = user_data;
    if (error == NULL) {
        assert_true(brg_lock_is_held(lock));
        h->granted++;
    } else {
        assert_false(brg_lock_is_held(lock));
        assert_true(error->message[0] != '\0');
        h->refused++;
        h->status = error->status;
    }
    if (h->release_inside)
        brg_lock_release(lock);
}

static void heard_lost(brg_lock *lock, void *user_data)
{
    heard *h = user_data;
    assert_int_equal(h->granted, 1);
    assert_true(brg_lock_is_lost(lock));
    h->lost++;
}

static void heard_release(void *user_data) { ((heard *)user_data)->released++; }

#define request_opts(h, ...)                                                                                           \
    brg_lock_opts(.loop = loop, .on_granted = heard_granted, .on_lost = heard_lost, .release = heard_release,          \
                  .user_data = (h), __VA_ARGS__)

/* The loop runs until the request is decided, and no longer. */
static void a_request_is_granted_on_the_loop(void **state)
{
    (void)state;
    heard h = {0};
    brg_lock *lock = NULL;
    assert_int_equal(brg_lock_request(&lock, "async", request_opts(&h, .mode = BRG_LOCK_EXCLUSIVE), NULL), BRG_OK);
    assert_int_equal(h.granted, 0);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(h.granted, 1);
    brg_lock *thief = take("async", brg_lock_opts(.steal = true));
    assert_int_equal(h.lost, 0);
    while (h.lost == 0)
        (void)brg_loop_dispatch(loop);
    assert_int_equal(brg_loop_destroy(loop), BRG_STATE);
    brg_lock_release(lock);
    brg_lock_release(thief);
    assert_int_equal(h.released, 1);
    assert_int_equal(h.granted + h.refused + h.lost, 2);
}

static void a_request_is_refused_on_the_loop(void **state)
{
    (void)state;
    brg_lock *held = take("refused", NULL), *lock = NULL;
    heard busy = {.release_inside = true}, late = {.release_inside = true}, cancelled = {0};
    assert_int_equal(brg_lock_request(&lock, "refused", request_opts(&busy, .if_available = true), NULL), BRG_OK);
    assert_int_equal(brg_lock_request(&lock, "refused", request_opts(&late, .timeout_ns = BRG_MILLISECONDS(1)), NULL),
                     BRG_OK);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(busy.status, BRG_FULL);
    assert_int_equal(late.status, BRG_TIMED_OUT);
    assert_int_equal(busy.released + late.released, 2);
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    assert_int_equal(brg_lock_request(&lock, "refused", request_opts(&cancelled, .token = token), NULL), BRG_OK);
    brg_token_cancel(token);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(cancelled.refused, 1);
    assert_int_equal(cancelled.status, BRG_CANCELLED);
    brg_lock_release(lock);
    brg_token_unref(token);
    brg_lock_release(held);
    assert_int_equal(cancelled.released, 1);
}

static void a_request_that_is_released_is_never_heard(void **state)
{
    (void)state;
    brg_lock *held = take("withdrawn", NULL), *waiting = NULL, *granted = NULL;
    heard h = {0}, g = {0};
    assert_int_equal(brg_lock_request(&waiting, "withdrawn", request_opts(&h, .mode = BRG_LOCK_EXCLUSIVE), NULL),
                     BRG_OK);
    brg_lock_release(waiting);
    assert_int_equal(query_count("pending"), 0);
    assert_int_equal(brg_lock_request(&granted, "free", request_opts(&g, .mode = BRG_LOCK_EXCLUSIVE), NULL), BRG_OK);
    brg_lock_release(granted); /* its callback is on its way */
    brg_lock_release(held);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(h.granted + h.refused + g.granted + g.refused, 0);
    assert_int_equal(h.released + g.released, 2);
    assert_int_equal(query_count("held"), 0);
}

/* ---- a process worker ------------------------------------------------------------------------------------------ */

static void a_process_worker_takes_locks(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    brg_lock *mine = take("both", NULL);
    fixture_enter(worker);
    brg_lock *lock = NULL;
    assert_int_equal(try_lock(&lock, "both", BRG_LOCK_SHARED), BRG_FULL);
    assert_int_equal(brg_lock_acquire(&lock, "both", brg_lock_opts(.timeout_ns = BRG_MILLISECONDS(2)), NULL),
                     BRG_TIMED_OUT);
    assert_int_equal(query_count("held"), 1);
    brg_lock *there = take("there", NULL);
    fixture_leave();
    assert_int_equal(try_lock(&lock, "there", BRG_LOCK_SHARED), BRG_FULL);
    brg_lock_release(mine);
    fixture_enter(worker);
    brg_lock *both = take("both", NULL);
    brg_lock_release(both);
    brg_lock_release(there);
    fixture_leave();
    brg_lock_release(take("there", NULL));
    assert_int_equal(brg_load_acquire(&worker->xprotocol), 0);
    fixture_worker_end(worker);
    assert_int_equal(query_count("held"), 0);
}

static void a_process_worker_hears_that_it_lost(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    heard h = {0};
    fixture_enter(worker);
    brg_lock *lock = NULL;
    assert_int_equal(brg_lock_request(&lock, "robbed", request_opts(&h, .mode = BRG_LOCK_EXCLUSIVE), NULL), BRG_OK);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(h.granted, 1);
    fixture_leave();
    brg_lock *thief = take("robbed", brg_lock_opts(.steal = true));
    while (h.lost == 0)
        (void)brg_loop_dispatch(loop);
    fixture_enter(worker);
    brg_lock_release(lock);
    assert_int_equal(query_count("held"), 1); /* after the release: the thief keeps it */
    fixture_leave();
    brg_lock_release(thief);
    fixture_worker_end(worker);
}

static void a_process_worker_that_dies_lets_go(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    fixture_enter(worker);
    brg_lock *lock = take("orphan", NULL);
    fixture_leave();
    taker inside = {.name = "orphan", .process = worker}, outside = {.name = "orphan"};
    taker_start_pending(&inside, 1);
    taker_start_pending(&outside, 2);
    fixture_worker_die(worker);
    taker_join(&inside);
    assert_int_equal(inside.status, BRG_CLOSED);
    taker_join(&outside);
    assert_int_equal(outside.status, BRG_OK);
    taker_release(&outside);
    fixture_enter(worker);
    brg_lock_release(lock);
    fixture_leave();
    fixture_worker_free(worker);
    assert_int_equal(query_count("held"), 0);
}

/* It gives up while the grant may be on its way: nothing stays held. */
static void a_process_worker_that_is_asked_to_end_stops_waiting(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    brg_lock *held = take("asked", NULL);
    taker waits = {.name = "asked", .process = worker, .token = token};
    taker_start_pending(&waits, 1);
    brg_token_cancel(token);
    brg_lock_release(held);
    taker_join(&waits);
    if (waits.status == BRG_OK)
        taker_release(&waits);
    else
        assert_int_equal(waits.status, BRG_CANCELLED);
    brg_lock_release(take("asked", NULL));
    brg_token_unref(token);
    fixture_worker_end(worker);
}

/* What a hostile worker sends: none of it harms the hub, all of it is answered. */
static void nonsense_is_a_protocol_error(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    brg_status end = BRG_OK;
    static const uint64_t words[BRG__SERVICE_WORDS];
    const char *const requests[] = {
        "null",
        "[]",
        "{}",
        "{\"op\": 3}",
        "{\"op\": \"none\"}",
        "{\"op\": \"request\"}",
        "{\"op\": \"request\", \"id\": 1}",
        "{\"op\": \"request\", \"id\": 1, \"name\": \"a\"}",
        "{\"op\": \"request\", \"id\": 0, \"name\": \"a\", \"timeout\": 1}",
        "{\"op\": \"request\", \"id\": -1, \"name\": \"a\", \"timeout\": 1}",
        "{\"op\": \"request\", \"id\": 1, \"name\": \"\", \"timeout\": 1}",
        "{\"op\": \"request\", \"id\": 1, \"name\": \"a\\u0000b\", \"timeout\": 1}",
        "{\"op\": \"release\"}",
        "{\"op\": \"release\", \"id\": 99}",
        "{\"op\": \"request\", \"id\": 5, \"name\": \"a\", \"timeout\": 1, \"steal\": true, "
        "\"shared\": true}"};
    for (size_t i = 0; i < brg__count_of(requests); i++) {
        brg_value *request = NULL;
        assert_int_equal(brg_value_from_json(&request, requests[i], strlen(requests[i]), NULL), BRG_OK);
        fixture_enter(worker);
        end = brg__uplink_call_wait(BRG__SERVICE_LOCKS, words, request, UINT64_MAX, NULL, NULL);
        fixture_leave();
        assert_int_equal(end, BRG_PROTOCOL);
        brg_value_unref(request);
    }
    fixture_enter(worker);
    assert_int_equal(brg__uplink_call_wait(BRG__SERVICE_LOCKS, words, NULL, UINT64_MAX, NULL, NULL), BRG_PROTOCOL);
    assert_int_equal(brg__uplink_call_wait(99, words, NULL, UINT64_MAX, NULL, NULL), BRG_PROTOCOL);
    fixture_leave();
    assert_int_equal(query_count("held") + query_count("pending"), 0);
    assert_int_equal(brg_load_acquire(&worker->xprotocol), 1);
    fixture_worker_end(worker);
}

static void a_process_worker_has_a_limit(void **state)
{
    (void)state;
    fixture_worker *worker = fixture_worker_start(7);
    static brg_lock *locks[BRG_LOCKS_WORKER_MAX];
    brg_lock *one_more = NULL;
    fixture_enter(worker);
    for (int i = 0; i < BRG_LOCKS_WORKER_MAX; i++)
        assert_int_equal(brg_lock_acquire(&locks[i], "many", brg_lock_opts(.mode = BRG_LOCK_SHARED), NULL), BRG_OK);
    assert_int_equal(brg_lock_acquire(&one_more, "many", brg_lock_opts(.mode = BRG_LOCK_SHARED), NULL), BRG_TOO_LARGE);
    brg_lock_release(locks[0]);
    assert_int_equal(brg_lock_acquire(&locks[0], "many", brg_lock_opts(.mode = BRG_LOCK_SHARED), NULL), BRG_OK);
    for (int i = 0; i < BRG_LOCKS_WORKER_MAX; i++)
        brg_lock_release(locks[i]);
    assert_int_equal(query_count("held"), 0);
    fixture_leave();
    fixture_worker_end(worker);
}

/* ---- many ------------------------------------------------------------------------------------------------------ */

#define STRESS_ROUNDS 300

typedef struct stress {
    brg__thread thread;
    fixture_worker *process;
    uint64_t random;
} stress;

static int stress_writers, stress_readers; /* plain: the locks order them */
static uint32_t xstress_readers;

static void stress_run(void *argument)
{
    stress *s = argument;
    if (s->process != NULL)
        fixture_enter(s->process);
    for (int i = 0; i < STRESS_ROUNDS; i++) {
        s->random = s->random * UINT64_C(6364136223846793005) + 1;
        bool shared = s->random >> 62 != 0, hurried = (s->random >> 33) % 8 == 0;
        brg_lock *lock = NULL;
        brg_status status = brg_lock_acquire(&lock, "stress",
                                             brg_lock_opts(.mode = shared ? BRG_LOCK_SHARED : BRG_LOCK_EXCLUSIVE,
                                                           .timeout_ns = hurried ? BRG_MICROSECONDS(20) : 0),
                                             NULL);
        if (status != BRG_OK) {
            fixture_check(hurried && status == BRG_TIMED_OUT);
            continue;
        }
        if (shared) {
            brg_add_relaxed(&xstress_readers, 1u);
            fixture_check(stress_writers == 0);
            brg_sub_relaxed(&xstress_readers, 1u);
        } else {
            fixture_check(++stress_writers == 1 && brg_load_relaxed(&xstress_readers) == 0);
            stress_readers++;
            stress_writers--;
        }
        brg_lock_release(lock);
    }
    fixture_leave();
}

static void many_threads_and_workers_never_hold_it_at_once(void **state)
{
    (void)state;
    fixture_worker *workers[2] = {fixture_worker_start(11), fixture_worker_start(12)};
    stress all[6];
    for (size_t i = 0; i < brg__count_of(all); i++) {
        all[i] = (stress){.random = i * 77 + 1, .process = i < 3 ? NULL : workers[i % 2]};
        assert_int_equal(brg__thread_start(&all[i].thread, "stress", 0, stress_run, &all[i], NULL), BRG_OK);
    }
    for (size_t i = 0; i < brg__count_of(all); i++)
        brg__thread_join(&all[i].thread);
    fixture_enter(workers[0]);
    (void)query_count("held"); /* what it released has arrived */
    fixture_leave();
    fixture_enter(workers[1]);
    (void)query_count("held");
    fixture_leave();
    assert_int_equal(query_count("held") + query_count("pending"), 0);
    fixture_worker_end(workers[0]);
    fixture_worker_end(workers[1]);
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
        cmocka_unit_test(exclusive_excludes_and_shared_shares),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(requests_are_served_in_order),
        cmocka_unit_test(a_wait_ends_in_time_or_by_its_token),
        cmocka_unit_test(a_withdrawn_request_lets_those_behind_it_pass),
        cmocka_unit_test(a_stolen_lock_is_lost),
        cmocka_unit_test(a_worker_that_ends_lets_go),
        cmocka_unit_test(a_forked_child_is_refused),
        cmocka_unit_test(a_request_is_granted_on_the_loop),
        cmocka_unit_test(a_request_is_refused_on_the_loop),
        cmocka_unit_test(a_request_that_is_released_is_never_heard),
        cmocka_unit_test(a_process_worker_takes_locks),
        cmocka_unit_test(a_process_worker_hears_that_it_lost),
        cmocka_unit_test(a_process_worker_that_dies_lets_go),
        cmocka_unit_test(a_process_worker_that_is_asked_to_end_stops_waiting),
        cmocka_unit_test(nonsense_is_a_protocol_error),
        cmocka_unit_test(a_process_worker_has_a_limit),
        cmocka_unit_test(many_threads_and_workers_never_hold_it_at_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
