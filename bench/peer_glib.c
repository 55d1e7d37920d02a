/* SPDX-License-Identifier: MIT */
/*
 * GLib's GThreadPool with two exclusive threads. Results on the main loop go through a source of our own over a
 * locked list, one wake-up per burst: faster than an idle source or a GTask for each.
 */
#include <glib.h>

#include "harness.h"
#include "load.h"
#include "queued.h"

static gint glib_peer_left; /* tasks that have not run */

static void glib_peer_work(gpointer data, gpointer user_data)
{
    (void)data;
    if (g_atomic_int_dec_and_test((gint *)user_data))
        g_main_context_wakeup(NULL);
}

static GThreadPool *glib_peer_pool(GFunc work, gpointer user_data)
{
    GError *error = NULL;
    GThreadPool *pool = g_thread_pool_new(work, user_data, BENCH_WORKERS, TRUE, &error);
    if (error != NULL)
        bench_fail("g_thread_pool_new: %s", error->message);
    return pool;
}

/* `left` is as the last round left it: 0. The thread that counts it down to 0 wakes us. */
static void glib_peer_batch(GThreadPool *pool, gint *left, size_t count)
{
    g_atomic_int_set(left, (gint)count);
    for (size_t i = 0; i < count; i++)
        g_thread_pool_push(pool, GINT_TO_POINTER(1), NULL);
    while (g_atomic_int_get(left) != 0)
        g_main_context_iteration(NULL, TRUE);
}

static void glib_peer_empty(int argc, char **argv)
{
    gint left = 0;
    GThreadPool *pool = glib_peer_pool(glib_peer_work, &left);
    (void)argc;
    (void)argv;
    glib_peer_batch(pool, &left, BENCH_EMPTY_TASKS / 10);
    uint64_t before_ns = bench_now_ns();
    glib_peer_batch(pool, &left, BENCH_EMPTY_TASKS);
    bench_print("empty", (double)(bench_now_ns() - before_ns) / (double)BENCH_EMPTY_TASKS);
    g_thread_pool_free(pool, FALSE, TRUE);
}

typedef struct glib_flow {
    GSource source; /* first: GLib allocates it */
    GMutex lock;
    GQueue finished;
    GThreadPool *pool;
    guint64 in_flight;
    bench_flow flow;
} glib_flow;

static void glib_flow_work(gpointer data, gpointer user_data)
{
    glib_flow *flow = user_data;
    g_mutex_lock(&flow->lock);
    gboolean wake = g_queue_is_empty(&flow->finished);
    g_queue_push_tail_link(&flow->finished, data);
    g_mutex_unlock(&flow->lock);
    if (wake)
        g_source_set_ready_time(&flow->source, 0);
}

static gboolean glib_flow_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    glib_flow *flow = (glib_flow *)source;
    (void)callback;
    (void)user_data;
    g_source_set_ready_time(source, -1);
    g_mutex_lock(&flow->lock);
    GQueue finished = flow->finished;
    g_queue_init(&flow->finished);
    g_mutex_unlock(&flow->lock);
    while (!g_queue_is_empty(&finished)) {
        GList *link = g_queue_pop_head_link(&finished);
        if (bench_flow_next(&flow->flow, flow->in_flight))
            g_thread_pool_push(flow->pool, link, NULL);
    }
    return G_SOURCE_CONTINUE;
}

static void glib_peer_flow(int argc, char **argv)
{
    static GSourceFuncs functions = {.dispatch = glib_flow_dispatch};
    glib_flow *flow = (glib_flow *)g_source_new(&functions, sizeof(glib_flow));
    flow->in_flight = g_ascii_strtoull(bench_argument(argc, argv, 0, "tasks in flight"), NULL, 10);
    g_mutex_init(&flow->lock);
    g_queue_init(&flow->finished);
    g_source_attach(&flow->source, NULL);
    flow->pool = glib_peer_pool(glib_flow_work, flow);
    GList *links = bench_alloc(flow->in_flight * sizeof(*links));
    bench_flow_open(&flow->flow);
    for (size_t i = 0; i < flow->in_flight; i++)
        g_thread_pool_push(flow->pool, &links[i], NULL);
    while (!flow->flow.over)
        g_main_context_iteration(NULL, TRUE);
    bench_flow_print(&flow->flow, "flow");
    g_thread_pool_free(flow->pool, FALSE, TRUE);
}

static void glib_peer_round(void *state) { glib_peer_batch(state, &glib_peer_left, 1); }

static void glib_peer_hot(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    GThreadPool *pool = glib_peer_pool(glib_peer_work, &glib_peer_left);
    bench_round_trips("hot", glib_peer_round, pool);
    g_thread_pool_free(pool, FALSE, TRUE);
}

static void glib_peer_turn(gpointer data, gpointer user_data)
{
    bench_load_turn(*(const guint64 *)data);
    glib_peer_work(data, user_data);
}

static void glib_peer_run_load(void *state, const uint64_t *turns)
{
    g_atomic_int_set(&glib_peer_left, (gint)BENCH_LOAD_TASKS);
    for (size_t i = 0; i < BENCH_LOAD_TASKS; i++)
        g_thread_pool_push(state, (gpointer)(uintptr_t)&turns[i], NULL);
    while (g_atomic_int_get(&glib_peer_left) != 0)
        g_main_context_iteration(NULL, TRUE);
}

static void glib_peer_load(int argc, char **argv)
{
    GThreadPool *pool = glib_peer_pool(glib_peer_turn, &glib_peer_left);
    bench_load_measure(argc, argv, glib_peer_run_load, pool);
    g_thread_pool_free(pool, FALSE, TRUE);
}

static gchar glib_peer_held; /* its address tells the task that goes to the gate */

static void glib_queued_work(gpointer data, gpointer user_data)
{
    if (data == &glib_peer_held)
        bench_gate_pass();
    glib_peer_work(data, user_data);
}

static void glib_queued_hold(void *state)
{
    g_atomic_int_inc(&glib_peer_left);
    g_thread_pool_push(state, &glib_peer_held, NULL);
}

static void glib_queued_push(void *state, uint64_t index)
{
    (void)index;
    g_atomic_int_inc(&glib_peer_left);
    g_thread_pool_push(state, GINT_TO_POINTER(1), NULL);
}

static void glib_queued_wait(void *state)
{
    (void)state;
    while (g_atomic_int_get(&glib_peer_left) != 0)
        g_main_context_iteration(NULL, TRUE);
}

/* Meaningful as a difference, while nothing is pushed. */
static uint64_t glib_queued_finished(void *state)
{
    (void)state;
    return (uint64_t)(G_MAXINT - g_atomic_int_get(&glib_peer_left));
}

static void glib_peer_queued(int argc, char **argv)
{
    size_t count = g_ascii_strtoull(bench_argument(argc, argv, 0, "tasks"), NULL, 10);
    bench_queued_warm(count, 2 * sizeof(GList));
    GThreadPool *pool = glib_peer_pool(glib_queued_work, &glib_peer_left);
    bench_queued_measure(
        count, &(bench_queued){pool, glib_queued_hold, glib_queued_push, glib_queued_wait, glib_queued_finished});
    g_thread_pool_free(pool, FALSE, TRUE);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"empty", glib_peer_empty},   {"hot", glib_peer_hot},
                                             {"flow", glib_peer_flow},     {"load", glib_peer_load},
                                             {"queued", glib_peer_queued}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
