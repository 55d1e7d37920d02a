/* SPDX-License-Identifier: MIT */
/*
 * The reference model: what is known of every task that was submitted, and so how it may end. A seed chooses a pool and
 * what is done with it; see model_test.c.
 *
 * Each task is an `order`. What may change its end (a cancel, a stop) is noted before it is done, so that whatever the
 * pool makes of it is either explained by a note or wrong. The ends are compared when the pool has come to its own.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include "scenario.h"

#include <pthread.h>
#include <stdatomic.h>

#include "model/board.h"

#define MODEL_ORDERS BOARD_ORDERS
#define MODEL_TOKENS 6
#define MODEL_GROUPS 3
#define MODEL_ACTORS 3
#define MODEL_AFTER 3
#define MODEL_BOUND BRG_SECONDS(200)

typedef enum model_kind {
    MODEL_WORK = 0,
    MODEL_FAIL,
    MODEL_FLAKY,
    MODEL_POLITE,
    MODEL_CRASH,
    MODEL_EXIT,
    MODEL_PROGRESS,
    MODEL_BATCH,
    MODEL_MISSING,
    MODEL_HOLD,
    MODEL_CALL, /* functions from here on */
    MODEL_CALL_FAIL,
    MODEL_CALL_CHILD,
    MODEL_CALL_GROUP,
    MODEL_CALL_FORK,
    MODEL_KINDS
} model_kind;

typedef struct model_run model_run;

/* What is known of one task. */
typedef struct model_order {
    model_run *run;
    uint32_t id, parent, depth; /* parent: 0, or the id of the order that submitted it */
    uint32_t family;            /* of one parent's attempt */
    uint64_t random;
    model_kind kind;
    bool fails; /* MODEL_BATCH: its part of the batch does */
    uint32_t attempts_max, until, spin_us;
    bool has_clock;   /* a timeout or a deadline, its own or the pool's */
    bool must_cancel; /* its token was cancelled before it was submitted */
    bool has_done, listens, pulls;
    int token, group; /* indexes; -1: none */
    uint32_t after[MODEL_AFTER], after_count;
    bool after_any;
    uint64_t config;                                /* the version that it must see, at least */
    atomic_bool may_cancel, is_accepted, is_shared; /* shared: others may use its handle */
    brg_task *task;

    atomic_uint dones;
    brg_status status; /* of its done, and how it is known in the end */
    uint32_t attempts;
    bool is_known;
    int64_t parts_seen;
    bool parts_wrong;
} model_order;

/* Who does things: the owner's thread, another one, a task. */
typedef struct model_actor {
    model_run *run;
    uint64_t random;
    char name;
    int operations;
    uint32_t parent, family, depth;
    pthread_t thread;
} model_actor;

typedef struct model_token {
    brg_token *token;
    atomic_bool is_cancelled, was_cancelled; /* before and after the call */
} model_token;

typedef struct model_group {
    brg_group *group;
    atomic_bool is_cancelled;
    atomic_uint accepted, whens, calls;
} model_group;

struct model_run {
    uint64_t seed;
    char text[1600]; /* the options, in words */
    brg_pool_options options;
    uint64_t tags[4];
    bool has_tags, has_clocks;
    bool has_batches; /* an attempt that ran out of another's time is not counted */

    brg_shared *shared;
    board *board;
    brg_loop *loop;
    brg_pool *pool;

    model_order orders[MODEL_ORDERS];
    atomic_uint order_count;
    model_token tokens[MODEL_TOKENS];
    atomic_uint token_now;
    model_group groups[MODEL_GROUPS];
    model_actor actors[MODEL_ACTORS];
    int actor_count;
    atomic_int acting;
    atomic_bool is_closed;  /* it may refuse new tasks */
    atomic_bool is_closing; /* any task may be cancelled now */

    pthread_t owner;
    atomic_uint accepted, refused, with_done, all_accepted, all_done;
    _Atomic uint64_t config_told; /* the version that workers were given last */
    pthread_mutex_t configuring;
    atomic_uint releases;
    uint32_t levels, workers_started, workers_ended; /* told on the loop */
    bool is_full_told;
    char ended_badly[256];
    atomic_bool saw_full; /* brg_pool_is_full said so: then a drain follows */
};

/* ---- say.c: chance, notes and the end of it ------------------------------------------------------------------ */

uint32_t model_pick(uint64_t *random, uint32_t below);
static inline bool model_chance(uint64_t *random, uint32_t one_in) { return model_pick(random, one_in) == 0; }
void model_note(const model_actor *actor, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the seed, the options and the latest notes, and ends the program. Any thread. */
_Noreturn void model_fail(const model_run *run, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void model_print_order(const model_order *order);
void model_print_unsettled(const model_run *run);
void model_watch(const model_run *run); /* it must come to its end, or the next be watched, in time; NULL: none */
void model_watch_start(void);

#define MODEL_MUST(run_, condition_, ...)                                                                              \
    do {                                                                                                               \
        if (!(condition_))                                                                                             \
            model_fail((run_), __FILE__, __LINE__, #condition_ ": " __VA_ARGS__);                                      \
    } while (0)

/* ---- choose.c: what a seed chooses --------------------------------------------------------------------------- */

void model_choose_pool(model_run *run, uint64_t *random);
void model_open(model_run *run, uint64_t *random);
void model_close(model_run *run);             /* but the pool: tokens, groups, memory */
brg_value *model_board_value(model_run *run); /* {"board": ...} */
void model_tune(model_run *run, model_actor *actor);

/* ---- order.c: submitting, and how it may end ------------------------------------------------------------------- */

/* A new task of some kind; NULL: it was refused, or there were enough. `group` (may be NULL): of the actor's own. */
model_order *model_submit(model_actor *actor, brg_group *group);
brg_status model_call(brg_context *context, void *argument);
const char *model_kind_name(model_kind kind);

/* ---- check.c: how tasks ended --------------------------------------------------------------------------------- */

/* What a result says of itself; a part. */
void model_check_result(const model_order *order, const brg_result *result);
void model_check_part(model_order *order, const brg_value *value);
/* The pool has come to its end: each order, against all that is known of it. */

void model_check_orders(model_run *run);
void model_check_stats(model_run *run);
void model_check_groups(model_run *run);

/* ---- play.c ----------------------------------------------------------------------------------------------------- */

void model_play(uint64_t seed, bool is_process);

/* ---- exact.c ---------------------------------------------------------------------------------------------------- */

void model_play_exact(uint64_t seed, bool is_process);

#endif
