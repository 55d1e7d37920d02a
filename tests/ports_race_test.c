/* SPDX-License-Identifier: MIT */
/*
 * Ports that wander between workers of both isolations while others post to them, close them, and end or kill who holds
 * them. On each channel the numbers arrive in order, without repeat, and without a gap up to its close, unless a worker
 * ended that had its port; in every second round processes are ended and killed too. BRIGADE_TEST_SEED=n repeats the
 * choices of a round, BRIGADE_TEST_RUNS=n makes so many rounds.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>

#include "scenario.h"
#include "watch.h"

#define BOUND BRG_SECONDS(600) /* a thread that is stopped is no fault */
#define CHANNELS 6
#define WORKERS 4
#define NUMBERS 150
#define HOME (-1)

typedef struct race race;

/* One channel: `ours` belongs to a thread that posts, `theirs` wanders. */
typedef struct wanderer {
    race *race;
    pthread_t thread;
    brg_port *ours, *theirs;
    uint64_t random;
    int closes_at;  /* posts so many, then closes */
    int64_t posted; /* the poster's, until it is joined */
    bool refused;   /* a post found the channel closed */
    int holder;     /* a worker, or HOME */
    bool is_over;   /* its close was seen, or it was cut */
    bool is_cut;    /* it died with its worker */
    int64_t next;
} wanderer;

struct race {
    uint64_t seed, random;
    uint64_t heard; /* replies */
    bool is_lossy;
    brg_worker *workers[WORKERS];
    wanderer wanderers[CHANNELS];
};

/* xorshift64 (Marsaglia 2003). */
static uint64_t race_random(uint64_t *state, uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % below;
}

static void *race_post(void *argument)
{
    wanderer *w = argument;
    for (int i = 0; i < w->closes_at && !w->refused; i++) {
        brg_value *message = NULL;
        if (brg_value_int(&message, i, NULL) != BRG_OK)
            break;
        brg_status status = brg_port_post(w->ours, message, BOUND, NULL);
        if (status != BRG_OK) {
            brg_value_unref(message);
            w->refused = true;
        } else {
            w->posted++;
        }
        if (race_random(&w->random, 4) == 0)
            sched_yield();
    }
    brg_port_close(w->ours);
    return NULL;
}

static brg_worker *race_worker(int index)
{
    char module[512];
    brg_error error;
    brg_worker *worker = NULL;
    snprintf(module, sizeof(module), "%s/wander.so", getenv("TEST_MODULE_DIR"));
    brg_isolation isolation = index % 2 == 0 ? BRG_ISOLATION_THREAD : BRG_ISOLATION_PROCESS;
    if (brg_worker_create(
            &worker,
            brg_worker_opts(.isolation = isolation, .module = module, .start_timeout_ns = BOUND, .grace_ns = BOUND),
            &error) != BRG_OK)
        fail_msg("%s", error.message);
    return worker;
}

/* Sends a port that is at home to some worker. */
static void race_send(race *r, int channel)
{
    wanderer *w = &r->wanderers[channel];
    int to = (int)race_random(&r->random, WORKERS);
    brg_builder *builder = NULL;
    brg_value *message = NULL;
    if (brg_port_is_closed(w->theirs)) { /* what it still has is received here */
        brg_status status;
        while ((status = brg_port_receive(w->theirs, &message, BOUND)) == BRG_OK || status == BRG_MALFORMED) {
            int64_t number = -1;
            if (status == BRG_MALFORMED) { /* in place of what died with a process */
                w->is_cut = true;
                continue;
            }
            assert_int_equal(brg_view_int(brg_value_root(message), &number), BRG_OK);
            assert_true(number == w->next || (number > w->next && w->is_cut));
            w->next = number + 1;
            brg_value_unref(message);
        }
        assert_int_equal(status, BRG_CLOSED);
        w->is_over = true;
        return;
    }
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_map(builder);
    brg_builder_key(builder, "port");
    brg_builder_port(builder, &w->theirs);
    brg_builder_key(builder, "channel");
    brg_builder_int(builder, channel);
    brg_builder_key(builder, "next");
    brg_builder_int(builder, w->next);
    brg_builder_key(builder, "cut");
    brg_builder_bool(builder, w->is_cut);
    brg_builder_key(builder, "take");
    brg_builder_int(builder, (int64_t)race_random(&r->random, 12));
    brg_builder_end(builder);
    brg_status built = brg_builder_finish(builder, &message, NULL);
    brg_builder_destroy(builder);
    if (built == BRG_CLOSED) /* it closed this moment: next time */
        return;
    assert_int_equal(built, BRG_OK);
    if (brg_worker_post(r->workers[to], message, BOUND, NULL) == BRG_OK) {
        w->holder = to;
        return;
    }
    assert_int_equal(brg_view_take_port(brg_view_get(brg_value_root(message), "port"), &w->theirs), BRG_OK);
    brg_value_unref(message);
}

static void race_reply(race *r, const brg_value *reply)
{
    brg_view root = brg_value_root(reply);
    int64_t channel = brg_view_get_int(root, "channel", -1);
    assert_in_range(channel, 0, CHANNELS - 1);
    wanderer *w = &r->wanderers[channel];
    assert_int_equal(brg_view_get_int(root, "wrong", -1), 0);
    w->next = brg_view_get_int(root, "next", -1);
    w->holder = HOME;
    r->heard++;
    if (brg_view_take_port(brg_view_get(root, "port"), &w->theirs) != BRG_OK)
        w->is_over = true; /* it closed there, and all of it was received, unless the worker was asked to end */
    w->is_cut = w->is_cut || brg_view_get_bool(root, "cut", false);
}

/* What the worker said, and what it says first within a time; false when it has ended. */
static bool race_listen(race *r, int index, uint64_t timeout_ns)
{
    brg_value *reply = NULL;
    brg_status status;
    for (; (status = brg_worker_receive(r->workers[index], &reply, timeout_ns)) == BRG_OK; timeout_ns = 0) {
        race_reply(r, reply);
        brg_value_unref(reply);
    }
    return status != BRG_CLOSED;
}

/* Ends a worker, in one way or another; what it had then is gone. */
static void race_end_worker(race *r, int index)
{
    brg_worker *worker = r->workers[index];
    int64_t process = brg_worker_process_id(worker);
    if (process > 0 && race_random(&r->random, 2) == 0)
        kill((pid_t)process, SIGKILL);
    else
        assert_int_equal(brg_worker_terminate(worker), BRG_OK);
    assert_int_equal(brg_worker_wait(worker, BOUND, NULL), BRG_OK);
    while (race_listen(r, index, BOUND)) /* until all of it is there */
        ;
    brg_worker_destroy(worker);
    r->workers[index] = race_worker(index);
    for (int i = 0; i < CHANNELS; i++) {
        wanderer *w = &r->wanderers[i];
        if (!w->is_over && w->holder == index)
            w->is_over = w->is_cut = true;
    }
}

/* Waits a little where nobody has anything for it, and ends a worker only after it heard of one: who gets no processor
 * is not ended again and again meanwhile. */
static bool race_step(race *r)
{
    bool over = true;
    int holder = HOME;
    uint64_t heard = r->heard;
    for (int i = 0; i < CHANNELS; i++) {
        wanderer *w = &r->wanderers[i];
        if (!w->is_over && w->holder == HOME)
            race_send(r, i);
        over = over && w->is_over;
        if (!w->is_over && w->holder != HOME)
            holder = w->holder;
    }
    for (int i = 0; i < WORKERS; i++)
        (void)race_listen(r, i, i == holder ? BRG_MILLISECONDS(1) : 0);
    /* A process takes along what was on its way to it, also of a port that has just left: in every second round none
     * ends. */
    if (r->heard != heard && race_random(&r->random, 12) == 0)
        race_end_worker(r, (int)race_random(&r->random, r->is_lossy ? WORKERS : WORKERS / 2) * (r->is_lossy ? 1 : 2));
    return !over;
}

static void race_open(race *r, uint64_t seed)
{
    *r = (race){.seed = seed, .random = seed * 7919 + 1, .is_lossy = seed % 2 == 0};
    for (int i = 0; i < WORKERS; i++)
        r->workers[i] = race_worker(i);
    for (int i = 0; i < CHANNELS; i++) {
        wanderer *w = &r->wanderers[i];
        w->race = r;
        w->holder = HOME;
        w->is_cut = r->is_lossy;
        w->random = seed * 31 + (uint64_t)i + 1;
        w->closes_at = (int)race_random(&w->random, NUMBERS);
        assert_int_equal(brg_channel_create(&w->ours, &w->theirs, brg_channel_opts(.messages_max = 8), NULL), BRG_OK);
        assert_int_equal(pthread_create(&w->thread, NULL, race_post, w), 0);
    }
}

static void race_close(race *r)
{
    for (int i = 0; i < CHANNELS; i++) {
        wanderer *w = &r->wanderers[i];
        assert_int_equal(pthread_join(w->thread, NULL), 0);
        if (w->is_cut)
            assert_true(w->next <= w->posted);
        else
            assert_int_equal(w->next, w->posted);
        assert_true(w->is_cut || !w->refused);
        brg_port_destroy(w->ours);
        brg_port_destroy(w->theirs);
    }
    for (int i = 0; i < WORKERS; i++)
        brg_worker_destroy(r->workers[i]);
}

static bool no_port_is_open(void *argument)
{
    (void)argument;
    return brg_ports_open() == 0;
}

static void ports_wander_through_everything(void **state)
{
    (void)state;
    const char *given = getenv("BRIGADE_TEST_SEED"), *wanted = getenv("BRIGADE_TEST_RUNS");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    int rounds = wanted != NULL ? atoi(wanted) : WATCH_SANITIZED ? 3 : 20;
    static race r;
    race_open(&r, 999); /* makes supervisor and template */
    while (race_step(&r))
        ;
    race_close(&r);
    int files = scenario_open_files();
    for (int i = 0; i < rounds; i++) {
        print_message("seed %llu\n", (unsigned long long)(seed + (uint64_t)i));
        race_open(&r, seed + (uint64_t)i);
        while (race_step(&r))
            ;
        race_close(&r);
    }
    assert_true(watch_until(no_port_is_open, NULL));
    assert_true(watch_until_files(files));
    assert_int_equal(brg_workers_lost(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ports_wander_through_everything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
