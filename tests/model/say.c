/* SPDX-License-Identifier: MIT */
/* Chance, notes of what was done, and what is printed when something was wrong. */
#include "model.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define NOTES 64
#define RUN_SECONDS_MAX 240

static pthread_mutex_t notes_lock = PTHREAD_MUTEX_INITIALIZER;
static char notes[NOTES][128];
static uint64_t note_count;

/* splitmix64 (Steele, Lea, Flood 2014). */
uint32_t model_pick(uint64_t *random, uint32_t below)
{
    uint64_t x = (*random += 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (uint32_t)(((x >> 32) * below) >> 32);
}

void model_note(const model_actor *actor, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&notes_lock);
    char *note = notes[note_count++ % NOTES];
    int used = snprintf(note, sizeof(notes[0]), "%c%u ", actor->name, actor->parent);
    vsnprintf(note + used, sizeof(notes[0]) - (size_t)used, format, arguments);
    pthread_mutex_unlock(&notes_lock);
    va_end(arguments);
}

void model_print_order(const model_order *order)
{
    const brg_result *result = order->task == NULL ? NULL : brg_task_result(order->task);
    board_line *line = &order->run->board->lines[order->id];
    fprintf(stderr,
            "order %u: %s parent %u attempts_max %u until %u clock %d must_cancel %d may_cancel %d token %d group %d "
            "done %d x%u handle %d\n  starts %u ends %u first %llu last %llu end %llu; status %s attempts %u%s%s\n",
            order->id, model_kind_name(order->kind), order->parent, order->attempts_max, order->until, order->has_clock,
            order->must_cancel, atomic_load(&order->may_cancel), order->token, order->group, order->has_done,
            atomic_load(&order->dones), order->task != NULL, atomic_load(&line->starts), atomic_load(&line->ends),
            (unsigned long long)atomic_load(&line->first_start), (unsigned long long)atomic_load(&line->last_start),
            (unsigned long long)atomic_load(&line->last_end),
            result != NULL        ? brg_status_name(result->status)
            : order->task != NULL ? brg_task_state_name(brg_task_get_state(order->task))
            : order->is_known     ? brg_status_name(order->status)
                                  : "unknown",
            result != NULL ? result->attempts : order->attempts, result != NULL && result->error != NULL ? ": " : "",
            result != NULL && result->error != NULL ? result->error->message : "");
    for (uint32_t i = 0; i < order->after_count; i++)
        fprintf(stderr, "  after %u%s\n", order->after[i], order->after_any ? ", whatever became of it" : "");
}

static void say_notes(const model_run *run)
{
    fprintf(stderr, "BRIGADE_TEST_SEED=%llu\n%s\n", (unsigned long long)run->seed, run->text);
    for (uint64_t i = note_count > NOTES ? note_count - NOTES : 0; i < note_count; i++)
        fprintf(stderr, "  %s\n", notes[i % NOTES]);
}

void model_fail(const model_run *run, const char *file, int line, const char *format, ...)
{
    static atomic_flag failed = ATOMIC_FLAG_INIT;
    va_list arguments;
    while (atomic_flag_test_and_set(&failed)) /* another thread prints */
        pause();
    va_start(arguments, format);
    say_notes(run);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

/* ---- a run that does not end ------------------------------------------------------------------------------------- */

static _Atomic(const model_run *) watched;
static atomic_uint watch_turn;

void model_print_unsettled(const model_run *run)
{
    brg_pool_stats stats = {.size = sizeof(stats)};
    if (run->pool != NULL && brg_pool_get_stats(run->pool, &stats) == BRG_OK)
        fprintf(stderr,
                "submitted %llu done %llu failed %llu cancelled %llu timed out %llu lost %llu queued %llu running %llu "
                "workers online %u busy %u target %u started %llu\n",
                (unsigned long long)stats.submitted, (unsigned long long)stats.done, (unsigned long long)stats.failed,
                (unsigned long long)stats.cancelled, (unsigned long long)stats.timed_out,
                (unsigned long long)stats.lost, (unsigned long long)stats.queued, (unsigned long long)stats.running,
                stats.workers_online, stats.workers_busy, stats.workers_target,
                (unsigned long long)stats.workers_started);
    for (uint32_t i = 1; i < MODEL_ORDERS && i <= atomic_load(&run->order_count); i++) {
        const model_order *order = &run->orders[i];
        bool settled = order->task != NULL ? brg_task_result(order->task) != NULL
                                           : !order->has_done || atomic_load(&order->dones) != 0;
        if (atomic_load(&order->is_accepted) && !settled)
            model_print_order(order);
    }
}

/* Seconds are counted, not measured: a machine that was stopped meanwhile is given its time. */
static void *watch_main(void *argument)
{
    unsigned turn = 0, seconds = 0;
    (void)argument;
    for (;;) {
        nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        seconds = atomic_load(&watch_turn) == turn ? seconds + 1 : 0;
        turn = atomic_load(&watch_turn);
        const model_run *run = atomic_load(&watched);
        if (run == NULL || seconds < RUN_SECONDS_MAX)
            continue;
        say_notes(run);
        fprintf(stderr, "the run does not end; what has not settled:\n");
        model_print_unsettled(run);
        abort();
    }
    return NULL;
}

void model_watch(const model_run *run)
{
    atomic_store(&watched, run);
    atomic_fetch_add(&watch_turn, 1u);
}

void model_watch_start(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch_main, NULL) == 0)
        pthread_detach(thread);
}
