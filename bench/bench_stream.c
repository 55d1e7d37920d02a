/* SPDX-License-Identifier: MIT */
/* Streams and pipelines of empty items: what one costs, and that memory does not grow with their number. */
#include <string.h>

#include <brigade.h>

#include "harness.h"

#define STREAM_ITEMS UINT64_C(10000000)
#define STREAM_STAGES_MAX 8
#define STREAM_MESSAGES UINT64_C(1000000) /* to processes */

static void stream_check(brg_status status, const brg_error *error, const char *what)
{
    if (status != BRG_OK)
        bench_fail("%s: %s: %s", what, brg_status_text(status), error->message);
}

static brg_status stream_noop(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    (void)context, (void)input, (void)output, (void)state;
    return BRG_OK;
}

static brg_status stream_source(brg_value **item, void **tag, void *user_data)
{
    uint64_t *left = user_data;
    (void)item, (void)tag;
    return (*left)-- == 0 ? BRG_CLOSED : BRG_OK;
}

typedef struct stream_subject {
    brg_pool *pool;
    brg_stage stages[STREAM_STAGES_MAX];
    uint32_t stage_count;
    bool unordered;
} stream_subject;

/* argv: stages, "thread" or "process MODULE". */
static stream_subject stream_open(int argc, char **argv)
{
    brg_error error;
    stream_subject subject = {.stage_count = (uint32_t)atoi(bench_argument(argc, argv, 0, "stages"))};
    bool process = strcmp(bench_argument(argc, argv, 1, "isolation"), "process") == 0;
    const brg_pool_options *options = process ? brg_pool_opts(.workers_max = BENCH_WORKERS,
                                                              .isolation = BRG_ISOLATION_PROCESS,
                                                              .module = bench_argument(argc, argv, 2, "module"))
                                              : brg_pool_opts(.workers_max = BENCH_WORKERS);
    stream_check(brg_pool_create(&subject.pool, options, &error), &error, "brg_pool_create");
    for (uint32_t i = 0; i < subject.stage_count && i < STREAM_STAGES_MAX; i++) {
        subject.stages[i] = (brg_stage)BRG_STAGE(.pool = subject.pool, .task = process ? "noop" : NULL);
        subject.stages[i].run = process ? NULL : stream_noop;
    }
    return subject;
}

/* Nanoseconds for all of them. */
static uint64_t stream_pass(const stream_subject *subject, uint64_t count)
{
    brg_error error;
    brg_stream *stream = NULL;
    brg_stream_item item;
    brg_status status;
    uint64_t left = count, came = 0, before_ns = bench_now_ns();
    stream_check(
        brg_stream_create(&stream,
                          brg_stream_opts(.stages = subject->stages, .stage_count = subject->stage_count,
                                          .unordered = subject->unordered, .source = stream_source, .user_data = &left),
                          &error),
        &error, "brg_stream_create");
    while ((status = brg_stream_next(stream, &item, BRG_FOREVER)) == BRG_OK) {
        if (!subject->unordered && item.index != came)
            bench_fail("item %llu is out of its place", (unsigned long long)item.index);
        came++;
    }
    uint64_t after_ns = bench_now_ns();
    if (status != BRG_CLOSED || came != count)
        bench_fail("%llu items came of %llu: %s", (unsigned long long)came, (unsigned long long)count,
                   brg_status_text(status));
    brg_stream_destroy(stream);
    return after_ns - before_ns;
}

static void stream_measure(int argc, char **argv, bool unordered)
{
    stream_subject subject = stream_open(argc, argv);
    uint64_t count = subject.stages[0].task != NULL ? STREAM_MESSAGES : STREAM_ITEMS;
    subject.unordered = unordered;
    stream_pass(&subject, count / 100);
    bench_print("item", (double)stream_pass(&subject, count) / (double)count);
    brg_pool_destroy(subject.pool);
}

static void stream_ordered(int argc, char **argv) { stream_measure(argc, argv, false); }
static void stream_unordered(int argc, char **argv) { stream_measure(argc, argv, true); }

/* What ten million items need that a hundred thousand did not. */
static void stream_memory(int argc, char **argv)
{
    stream_subject subject = stream_open(argc, argv);
    stream_pass(&subject, STREAM_ITEMS / 100);
    double before_kb = bench_resident_kb();
    stream_pass(&subject, STREAM_ITEMS);
    bench_print("grown", bench_resident_kb() - before_kb);
    brg_pool_destroy(subject.pool);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"ordered", stream_ordered}, {"unordered", stream_unordered}, {"memory", stream_memory}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
