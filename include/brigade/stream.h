/* SPDX-License-Identifier: MIT */
/*
 * Streams: items that flow through a pool, or through a pipeline of stages with a pool or a share of one each. All is
 * bounded: a slow consumer slows the source, and nothing else.
 *
 *     brg_stream_create(&stream, brg_stream_opts(.pool = pool, .task = "resize", .source = next_file), &error);
 *     while ((status = brg_stream_next(stream, &item, BRG_FOREVER)) == BRG_OK)
 *         save(item.index, item.output);
 *     brg_stream_destroy(stream);
 *
 * Where items come from: a `source` that is asked for them (pull), or, without one, brg_stream_push. Where they go:
 * brg_stream_next on any thread, or `on_item` on a loop. An item is *in flight* from when it was taken from the source,
 * or pushed, until the consumer is through with it. It moves from stage to stage without the consumer's help. Each
 * attempt at an item in a stage is a task of that stage's pool, with its policies, timeouts and retries.
 */
#ifndef BRIGADE_STREAM_H
#define BRIGADE_STREAM_H

#include <brigade/loop.h>
#include <brigade/module.h>
#include <brigade/pool.h>
#include <brigade/status.h>
#include <brigade/token.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brg_stream brg_stream;

/* A stage as a function of this program (thread isolation): as brg_task_fn, with the stage's state. */
typedef brg_status (*brg_stage_fn)(brg_context *context, const brg_value *input, brg_value **output, void *state);

/*
 * One stage: its input is the output of the one before, for the first the item. The value itself moves on: it is not
 * copied between thread workers.
 */
typedef struct brg_stage {
    size_t size;      /* sizeof(brg_stage), as BRG_STAGE fills in; the same in all of an array */
    brg_pool *pool;   /* must be destroyed after the stream */
    const char *task; /* of the pool's module; or */
    brg_stage_fn run; /* with */
    void *state;      /* which is the caller's, and several workers see it at once */
    /* Its share of the pool: items submitted to it at once. Default: as many as keep it busy, measured; at least 2, or
     * 2 batches, for each of workers_max, and beyond that at most 256. */
    uint32_t running_max;
    uint32_t queue_max; /* items waiting before it, taken but not submitted. Default: as its share */
    /* Of its tasks: priority, key, tags, timeouts, delay_ns, attempts_max; copied. The rest must be zero. May be NULL. */
    const brg_submit_options *submit;
} brg_stage;

#define BRG_STAGE(...)                                                                                                 \
    {                                                                                                                  \
        .size = sizeof(brg_stage), __VA_ARGS__                                                                         \
    }
#define BRG_STAGES_MAX 64

/* What an item that fails in a stage does to the stream; it goes to no later stage. */
typedef enum brg_stream_rule {
    BRG_STREAM_STOP =
        0,             /* ends it: items before it are delivered, the others cancelled; then the end, with its error */
    BRG_STREAM_SKIP,   /* it is counted and left out; the rest goes on */
    BRG_STREAM_COLLECT /* it is delivered in its place, with its status and error; the rest goes on */
} brg_stream_rule;

/* An item as the consumer gets it. What it points to is borrowed: until on_item returns, or the next brg_stream_next or
 * brg_stream_destroy; brg_value_ref keeps an output. */
typedef struct brg_stream_item {
    uint64_t index; /* its place in the source, from 0 */
    void *tag;      /* of the source or the push */
    brg_status status;
    brg_value *output;      /* of the last stage; NULL when that gave none, or it failed */
    brg_value *detail;      /* what brg_context_fail_with sent along, or NULL */
    const brg_error *error; /* NULL when status is BRG_OK */
    uint32_t stage;         /* where it failed, from 0 */
    uint32_t attempts;      /* in that stage, or in the last */
} brg_stream_item;

typedef struct brg_stream_counts brg_stream_counts;

/*
 * The source: stores the next item into *item (NULL is an item without input) and a tag, if it likes. BRG_OK: the item
 * is the stream's. BRG_EMPTY: nothing now; brg_stream_wake says when to ask again. BRG_CLOSED: no more. Any other status
 * ends the stream with it, once the items before it are delivered. It runs on the loop, or without on_item inside
 * brg_stream_next; one at a time. It should not wait long: what is ready waits with it. It must not call the stream but
 * for brg_stream_wake, _cancel and _get_counts.
 */
typedef brg_status (*brg_stream_source_fn)(brg_value **item, void **tag, void *user_data);

typedef struct brg_stream_options {
    size_t size;
    const brg_stage *stages; /* copied; or, for one stage, the next five */
    uint32_t stage_count;
    brg_pool *pool;
    const char *task;
    brg_stage_fn run;
    void *state;
    const brg_submit_options *submit;

    bool unordered; /* items come as they are completed; default: in the order of the source */
    /* In all stages, waiting between them, and finished but not consumed. Default: 4 x the shares of all stages, at
     * least 64. At most 2^20. */
    uint32_t in_flight_max;
    /* No item is taken while those in flight have so many bytes, as far as is known: inputs until they are done, then
     * outputs. One that is larger passes alone. Default 256 MiB. */
    size_t in_flight_bytes_max;
    brg_stream_rule rule;
    brg_token *token; /* when it is cancelled, so is the stream. Referenced */

    brg_stream_source_fn source;                                   /* NULL: items are pushed */
    void (*on_item)(const brg_stream_item *item, void *user_data); /* on the loop; NULL: brg_stream_next takes them */
    void (*on_room)(void *user_data); /* after a push failed with BRG_FULL: there is room. On the loop */
    /* Exactly once, last of all, unless destroyed before; `error` is NULL when all went well. On the loop. */
    void (*on_end)(const brg_stream_counts *counts, const brg_error *error, void *user_data);
    brg_loop *loop; /* for on_item, on_room and on_end; default: that of the first stage's pool */
    /* For each item that is taken or pushed and not delivered (skipped, cancelled, destroyed): frees its tag. Where the
     * consumer is. */
    void (*drop)(void *tag, void *user_data);
    void *user_data; /* of all of these */
} brg_stream_options;

#define brg_stream_opts(...) BRG_OPTIONS(brg_stream_options, __VA_ARGS__)

/*
 * A stream; nothing is called before this returns. With on_item on the loop's owner thread, which then drives it; that
 * loop runs until the stream ended. Errors: BRG_INVALID naming the option (also on_item without a loop, on_room or
 * on_end without on_item, a pool without a module for `task`); BRG_UNSUPPORTED (`run` with process isolation);
 * BRG_NO_MEMORY; BRG_FORKED; those of token watches.
 */
BRG_API brg_status brg_stream_create(brg_stream **out, const brg_stream_options *options, brg_error *error);

/*
 * Ends it at any time: cancels what is left, waits until none of its tasks runs (a task that does not listen: the
 * pool's grace_ns), drops what was not delivered and frees it. Accepts NULL. With on_item: owner thread, also inside
 * its callbacks; else any thread, with none inside brg_stream_next or brg_stream_push. Not from a task of its pools.
 */
BRG_API void brg_stream_destroy(brg_stream *stream);

/* ---- items in ------------------------------------------------------------------------------------------------ */

/*
 * Pushes an item, waiting up to `timeout_ns` for room; `value` (may be NULL) is taken on success. Order is that in which
 * pushes got room. Errors: BRG_FULL (timeout 0: on_room follows, if there is one); BRG_TIMED_OUT; BRG_CLOSED once it
 * has ended, failed or was cancelled, or after brg_stream_end; BRG_INVALID (a stream with a source); BRG_DEADLOCK
 * (waiting in a task of its pools, or on the thread of its loop); BRG_CANCELLED (the task that waits is asked to end);
 * BRG_NO_MEMORY; BRG_FORKED. Any thread.
 */
BRG_API brg_status brg_stream_push(brg_stream *stream, brg_value *value, void *tag, uint64_t timeout_ns,
                                   brg_error *error);

/* No more items come: it ends once those it has are delivered. Later calls do nothing. Any thread. */
BRG_API void brg_stream_end(brg_stream *stream);

/* The source has something again, after BRG_EMPTY. Any thread. */
BRG_API void brg_stream_wake(brg_stream *stream);

/* ---- items out ----------------------------------------------------------------------------------------------- */

/*
 * The next item, without on_item; asks the source meanwhile. BRG_OK: *item is filled. Once nothing comes any more and
 * none of its tasks runs: BRG_CLOSED when all went well; else why it ended: the error that stopped it, the source's, or
 * BRG_CANCELLED. Where that is itself BRG_CLOSED (a pool takes no more tasks), BRG_EMPTY, BRG_TIMED_OUT or BRG_DEADLOCK,
 * it is BRG_FAILED here; brg_stream_get_error has it whole. Later calls return the same. Other errors: BRG_EMPTY
 * (timeout 0); BRG_TIMED_OUT; BRG_DEADLOCK (it would wait, in a task of one of its pools); BRG_CANCELLED (the task that
 * waits is asked to end); BRG_INVALID (a stream with on_item); BRG_NO_MEMORY; BRG_FORKED. Any thread, one at a time.
 */
BRG_API brg_status brg_stream_next(brg_stream *stream, brg_stream_item *item, uint64_t timeout_ns);

/* on_item waits until resume; what is in flight fills up and the source waits. Owner thread, also in on_item. */
BRG_API void brg_stream_pause(brg_stream *stream);
BRG_API void brg_stream_resume(brg_stream *stream);

/* ---- ends and counts ----------------------------------------------------------------------------------------- */

/*
 * Cancels it: no item is taken or delivered any more, waiting ones are dropped, running ones are asked to end as by
 * brg_task_cancel. The end follows, with BRG_CANCELLED. Nothing once it has ended. Any thread.
 */
BRG_API void brg_stream_cancel(brg_stream *stream);

/* Why it ended: copied into `error`, if it has ended or is about to for other reasons than its source's BRG_CLOSED or
 * brg_stream_end; returns that status, else BRG_OK. Any thread. */
BRG_API brg_status brg_stream_get_error(const brg_stream *stream, brg_error *error);

/* What became of its items so far. taken = delivered + skipped + dropped + in_flight. */
struct brg_stream_counts {
    size_t size;
    uint64_t taken;     /* from the source, or pushed */
    uint64_t delivered; /* to the consumer, the failed ones of the collect rule included */
    uint64_t failed;    /* in a stage, for other reasons than the stream's end; whatever the rule */
    uint64_t skipped;   /* failed ones left out by the skip rule */
    uint64_t dropped;   /* by the stop rule (the one that failed included), a cancel, or a pool that ended */
    uint64_t retried;   /* attempts beyond the first */
    uint64_t in_flight; /* now */
    uint64_t in_flight_peak;
    uint64_t in_flight_bytes, in_flight_bytes_peak;
};

/* Fills `out`, whose size field the caller set. Any thread. */
BRG_API brg_status brg_stream_get_counts(const brg_stream *stream, brg_stream_counts *out);

typedef struct brg_stage_counts {
    size_t size;
    uint64_t done, failed, retried; /* so far */
    uint32_t queued;                /* now: waiting before it */
    uint32_t running;               /* now: submitted to its pool */
    uint32_t blocked;               /* now: done, but the next stage has no room. They keep their part of the share */
    uint32_t running_max;           /* its share now */
    uint32_t queued_peak, running_peak; /* running and blocked */
} brg_stage_counts;

/* The same of one stage, from 0. BRG_RANGE: it has no such stage. Any thread. */
BRG_API brg_status brg_stream_get_stage(const brg_stream *stream, uint32_t stage, brg_stage_counts *out);

#ifdef __cplusplus
}
#endif

#endif
