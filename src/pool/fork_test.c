/* SPDX-License-Identifier: MIT */
/* Forks on plain threads that stand for the workers of a pool: they steal, sleep and are woken as those do. */
#include "pool/fork.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "os/memory.h"
#include "os/thread.h"
#include "worker/worker.h"

#define CREW_MAX 40

typedef struct crew crew;

typedef struct mate {
    crew *crew;
    brg__thread thread;
    brg_worker *worker; /* nothing but an address, and a count of references */
    brg_context context;
    uint64_t cancel;
    brg__gate gate;
    bool idle; /* under crew->lock */
} mate;

struct crew {
    brg__team team;
    brg__lock lock;
    uint32_t count, xover, xleft;
    mate mates[CREW_MAX]; /* the first is the test's own thread */
};

static void wait_for(const uint32_t *flag, uint32_t value)
{
    while (brg_load_acquire(flag) != value)
        sched_yield();
}

static bool crew_wake(void *owner)
{
    crew *c = owner;
    mate *woken = NULL;
    brg__lock_acquire(&c->lock);
    for (uint32_t i = 0; i < c->count && woken == NULL; i++)
        if (c->mates[i].idle)
            woken = &c->mates[i];
    if (woken != NULL) {
        woken->idle = false;
        brg_store_relaxed(&c->team.xidle, c->team.xidle - 1);
    }
    brg__lock_release(&c->lock);
    if (woken != NULL)
        brg__gate_wake(&woken->gate, BRG__FUTEX_PRIVATE);
    return woken != NULL;
}

static uint32_t crew_workers(void *owner) { return ((crew *)owner)->count; }
static void crew_leave(void *owner) { brg_add_relaxed(&((crew *)owner)->xleft, 1u); }
static const brg__team_hooks crew_hooks = {.wake = crew_wake, .workers = crew_workers, .leave = crew_leave};

static void mate_sleep(mate *m)
{
    crew *c = m->crew;
    brg__gate_prepare(&m->gate);
    brg__lock_acquire(&c->lock);
    m->idle = true;
    brg_store_relaxed(&c->team.xidle, c->team.xidle + 1);
    brg__lock_release(&c->lock);
    if (brg__team_has_forks_at_last(&c->team) || brg_load_acquire(&c->xover) != 0)
        brg__gate_cancel(&m->gate);
    else
        brg__gate_wait(&m->gate, UINT64_MAX, BRG__FUTEX_PRIVATE);
    brg__lock_acquire(&c->lock);
    if (m->idle) {
        m->idle = false;
        brg_store_relaxed(&c->team.xidle, c->team.xidle - 1);
    }
    brg__lock_release(&c->lock);
    brg__team_woke(&c->team);
}

static void mate_begin(crew *c, mate *m)
{
    m->crew = c;
    m->worker = brg__calloc_aligned(sizeof(*m->worker));
    assert_non_null(m->worker);
    m->worker->xreferences = 1;
    brg__context_init(&m->context, NULL, m->worker, NULL);
    m->context.xcancel = &m->cancel;
    m->context.arena_max = SIZE_MAX;
    assert_non_null(brg__team_join(&c->team, &m->context));
}

static void mate_end(mate *m)
{
    brg__context_done(&m->context);
    brg__mfree_aligned(m->worker);
}

static void mate_run(void *argument)
{
    mate *m = argument;
    brg__context_set_current(&m->context);
    while (brg_load_acquire(&m->crew->xover) == 0)
        if (!brg__team_steal(&m->crew->team, &m->context))
            mate_sleep(m);
    brg__context_set_current(NULL);
}

/* `count` workers; the calling thread is one of them, and runs a task with ticket 1. */
static crew *crew_start(uint32_t count, uint64_t spin_ns)
{
    crew *c = brg__calloc_aligned(sizeof(*c));
    assert_non_null(c);
    c->count = count;
    brg__lock_init(&c->lock, BRG__RANK_POOL, "crew");
    brg__team_init(&c->team, &crew_hooks, c, spin_ns);
    for (uint32_t i = 0; i < count; i++)
        mate_begin(c, &c->mates[i]);
    c->mates[0].context.ticket = 1;
    for (uint32_t i = 1; i < count; i++)
        assert_int_equal(brg__thread_start(&c->mates[i].thread, "mate", 0, mate_run, &c->mates[i], NULL), BRG_OK);
    return c;
}

static void crew_stop(crew *c)
{
    brg_store_release(&c->xover, 1u);
    for (uint32_t i = 1; i < c->count; i++)
        brg__gate_wake(&c->mates[i].gate, BRG__FUTEX_PRIVATE);
    for (uint32_t i = 1; i < c->count; i++)
        brg__thread_join(&c->mates[i].thread);
    assert_int_equal(c->team.xidle, 0);
    for (uint32_t i = 0; i < c->count; i++) {
        const brg__forks *forks = c->mates[i].context.forks;
        assert_int_equal(brg__deque_count(&forks->deque), 0);
        assert_ptr_equal(forks->xroot, forks);
        assert_int_equal(forks->xwaiting, 0);
        assert_int_equal(forks->xlooking, 0);
        assert_int_equal(forks->strangers, 0);
        assert_int_equal(c->mates[i].context.arena_used, 0);
        mate_end(&c->mates[i]);
    }
    assert_int_equal(c->xleft, c->count);
    brg__team_done(&c->team);
    brg__mfree_aligned(c);
}

static brg_context *own(crew *c) { return &c->mates[0].context; }

/* ---- results ----------------------------------------------------------------------------------------------------- */

typedef struct fib_call {
    uint32_t n;
    uint64_t result;
} fib_call;

static void fib(brg_context *context, void *argument)
{
    fib_call *call = argument;
    if (call->n < 2) {
        call->result = call->n;
        return;
    }
    fib_call one = {.n = call->n - 1}, two = {.n = call->n - 2};
    brg_fork fork;
    brg_fork_start(context, &fork, fib, &one);
    fib(context, &two);
    brg_fork_join(context, &fork);
    call->result = one.result + two.result;
}

static void test_fib_is_right_with_any_number_of_workers(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= 5; workers++) {
        crew *c = crew_start(workers, workers % 2 * 20000);
        for (int i = 0; i < 5; i++) {
            fib_call call = {.n = 20};
            fib(own(c), &call);
            assert_int_equal(call.result, 6765);
        }
        crew_stop(c);
    }
}

static void test_without_a_worker_it_runs_at_once(void **state)
{
    (void)state;
    fib_call call = {.n = 10};
    brg_fork fork;
    brg_fork_start(NULL, &fork, fib, &call);
    assert_int_equal(call.result, 55);
    brg_fork_join(NULL, &fork);
}

static void count_one(brg_context *context, void *argument)
{
    (void)context;
    brg_add_relaxed((uint32_t *)argument, 1u);
}

static void test_more_forks_than_the_deque_holds(void **state)
{
    (void)state;
    enum { FORKS = 3 * BRG__DEQUE_SIZE };
    static brg_fork forks[FORKS];
    static uint32_t counts[FORKS];
    for (uint32_t workers = 1; workers <= 3; workers++) {
        crew *c = crew_start(workers, 0);
        for (int backwards = 0; backwards < 2; backwards++) {
            memset(counts, 0, sizeof(counts));
            for (int i = 0; i < FORKS; i++)
                brg_fork_start(own(c), &forks[i], count_one, &counts[i]);
            for (int i = 0; i < FORKS; i++) {
                int one = backwards ? FORKS - 1 - i : i;
                brg_fork_join(own(c), &forks[one]);
                assert_int_equal(brg_load_relaxed(&counts[one]), 1);
            }
        }
        crew_stop(c);
    }
}

/* A tree of random shape: each node forks up to seven, joins them in another order, and allocates. */
typedef struct tree_call {
    uint32_t seed, depth;
    uint64_t nodes;
} tree_call;

static uint64_t tree_count(uint32_t seed, uint32_t depth)
{
    uint64_t nodes = 1;
    for (uint32_t i = 0; depth != 0 && i < seed % 8; i++)
        nodes += tree_count(seed * 1664525u + i * 1013904223u + 12345u, depth - 1);
    return nodes;
}

static void tree(brg_context *context, void *argument)
{
    tree_call *call = argument, calls[8];
    brg_fork forks[8];
    uint32_t count = call->depth == 0 ? 0 : call->seed % 8;
    unsigned char *memory = brg_context_alloc(context, 8 + call->seed % 600);
    assert_non_null(memory);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(memory[i], 0);
    memset(memory, 0xaa, 8 + call->seed % 600);
    for (uint32_t i = 0; i < count; i++) {
        calls[i] = (tree_call){call->seed * 1664525u + i * 1013904223u + 12345u, call->depth - 1, 0};
        brg_fork_start(context, &forks[i], tree, &calls[i]);
    }
    call->nodes = 1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t one = call->seed & 64 ? i : count - 1 - i;
        brg_fork_join(context, &forks[one]);
        call->nodes += calls[one].nodes;
    }
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(memory[i], 0xaa);
}

static void test_random_trees(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= 4; workers++) {
        crew *c = crew_start(workers, workers == 3 ? 50000 : 0);
        for (uint32_t seed = 1; seed <= 20; seed++) {
            tree_call call = {seed * 2654435761u, 6, 0};
            brg__arena_mark mark = brg__context_arena_mark(own(c));
            tree(own(c), &call);
            brg__context_arena_back(own(c), &mark);
            assert_int_equal(call.nodes, tree_count(call.seed, 6));
        }
        crew_stop(c);
    }
}

/* ---- a stolen fork ----------------------------------------------------------------------------------------------- */

typedef struct meeting {
    crew *crew;
    uint32_t xbegan, xgo, xended;
    brg_context *context; /* of who ran it */
    bool before, after;
    uint32_t helpers;
} meeting;

static void stolen_looks_at_cancel(brg_context *context, void *argument)
{
    meeting *m = argument;
    m->context = context;
    m->before = brg_context_cancelled(context);
    brg_store_release(&m->xbegan, 1u);
    wait_for(&m->xgo, 1);
    m->after = brg_context_cancelled(context);
}

static void test_a_stolen_fork_sees_its_task_cancelled(void **state)
{
    (void)state;
    crew *c = crew_start(2, 0);
    meeting m = {.crew = c};
    brg_fork fork;
    brg_fork_start(own(c), &fork, stolen_looks_at_cancel, &m);
    wait_for(&m.xbegan, 1); /* also: a worker that sleeps is woken for it */
    brg_store_relaxed(&c->mates[0].cancel, (uint64_t)1);
    brg_store_release(&m.xgo, 1u);
    brg_fork_join(own(c), &fork);
    assert_ptr_equal(m.context, &c->mates[1].context);
    assert_false(m.before);
    assert_true(m.after);
    assert_false(brg_context_cancelled(&c->mates[1].context));
    crew_stop(c);
}

static void begin_and_wait(brg_context *context, void *argument)
{
    meeting *m = argument;
    m->context = context;
    brg_store_release(&m->xbegan, 1u);
    wait_for(&m->xgo, 1);
}

/* Ends once its joiner sleeps. */
static void outlast_the_joiner(brg_context *context, void *argument)
{
    meeting *m = argument;
    (void)context;
    brg_store_release(&m->xbegan, 1u);
    wait_for(&m->crew->mates[0].context.forks->xwaiting, 1);
    m->after = true;
}

static void test_a_join_sleeps_until_the_thief_is_done(void **state)
{
    (void)state;
    crew *c = crew_start(2, 10000);
    for (int i = 0; i < 200; i++) {
        meeting m = {.crew = c};
        brg_fork fork;
        brg_fork_start(own(c), &fork, outlast_the_joiner, &m);
        wait_for(&m.xbegan, 1);
        brg_fork_join(own(c), &fork);
        assert_true(m.after);
    }
    crew_stop(c);
}

/* Forks once its joiner sleeps, and does not go on before somebody else runs that: there is only the joiner. */
static void call_the_joiner(brg_context *context, void *argument)
{
    meeting *m = argument, part = {.crew = m->crew, .xgo = 1};
    brg_store_release(&m->xbegan, 1u);
    wait_for(&m->crew->mates[0].context.forks->xwaiting, 1);
    brg_fork fork;
    brg_fork_start(context, &fork, begin_and_wait, &part);
    wait_for(&part.xbegan, 1);
    brg_fork_join(context, &fork);
    m->context = part.context;
}

static void test_a_join_that_sleeps_is_woken_to_help(void **state)
{
    (void)state;
    crew *c = crew_start(2, 0);
    for (int i = 0; i < 200; i++) {
        meeting m = {.crew = c};
        brg_fork fork;
        brg_fork_start(own(c), &fork, call_the_joiner, &m);
        wait_for(&m.xbegan, 1);
        brg_fork_join(own(c), &fork);
        assert_ptr_equal(m.context, own(c));
    }
    crew_stop(c);
}

/* ---- whose forks ------------------------------------------------------------------------------------------------- */

static void lose_the_joiner(brg_context *context, void *argument)
{
    meeting *m = argument;
    crew *c = m->crew;
    brg_worker *helpers[4];
    assert_int_equal(brg__team_lose(&c->team, c->mates[2].worker, helpers, 4), 0);
    m->helpers = brg__team_lose(&c->team, c->mates[0].worker, helpers, 4);
    assert_int_equal(m->helpers, 1);
    assert_ptr_equal(helpers[0], context->owner);
    brg_sub_relaxed(&helpers[0]->xreferences, 1u);
    uint32_t nothing = 0;
    brg_fork fork;
    brg_fork_start(context, &fork, count_one, &nothing);
    assert_false(brg__team_has_forks(&c->team)); /* for nobody who is idle */
    assert_true(brg__team_could_take(&c->team, c->mates[0].context.forks));
    assert_false(brg__team_could_take(&c->team, c->mates[2].context.forks)); /* that task's joins look away */
    brg_fork_join(context, &fork);
    assert_int_equal(nothing, 1);
    brg_store_release(&m->xbegan, 1u);
}

static void test_forks_of_a_lost_worker_and_of_other_tasks(void **state)
{
    (void)state;
    crew *c = crew_start(3, 0);
    meeting m = {.crew = c};
    brg_fork fork;
    brg_fork_start(own(c), &fork, lose_the_joiner, &m);
    wait_for(&m.xbegan, 1);
    brg_fork_join(own(c), &fork);
    assert_int_equal(m.helpers, 1);
    crew_stop(c);
}

static void test_places_in_the_team_are_used_again(void **state)
{
    (void)state;
    crew *c = crew_start(1, 0);
    mate others[CREW_MAX];
    memset(others, 0, sizeof(others));
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < CREW_MAX; i++)
            mate_begin(c, &others[i]);
        assert_int_equal(c->team.xcount, CREW_MAX + 1); /* outgrew its first table, and then no more */
        for (uint32_t i = 0; i < CREW_MAX; i++)
            mate_end(&others[i]);
    }
    brg_sub_relaxed(&c->xleft, 3u * CREW_MAX);
    crew_stop(c);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void allocate(brg_context *context, void *argument)
{
    size_t *size = argument;
    unsigned char *memory = brg_context_alloc(context, *size);
    assert_non_null(memory);
    for (size_t i = 0; i < *size; i++)
        assert_int_equal(memory[i], 0);
    memset(memory, 0xff, *size);
}

static void test_memory_lives_until_the_function_returns(void **state)
{
    (void)state;
    size_t sizes[] = {1, 100, 5000, 20000, 70000, 16};
    crew *c = crew_start(1, 0);
    own(c)->arena_max = 100000;
    for (int with = 0; with < 2; with++) {
        brg__arena_mark mark = brg__context_arena_mark(own(c));
        unsigned char *mine = with ? brg_context_alloc(own(c), 24) : NULL;
        if (with)
            memset(mine, 0x55, 24);
        for (int i = 0; i < 60; i++) { /* in all, far beyond arena_max */
            brg_fork fork;
            brg_fork_start(own(c), &fork, allocate, &sizes[i % 6]);
            brg_fork_join(own(c), &fork);
            assert_int_equal(own(c)->arena_used, with ? 24 : 0);
        }
        for (int i = 0; with && i < 24; i++)
            assert_int_equal(mine[i], 0x55);
        brg__context_arena_back(own(c), &mark);
    }
    crew_stop(c);
}

/* ---- ranges ------------------------------------------------------------------------------------------------------ */

typedef struct cover {
    uint64_t offset, grain;
    uint32_t xcounts[1000];
    uint32_t xpieces;
} cover;

static void cover_piece(brg_context *context, uint64_t first, uint64_t end, void *argument)
{
    cover *all = argument;
    (void)context;
    assert_true(first < end);
    assert_true(all->grain == 0 || end - first <= all->grain);
    brg_add_relaxed(&all->xpieces, 1u);
    for (uint64_t i = first; i < end; i++)
        brg_add_relaxed(&all->xcounts[i - all->offset], 1u);
}

static void test_a_range_is_covered_once(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 2, 7, 64, 999, 1000}, grains[] = {0, 1, 3, 100, 5000, UINT64_MAX};
    crew *c = crew_start(3, 0);
    for (size_t i = 0; i < 7 * 6 * 3; i++) {
        uint64_t size = sizes[i % 7], grain = grains[i / 7 % 6];
        cover all = {.offset = i / 42 == 1 ? UINT64_MAX - size : 5, .grain = grain};
        brg_context *context = i / 42 == 2 ? NULL : own(c);
        brg_fork_range(context, all.offset, all.offset + size, grain, cover_piece, &all);
        for (uint64_t k = 0; k < 1000; k++)
            assert_int_equal(all.xcounts[k], k < size);
        if (grain == 0 && size == 1000)
            assert_in_range(all.xpieces, context == NULL ? 1 : 3 * 8, context == NULL ? 1 : 2 * 3 * 8);
    }
    brg_fork_range(own(c), 9, 3, 0, NULL, NULL); /* empty */
    crew_stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fib_is_right_with_any_number_of_workers),
        cmocka_unit_test(test_without_a_worker_it_runs_at_once),
        cmocka_unit_test(test_more_forks_than_the_deque_holds),
        cmocka_unit_test(test_random_trees),
        cmocka_unit_test(test_a_stolen_fork_sees_its_task_cancelled),
        cmocka_unit_test(test_a_join_sleeps_until_the_thief_is_done),
        cmocka_unit_test(test_a_join_that_sleeps_is_woken_to_help),
        cmocka_unit_test(test_forks_of_a_lost_worker_and_of_other_tasks),
        cmocka_unit_test(test_places_in_the_team_are_used_again),
        cmocka_unit_test(test_memory_lives_until_the_function_returns),
        cmocka_unit_test(test_a_range_is_covered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
