/* SPDX-License-Identifier: MIT */
/* Asynchronous waits and cancel tokens. */
#include "message/shared_fixture.h"

#define WAITS 6

typedef struct record {
    int numbers[4 * WAITS];
    brg_status statuses[4 * WAITS];
    int done;
    int released;
} record;

typedef struct note {
    record *in;
    int number;
} note;

static void note_done(brg_status status, void *user_data)
{
    note *self = user_data;
    self->in->numbers[self->in->done] = self->number;
    self->in->statuses[self->in->done++] = status;
}

static void note_cancelled(void *user_data) { note_done(BRG_OK, user_data); }
static void note_released(void *user_data) { ((note *)user_data)->in->released++; }

static brg_loop *make_loop(void)
{
    brg_loop *loop = NULL;
    assert_int_equal(brg_loop_create(&loop, NULL, NULL), BRG_OK);
    return loop;
}

static brg_status wait_async(brg_shared *shared, brg_loop *loop, uint32_t expected, uint64_t timeout_ns, note *self,
                             brg_shared_wait **out)
{
    return brg_shared_wait_async32(shared, 0, expected,
                                   brg_shared_wait_opts(.loop = loop, .timeout_ns = timeout_ns, .done = note_done,
                                                        .release = note_released, .user_data = self),
                                   out, NULL);
}

static void notes_init(note *notes, int count, record *in)
{
    for (int i = 0; i < count; i++)
        notes[i] = (note){.in = in, .number = i};
}

static void notified_in_order(void **state)
{
    (void)state;
    brg_loop *loop = make_loop();
    brg_shared *shared = make_shared(64);
    record all = {.done = 0};
    note notes[WAITS];
    uint32_t woken = 0;
    notes_init(notes, WAITS, &all);
    for (int i = 0; i < WAITS; i++)
        assert_int_equal(wait_async(shared, loop, 0, 0, &notes[i], NULL), BRG_OK);
    assert_int_equal(brg_loop_pending(loop), WAITS);
    assert_int_equal(brg_loop_destroy(loop), BRG_STATE);
    assert_int_equal(brg_shared_notify(shared, 4, UINT32_MAX, &woken), BRG_OK);
    assert_int_equal(woken, 0);
    assert_int_equal(brg_shared_notify(shared, 0, 2, &woken), BRG_OK);
    assert_int_equal(woken, 2);
    assert_int_equal(all.done, 0); /* not inside notify */
    brg_loop_dispatch(loop);
    assert_int_equal(all.done, 2);
    assert_int_equal(brg_shared_notify(shared, 0, UINT32_MAX, &woken), BRG_OK);
    assert_int_equal(woken, WAITS - 2);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(all.done, WAITS);
    assert_int_equal(all.released, WAITS);
    for (int i = 0; i < WAITS; i++) {
        assert_int_equal(all.numbers[i], i);
        assert_int_equal(all.statuses[i], BRG_OK);
    }
    assert_false(shared->has_helper); /* nothing here needed a thread */
    brg_shared_unref(shared);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void not_equal_and_bad_calls_start_nothing(void **state)
{
    (void)state;
    brg_loop *loop = make_loop();
    brg_shared *shared = make_shared(64);
    record all = {.done = 0};
    note self = {.in = &all};
    brg_shared_wait *wait = NULL;
    assert_int_equal(wait_async(shared, loop, 1, 0, &self, &wait), BRG_NOT_EQUAL);
    assert_int_equal(wait_async(shared, NULL, 0, 0, &self, &wait), BRG_INVALID);
    assert_int_equal(
        brg_shared_wait_async64(shared, 4, 0, brg_shared_wait_opts(.loop = loop, .done = note_done), &wait, NULL),
        BRG_INVALID);
    assert_int_equal(
        brg_shared_wait_async64(shared, 64, 0, brg_shared_wait_opts(.loop = loop, .done = note_done), &wait, NULL),
        BRG_RANGE);
    assert_int_equal(brg_shared_wait_async32(shared, 0, 0, brg_shared_wait_opts(.loop = loop), &wait, NULL),
                     BRG_INVALID);
    assert_null(wait);
    assert_int_equal(brg_loop_pending(loop), 0);
    assert_int_equal(all.done + all.released, 0);
    brg_shared_unref(shared);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void deadlines_and_cancels_end_waits(void **state)
{
    (void)state;
    brg_loop *loop = make_loop();
    brg_shared *shared = make_shared(64);
    record all = {.done = 0};
    note notes[3];
    brg_shared_wait *wait = NULL;
    uint32_t woken = 0;
    notes_init(notes, 3, &all);
    assert_int_equal(wait_async(shared, loop, 0, 0, &notes[0], &wait), BRG_OK);
    assert_int_equal(wait_async(shared, loop, 0, BRG_SECONDS(100000), &notes[1], NULL), BRG_OK);
    assert_int_equal(wait_async(shared, loop, 0, 1000, &notes[2], NULL), BRG_OK);
    while (all.done == 0)
        brg_loop_dispatch(loop);
    assert_int_equal(all.numbers[0], 2);
    assert_int_equal(all.statuses[0], BRG_TIMED_OUT);
    brg_shared_wait_cancel(wait);
    brg_shared_wait_cancel(wait);
    assert_int_equal(all.done, 1);
    while (all.done == 1)
        brg_loop_dispatch(loop);
    assert_int_equal(all.numbers[1], 0);
    assert_int_equal(all.statuses[1], BRG_CANCELLED);
    assert_int_equal(brg_shared_notify(shared, 0, 5, &woken), BRG_OK);
    assert_int_equal(woken, 1);
    brg_shared_unref(shared); /* the wait keeps it */
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(all.numbers[2], 1);
    assert_int_equal(all.statuses[2], BRG_OK);
    brg_shared_wait_cancel(wait);
    brg_shared_wait_unref(wait);
    brg_shared_wait_unref(NULL);
    assert_int_equal(all.released, 3);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void notify_twice(brg_shared *shared)
{
    uint32_t go = 0;
    while (brg_shared_load32(shared, 4, &go), go == 0)
        sched_yield();
    uint32_t woken = 0;
    child_check(brg_shared_notify(shared, 0, 2, &woken) == BRG_OK && woken == 2);
    child_check(brg_shared_notify(shared, 0, UINT32_MAX, &woken) == BRG_OK && woken == WAITS - 2);
}

static void another_process_notifies(void **state)
{
    (void)state;
    brg_loop *loop = make_loop();
    brg_shared *shared = make_shared(64);
    record all = {.done = 0};
    note notes[WAITS];
    stranger other;
    stranger_start(&other, shared, notify_twice); /* first: then there are threads */
    notes_init(notes, WAITS, &all);
    for (int i = 0; i < WAITS; i++)
        assert_int_equal(wait_async(shared, loop, 0, 0, &notes[i], NULL), BRG_OK);
    brg_shared_store32(shared, 4, 1);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    stranger_must_succeed(&other);
    assert_int_equal(all.done, WAITS);
    for (int i = 0; i < WAITS; i++)
        assert_int_equal(all.numbers[i], i);
    brg_shared_unref(shared);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

/* ---- races ------------------------------------------------------------------------------------------------- */

typedef struct race {
    brg_shared *shared;
    uint32_t xstop;
    uint32_t woken;
} race;

static void notify_often(void *argument)
{
    race *self = argument;
    while (brg_load_seq_cst(&self->xstop) == 0) {
        uint32_t woken = 0;
        brg_shared_notify(self->shared, 0, 2, &woken);
        self->woken += woken;
        sched_yield();
    }
}

static void each_wait_ends_once_whoever_comes_first(void **state)
{
    (void)state;
    brg_loop *loop = make_loop();
    race other = {.shared = make_shared(64)};
    brg__thread thread;
    uint32_t ok = 0, released = 0;
    assert_int_equal(brg__thread_start(&thread, "notifier", 0, notify_often, &other, NULL), BRG_OK);
    for (int round = 0; round < 300; round++) {
        record all = {.done = 0};
        note notes[3];
        brg_shared_wait *waits[3];
        notes_init(notes, 3, &all);
        for (int i = 0; i < 3; i++)
            assert_int_equal(
                wait_async(other.shared, loop, 0, i == 1 ? (uint64_t)round * 500 + 1 : 0, &notes[i], &waits[i]),
                BRG_OK);
        brg_shared_wait_cancel(waits[round % 3]);
        assert_int_equal(brg_loop_run(loop), BRG_OK);
        assert_int_equal(all.done, 3);
        for (int i = 0; i < 3; i++) {
            ok += all.statuses[i] == BRG_OK;
            brg_shared_wait_unref(waits[i]);
        }
        released += (uint32_t)all.released;
    }
    brg_store_seq_cst(&other.xstop, 1u);
    brg__thread_join(&thread);
    assert_int_equal(ok, other.woken);
    assert_int_equal(released, 900);
    assert_int_equal(other.shared->header->xwaiters, 0);
    brg_shared_unref(other.shared);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void notify_one(void *argument)
{
    uint32_t woken = 0;
    brg_shared_notify(argument, 0, 1, &woken);
    child_check(woken == 1);
}

/* Who notified may still be about to look whether the loop sleeps: ThreadSanitizer tells. */
static void a_loop_may_go_when_its_waits_are_done(void **state)
{
    (void)state;
    brg_shared *shared = make_shared(64);
    for (int round = 0; round < 100; round++) {
        brg_loop *loop = make_loop();
        record all = {.done = 0};
        note self = {.in = &all};
        brg__thread thread;
        assert_int_equal(wait_async(shared, loop, 0, 0, &self, NULL), BRG_OK);
        assert_int_equal(brg__thread_start(&thread, "notifier", 0, notify_one, shared, NULL), BRG_OK);
        while (all.done == 0)
            brg_loop_dispatch(loop); /* without sleeping, so that it need not be woken */
        assert_int_equal(brg_loop_destroy(loop), BRG_OK);
        brg__thread_join(&thread);
    }
    brg_shared_unref(shared);
}

/* ---- tokens ------------------------------------------------------------------------------------------------ */

static brg_token *make_token(void)
{
    brg_token *token = NULL;
    assert_int_equal(brg_token_create(&token, NULL), BRG_OK);
    return token;
}

static void a_token_is_cancelled_once(void **state)
{
    (void)state;
    brg_token *token = make_token();
    assert_false(brg_token_is_cancelled(token));
    assert_false(brg_token_is_cancelled(NULL));
    assert_int_equal(brg_token_wait(token, 0), BRG_TIMED_OUT);
    assert_int_equal(brg_token_wait(token, 1000), BRG_TIMED_OUT);
    assert_ptr_equal(brg_token_ref(token), token);
    brg_token_cancel(token);
    brg_token_cancel(token);
    brg_token_unref(token);
    assert_true(brg_token_is_cancelled(token));
    assert_int_equal(brg_token_wait(token, BRG_FOREVER), BRG_OK);
    brg_token_unref(token);
    brg_token_unref(NULL);
    assert_int_equal(brg_token_create(NULL, NULL), BRG_INVALID);
}

static brg_status watch(brg_token *token, brg_loop *loop, note *self, brg_token_watch **out)
{
    return brg_token_on_cancel(
        token,
        brg_token_watch_opts(.loop = loop, .cancelled = note_cancelled, .release = note_released, .user_data = self),
        out, NULL);
}

static void callbacks_follow_a_cancel_on_their_loop(void **state)
{
    (void)state;
    brg_loop *loop = make_loop();
    brg_token *token = make_token();
    record all = {.done = 0};
    note notes[4];
    brg_token_watch *gone = NULL, *kept = NULL;
    notes_init(notes, 4, &all);
    assert_int_equal(brg_token_on_cancel(token, brg_token_watch_opts(.loop = loop), NULL, NULL), BRG_INVALID);
    assert_int_equal(brg_token_on_cancel(token, brg_token_watch_opts(.cancelled = note_cancelled), NULL, NULL),
                     BRG_INVALID);
    assert_int_equal(watch(token, loop, &notes[0], NULL), BRG_OK);
    assert_int_equal(watch(token, loop, &notes[1], &gone), BRG_OK);
    assert_int_equal(watch(token, loop, &notes[2], &kept), BRG_OK);
    brg_token_cancel(token);
    assert_int_equal(all.done, 0);
    brg_token_watch_destroy(gone);                                 /* although the cancel came first */
    assert_int_equal(watch(token, loop, &notes[3], NULL), BRG_OK); /* of one that is cancelled already */
    assert_int_equal(all.done, 0);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(all.done, 3);
    assert_int_equal(all.numbers[0], 0);
    assert_int_equal(all.numbers[1], 2);
    assert_int_equal(all.numbers[2], 3);
    assert_int_equal(all.released, 4);
    brg_token_watch_destroy(kept);
    brg_token_watch_destroy(NULL);
    brg_token_unref(token);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void a_destroyed_watch_is_released_and_frees_the_loop(void **state)
{
    (void)state;
    brg_loop *loop = make_loop();
    brg_token *token = make_token();
    record all = {.done = 0};
    note self = {.in = &all};
    brg_token_watch *one = NULL, *quiet = NULL;
    assert_int_equal(brg_token_on_cancel(token,
                                         brg_token_watch_opts(.loop = loop, .is_background = true,
                                                              .cancelled = note_cancelled, .user_data = &self),
                                         &quiet, NULL),
                     BRG_OK);
    assert_int_equal(brg_loop_pending(loop), 0);
    assert_int_equal(watch(token, loop, &self, &one), BRG_OK);
    brg_token_watch_destroy(one);
    assert_int_equal(brg_loop_run(loop), BRG_OK);
    assert_int_equal(all.done, 0);
    assert_int_equal(all.released, 1);
    brg_token_watch_destroy(quiet);
    brg_loop_dispatch(loop);
    brg_token_unref(token);
    assert_int_equal(brg_loop_destroy(loop), BRG_OK);
}

static void watches_without_a_loop_run_at_once(void **state)
{
    (void)state;
    brg_token *token = make_token();
    record all = {.done = 0};
    note self = {.in = &all};
    brg_token_watch *first = NULL, *second = NULL, *late = NULL;
    assert_int_equal(brg__token_watch(token, note_cancelled, note_released, &self, &first, NULL), BRG_OK);
    assert_int_equal(brg__token_watch(token, note_cancelled, note_released, &self, &second, NULL), BRG_OK);
    brg_token_watch_destroy(second);
    assert_int_equal(all.released, 1);
    brg_token_cancel(token);
    assert_int_equal(all.done, 1);
    assert_int_equal(brg__token_watch(token, note_cancelled, note_released, &self, &late, NULL), BRG_OK);
    assert_int_equal(all.done, 2);
    assert_int_equal(all.released, 3);
    brg_token_watch_destroy(first);
    brg_token_watch_destroy(late);
    brg_token_unref(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_process_notifies), /* forks: before there are threads */
        cmocka_unit_test(notified_in_order),
        cmocka_unit_test(not_equal_and_bad_calls_start_nothing),
        cmocka_unit_test(deadlines_and_cancels_end_waits),
        cmocka_unit_test(each_wait_ends_once_whoever_comes_first),
        cmocka_unit_test(a_loop_may_go_when_its_waits_are_done),
        cmocka_unit_test(a_token_is_cancelled_once),
        cmocka_unit_test(callbacks_follow_a_cancel_on_their_loop),
        cmocka_unit_test(a_destroyed_watch_is_released_and_frees_the_loop),
        cmocka_unit_test(watches_without_a_loop_run_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
