/* SPDX-License-Identifier: MIT */
/* Completions: exactly once, in each thread's order, whatever kind of loop takes them, and no wake-up is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <brigade/uv.h>

#include "loop/loop.h"

#define POSTERS 4
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define POSTS 5000
#else
#define POSTS 50000
#endif
#define BOUND_MS 240000

/* ---- many threads post ------------------------------------------------------------------------------------------- */

typedef struct posters posters;

typedef struct post {
    brg__completion completion;
    posters *all;
    int thread, number;
} post;

struct posters {
    brg_loop *loop;
    int next[POSTERS]; /* owner thread */
    int ran, wrong;
    post *posts[POSTERS];
    pthread_t threads[POSTERS];
    atomic_int numbers; /* handed to the threads */
};

static void post_run(brg__completion *completion)
{
    post *self = (post *)completion;
    self->all->wrong += self->number != self->all->next[self->thread]++;
    self->all->ran++;
    brg__loop_unhold(self->all->loop);
}

static void *post_all(void *argument)
{
    posters *all = argument;
    int thread = atomic_fetch_add(&all->numbers, 1);
    for (int i = 0; i < POSTS; i++) {
        post *self = &all->posts[thread][i];
        *self = (post){.completion.run = post_run, .all = all, .thread = thread, .number = i};
        brg__loop_post(all->loop, &self->completion);
        if (i % 64 == 0)
            sched_yield(); /* the owner falls asleep in between */
    }
    return NULL;
}

static void posters_start(posters *all, brg_loop *loop)
{
    memset(all, 0, sizeof(*all));
    all->loop = loop;
    for (int i = 0; i < POSTERS * POSTS; i++)
        brg__loop_hold(loop);
    for (int i = 0; i < POSTERS; i++) {
        all->posts[i] = calloc(POSTS, sizeof(post));
        assert_non_null(all->posts[i]);
    }
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&all->threads[i], NULL, post_all, all), 0);
}

static void posters_end(posters *all)
{
    for (int i = 0; i < POSTERS; i++)
        pthread_join(all->threads[i], NULL);
    assert_int_equal(brg_loop_dispatch(all->loop), 0);
    assert_int_equal(all->ran, POSTERS * POSTS);
    assert_int_equal(all->wrong, 0);
    assert_int_equal(brg_loop_pending(all->loop), 0);
    for (int i = 0; i < POSTERS; i++)
        free(all->posts[i]);
}

static void readable_within_bound(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    if (poll(&poller, 1, BOUND_MS) != 1)
        fail_msg("a wake-up was lost");
}

static bool is_readable(const brg_loop *loop)
{
    struct pollfd poller = {.fd = brg_loop_fd(loop), .events = POLLIN};
    return poll(&poller, 1, 0) == 1;
}

static void own_loop(const brg_loop_options *options)
{
    brg_loop *loop = NULL;
    posters all;
    assert_int_equal(brg_loop_create(&loop, options, NULL), BRG_OK);
    posters_start(&all, loop);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    posters_end(&all);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void external_loop(const brg_loop_options *options)
{
    brg_loop *loop = NULL;
    posters all;
    assert_int_equal(brg_loop_create(&loop, options, NULL), BRG_OK);
    posters_start(&all, loop);
    while (brg_loop_pending(loop) != 0) {
        readable_within_bound(brg_loop_fd(loop));
        size_t ran = brg_loop_dispatch(loop);
        assert_true(options->batch_max == 0 || ran <= options->batch_max);
    }
    posters_end(&all);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void uv_loop(const brg_loop_options *options)
{
    uv_loop_t uv;
    brg_loop *loop = NULL;
    posters all;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(brg_loop_create_uv(&loop, &uv, options, NULL), BRG_OK);
    posters_start(&all, loop);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    posters_end(&all);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&uv), 0);
}

static void threads_post_to_each_kind_of_loop(void **state)
{
    (void)state;
    own_loop(NULL);
    own_loop(brg_loop_opts(.batch_max = 3));
    own_loop(brg_loop_opts(.spin_ns = BRG_MICROSECONDS(50)));
    external_loop(brg_loop_opts(.external = true));
    external_loop(brg_loop_opts(.external = true, .batch_max = 3));
    external_loop(brg_loop_opts(.external = true, .batch_max = 7, .spin_ns = BRG_MICROSECONDS(50)));
    uv_loop(NULL);
    uv_loop(brg_loop_opts(.batch_max = 3, .spin_ns = BRG_MICROSECONDS(20)));
}

/* One at a time, each only after the one before ran: the owner sleeps before every one. */
static void *post_one_by_one(void *argument)
{
    posters *all = argument;
    for (int i = 0; i < POSTS / 10; i++) {
        post *self = &all->posts[0][i];
        *self = (post){.completion.run = post_run, .all = all, .number = i};
        brg__loop_post(all->loop, &self->completion);
        while (atomic_load(&all->numbers) <= i)
            sched_yield();
    }
    return NULL;
}

static void no_wake_up_is_lost(void **state)
{
    (void)state;
    posters all;
    memset(&all, 0, sizeof(all));
    assert_int_equal(brg_loop_create(&all.loop, brg_loop_opts(.external = true), NULL), BRG_OK);
    all.posts[0] = calloc(POSTS / 10, sizeof(post));
    for (int i = 0; i < POSTS / 10; i++)
        brg__loop_hold(all.loop);
    assert_int_equal(pthread_create(&all.threads[0], NULL, post_one_by_one, &all), 0);
    while (all.ran < POSTS / 10) {
        readable_within_bound(brg_loop_fd(all.loop));
        brg_loop_dispatch(all.loop);
        atomic_store(&all.numbers, all.ran);
    }
    pthread_join(all.threads[0], NULL);
    assert_int_equal(all.wrong, 0);
    free(all.posts[0]);
    assert_int_equal(brg_loop_destroy(all.loop), BRG_OK);
}

/* ---- one thread -------------------------------------------------------------------------------------------------- */

typedef struct note {
    brg__completion completion;
    struct notebook *notes;
    char letter;
    void (*act)(struct notebook *notes);
} note;

typedef struct notebook {
    brg_loop *loop;
    char ran[32];
    note note[16];
    int ticks;
} notebook;

static void note_run(brg__completion *completion)
{
    note *self = (note *)completion;
    self->notes->ran[strlen(self->notes->ran)] = self->letter;
    if (self->act != NULL)
        self->act(self->notes);
}

/* Posts completions a, b, c ... */
static void notes_post(notebook *notes, int from, int to)
{
    for (int i = from; i < to; i++) {
        notes->note[i].completion.run = note_run;
        notes->note[i].notes = notes;
        notes->note[i].letter = (char)('a' + i);
        brg__loop_post(notes->loop, &notes->note[i].completion);
    }
}

/* Who posts may be stopped between taking the mark and writing: the wake-up comes when all is done. It is for nothing,
 * once, and does not keep the owner awake until the next one. */
static void a_late_wake_up_is_one(void **state)
{
    (void)state;
    brg_loop *loop = NULL;
    const uint64_t one = 1;
    assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.external = true), NULL), BRG_OK);
    assert_int_equal(brg_loop_dispatch(loop), 0);
    assert_int_equal(write(brg_loop_fd(loop), &one, sizeof(one)), sizeof(one));
    assert_int_equal(brg_loop_dispatch(loop), 0);
    assert_int_equal(brg_loop_dispatch(loop), 0);
    assert_false(is_readable(loop));
    brg_loop_stop(loop); /* the next is heard */
    assert_true(is_readable(loop));
    assert_int_equal(brg_loop_dispatch(loop), 0);
    assert_false(is_readable(loop));
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void dispatch_runs_batches(void **state)
{
    (void)state;
    notebook notes = {0};
    assert_int_equal(brg_loop_create(&notes.loop, brg_loop_opts(.external = true, .batch_max = 3), NULL), BRG_OK);
    assert_int_equal(brg_loop_dispatch(notes.loop), 0);
    assert_false(is_readable(notes.loop));
    notes_post(&notes, 0, 7);
    assert_true(is_readable(notes.loop));
    assert_int_equal(brg_loop_dispatch(notes.loop), 3);
    assert_true(is_readable(notes.loop)); /* there is more */
    notes_post(&notes, 7, 8);             /* behind what waits */
    assert_int_equal(brg_loop_dispatch(notes.loop), 3);
    assert_true(is_readable(notes.loop));
    assert_int_equal(brg_loop_dispatch(notes.loop), 2);
    assert_string_equal(notes.ran, "abcdefgh");
    assert_int_equal(brg_loop_dispatch(notes.loop), 0);
    assert_false(is_readable(notes.loop));
    assert_int_equal(brg_loop_run(notes.loop), BRG_STATE); /* the caller runs it */
    assert_int_equal(brg_loop_destroy(notes.loop), BRG_OK);
}

static void dispatch_again(notebook *notes) { brg_loop_dispatch(notes->loop); }
static void post_two_more(notebook *notes) { notes_post(notes, 6, 8); }

static void dispatch_inside_a_callback(void **state)
{
    (void)state;
    notebook notes = {0};
    assert_int_equal(brg_loop_create(&notes.loop, brg_loop_opts(.external = true), NULL), BRG_OK);
    notes.note[1].act = dispatch_again; /* runs c to f and, nested once more, what d posts */
    notes.note[3].act = post_two_more;
    notes.note[4].act = dispatch_again;
    notes_post(&notes, 0, 6);
    while (brg_loop_dispatch(notes.loop) != 0)
        ;
    assert_string_equal(notes.ran, "abcdefgh");
    notes_post(&notes, 8, 9); /* and it still wakes up */
    assert_true(is_readable(notes.loop));
    assert_int_equal(brg_loop_dispatch(notes.loop), 1);
    assert_false(is_readable(notes.loop));
    assert_int_equal(brg_loop_destroy(notes.loop), BRG_OK);
}

static void destroy_is_refused_while_used(void **state)
{
    (void)state;
    for (int external = 0; external < 2; external++) {
        brg_loop *loop = NULL;
        assert_int_equal(brg_loop_create(&loop, brg_loop_opts(.external = external == 1), NULL), BRG_OK);
        brg__loop_attach(loop);
        assert_int_equal(brg_loop_destroy(loop), BRG_STATE);
        assert_int_equal(brg_loop_dispatch(loop), 0); /* nothing changed */
        brg__loop_detach(loop);
        assert_int_equal(brg_loop_destroy(loop), BRG_OK);
    }
    assert_int_equal(brg_loop_destroy(NULL), BRG_OK);
    brg_error error;
    assert_int_equal(brg_loop_create(NULL, NULL, &error), BRG_INVALID);
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create_uv(&loop, NULL, NULL, &error), BRG_INVALID);
    assert_null(loop);
}

/* What is posted when the loop goes still runs: its objects hold references. */
static void destroy_runs_what_is_left(void **state)
{
    (void)state;
    notebook notes = {0};
    assert_int_equal(brg_loop_create(&notes.loop, brg_loop_opts(.batch_max = 2), NULL), BRG_OK);
    notes_post(&notes, 0, 5);
    assert_int_equal(brg_loop_destroy(notes.loop), BRG_OK);
    assert_string_equal(notes.ran, "abcde");
}

/* ---- stop -------------------------------------------------------------------------------------------------------- */

static void stop_loop(notebook *notes) { brg_loop_stop(notes->loop); }
static void unhold_loop(notebook *notes) { brg__loop_unhold(notes->loop); }

static atomic_bool loop_runs;
static void tell_it_runs(notebook *notes)
{
    (void)notes;
    atomic_store(&loop_runs, true);
}

static void *stop_when_it_runs(void *argument)
{
    while (!atomic_load(&loop_runs))
        sched_yield();
    brg_loop_stop(argument);
    return NULL;
}

static void stop_ends_run(void **state)
{
    (void)state;
    notebook notes = {0};
    pthread_t thread;
    assert_int_equal(brg_loop_create(&notes.loop, NULL, NULL), BRG_OK);
    assert_int_equal(brg_loop_run(notes.loop), BRG_OK); /* nothing is out */
    brg__loop_hold(notes.loop);
    notes.note[0].act = tell_it_runs;
    notes_post(&notes, 0, 1);
    assert_int_equal(pthread_create(&thread, NULL, stop_when_it_runs, notes.loop), 0);
    assert_int_equal(brg_loop_run(notes.loop), BRG_OK); /* from another thread */
    pthread_join(thread, NULL);
    assert_int_equal(brg_loop_pending(notes.loop), 1);
    notes.note[1].act = stop_loop;
    notes_post(&notes, 1, 3);
    assert_int_equal(brg_loop_run(notes.loop), BRG_OK); /* from a callback: the batch goes on */
    assert_string_equal(notes.ran, "abc");
    for (int i = 0; i < 3; i++)
        brg_loop_dispatch(notes.loop);
    notes.note[3].act = unhold_loop;
    notes_post(&notes, 3, 4);
    assert_int_equal(brg_loop_run(notes.loop), BRG_OK); /* an old stop does not count */
    assert_string_equal(notes.ran, "abcd");
    assert_int_equal(brg_loop_pending(notes.loop), 0);
    assert_int_equal(brg_loop_destroy(notes.loop), BRG_OK);
}

/* ---- a libuv loop of the user's ---------------------------------------------------------------------------------- */

static void repost(notebook *notes)
{
    notes->ran[0] = '\0';
    if (notes->ticks < 5)
        brg__loop_post(notes->loop, &notes->note[0].completion);
    else
        brg__loop_unhold(notes->loop);
}

static void count_tick(uv_timer_t *timer)
{
    notebook *notes = timer->data;
    notes->ticks++;
}

/* A callback that always posts the next one cannot keep timers and descriptors from their turn. */
static void others_have_their_turn(void **state)
{
    (void)state;
    uv_loop_t uv;
    uv_timer_t timer;
    notebook notes = {0};
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(brg_loop_create_uv(&notes.loop, &uv, brg_loop_opts(.batch_max = 10), NULL), BRG_OK);
    uv_timer_init(&uv, &timer);
    timer.data = &notes;
    uv_timer_start(&timer, count_tick, 0, 1);
    uv_unref((uv_handle_t *)&timer); /* only completions keep it running */
    brg__loop_hold(notes.loop);
    notes.note[0].act = repost;
    notes_post(&notes, 0, 1);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_true(notes.ticks >= 5); /* the timer may have had a turn after the last callback */
    assert_int_equal(brg_loop_pending(notes.loop), 0);
    assert_int_equal(brg_loop_destroy(notes.loop), BRG_OK);
    uv_close((uv_handle_t *)&timer, NULL);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&uv), 0);
}

static void *hold_elsewhere(void *argument)
{
    notebook *notes = argument;
    brg__loop_hold(notes->loop); /* by another thread: the loop must notice */
    return NULL;
}

static void uv_loop_lives_while_something_is_out(void **state)
{
    (void)state;
    uv_loop_t uv;
    notebook notes = {0};
    pthread_t thread;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(brg_loop_create_uv(&notes.loop, &uv, NULL, NULL), BRG_OK);
    assert_int_equal(brg_loop_run(notes.loop), BRG_STATE); /* uv_run it is */
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);      /* it does not hold the loop */
    assert_int_equal(uv_loop_alive(&uv), 0);
    brg__loop_hold(notes.loop);
    assert_int_not_equal(uv_loop_alive(&uv), 0);
    assert_int_equal(pthread_create(&thread, NULL, hold_elsewhere, &notes), 0);
    pthread_join(thread, NULL);
    brg__loop_unhold(notes.loop);
    assert_int_not_equal(uv_loop_alive(&uv), 0);
    notes.note[0].act = unhold_loop;
    notes_post(&notes, 0, 1);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_string_equal(notes.ran, "a");
    assert_int_equal(brg_loop_destroy(notes.loop), BRG_OK);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&uv), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_post_to_each_kind_of_loop),
        cmocka_unit_test(no_wake_up_is_lost),
        cmocka_unit_test(a_late_wake_up_is_one),
        cmocka_unit_test(dispatch_runs_batches),
        cmocka_unit_test(dispatch_inside_a_callback),
        cmocka_unit_test(destroy_is_refused_while_used),
        cmocka_unit_test(destroy_runs_what_is_left),
        cmocka_unit_test(stop_ends_run),
        cmocka_unit_test(others_have_their_turn),
        cmocka_unit_test(uv_loop_lives_while_something_is_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
