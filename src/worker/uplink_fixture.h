/* SPDX-License-Identifier: MIT */
/*
 * For tests: a process worker that is not one. It has a client in the hub, and a thread that plays its link: what each
 * side says goes through two queues, in order, copied as bytes unless it holds what moves. A test thread plays the
 * worker between fixture_enter and fixture_leave.
 */
#ifndef BRG_WORKER_UPLINK_FIXTURE_H
#define BRG_WORKER_UPLINK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/object.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/lock.h"
#include "os/memory.h"
#include "os/thread.h"
#include "worker/context.h"
#include "worker/service.h"

/* Nearly as long as ctest lets a test run: a wait that reaches it has failed, however slow the machine. */
#define FIXTURE_BOUND_NS BRG_SECONDS(240)

#define fixture_check(condition)                                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

typedef enum fixture_kind { FIXTURE_CALL, FIXTURE_ANSWER, FIXTURE_EVENT } fixture_kind;

typedef struct fixture_frame {
    brg__node node;
    fixture_kind kind;
    uint32_t service;
    uint64_t number;
    uint64_t words[BRG__SERVICE_WORDS];
    brg_status status;
    brg_value *value;
} fixture_frame;

typedef struct fixture_worker {
    brg__service_client client; /* the hub's */
    brg__lock lock;
    brg__list frames; /* both directions, in the order in which they were sent */
    brg__list calls;  /* brg__uplink_call */
    uint64_t last_number;
    uint32_t xsignal; /* futex: bumped for each frame, and for the end */
    uint32_t xend;
    uint32_t xprotocol; /* the hub said BRG_PROTOCOL */
    uint32_t xheld;     /* frames wait while it is set: the number of the hold */
    uint32_t xrests;    /* the hold that its thread keeps to */
    brg__thread thread;
    uint64_t id, xcancel;
} fixture_worker;

static _Thread_local fixture_worker *fixture_current;
static _Thread_local brg_context fixture_context; /* of a thread that plays the worker */

static inline brg_value *fixture_copy_value(brg_value *value)
{
    if (value == NULL || brg__value_has_movables(value))
        return value;
    brg_value *copy = NULL;
    fixture_check(brg_value_from_bytes(&copy, brg_value_data(value), brg_value_size(value), NULL, 0, NULL) == BRG_OK);
    brg_value_unref(value);
    return copy;
}

static inline void fixture_signal(fixture_worker *worker)
{
    brg_add_seq_cst(&worker->xsignal, 1u);
    brg__futex_wake(&worker->xsignal, INT32_MAX, BRG__FUTEX_PRIVATE);
}

/* Takes the value. */
static inline void fixture_send(fixture_worker *worker, fixture_frame frame)
{
    fixture_frame *sent = brg__malloc(sizeof(*sent));
    fixture_check(sent != NULL);
    *sent = frame;
    sent->node = (brg__node){0};
    sent->value = fixture_copy_value(frame.value);
    brg__lock_acquire(&worker->lock);
    brg__list_push_back(&worker->frames, &sent->node);
    brg__lock_release(&worker->lock);
    fixture_signal(worker);
}

static inline void fixture_answer(brg__service_client *client, uint64_t number, brg_status status, brg_value *value)
{
    fixture_worker *worker = brg__container_of(client, fixture_worker, client);
    fixture_send(worker, (fixture_frame){.kind = FIXTURE_ANSWER, .number = number, .status = status, .value = value});
}

static inline brg_status fixture_event(brg__service_client *client, uint32_t service,
                                       const uint64_t words[BRG__SERVICE_WORDS], brg_value *value, brg_error *error)
{
    (void)error;
    fixture_worker *worker = brg__container_of(client, fixture_worker, client);
    fixture_frame frame = {.kind = FIXTURE_EVENT, .service = service, .value = value};
    memcpy(frame.words, words, sizeof(frame.words));
    fixture_send(worker, frame);
    return BRG_OK;
}

static const brg__service_client_ops fixture_client_ops = {.answer = fixture_answer, .event = fixture_event};

static inline bool fixture_is_here(void) { return fixture_current != NULL; }

static inline brg_status fixture_start(brg__uplink_call *call, brg_error *error)
{
    fixture_worker *worker = fixture_current;
    if (brg_load_acquire(&worker->xend) != 0)
        return brg_error_set(error, BRG_CLOSED, "test", "the program is gone");
    fixture_frame frame = {.kind = FIXTURE_CALL, .service = call->service, .value = call->request};
    memcpy(frame.words, call->words, sizeof(frame.words));
    brg__lock_acquire(&worker->lock);
    if (!call->is_notice) {
        frame.number = call->number = ++worker->last_number;
        call->node = (brg__node){0};
        brg__list_push_back(&worker->calls, &call->node);
    }
    brg__lock_release(&worker->lock);
    bool is_notice = call->is_notice;
    fixture_send(worker, frame);
    if (is_notice)
        call->completed(call, BRG_OK, NULL);
    return BRG_OK;
}

static const brg__uplink_ops fixture_uplink_ops = {.start = fixture_start, .is_here = fixture_is_here};

static inline brg__uplink_call *fixture_take_call(fixture_worker *worker, uint64_t number)
{
    brg__uplink_call *found = NULL;
    brg__lock_acquire(&worker->lock);
    brg__list_for_each(node, &worker->calls) {
        brg__uplink_call *call = brg__container_of(node, brg__uplink_call, node);
        if (number != 0 && call->number != number)
            continue;
        brg__list_remove(node);
        found = call;
        break;
    }
    brg__lock_release(&worker->lock);
    return found;
}

/* A frame arrives: on its side. */
static inline void fixture_arrive(fixture_worker *worker, fixture_frame *frame)
{
    if (frame->kind == FIXTURE_CALL) {
        if (brg__service_call(&worker->client, frame->service, frame->number, frame->words, frame->value) != BRG_OK)
            brg_store_release(&worker->xprotocol, 1u);
        return;
    }
    fixture_current = worker;
    if (frame->kind == FIXTURE_EVENT) {
        brg__uplink_event(frame->service, frame->words, frame->value);
    } else {
        brg__uplink_call *call = fixture_take_call(worker, frame->number);
        if (call != NULL)
            call->completed(call, frame->status, frame->value);
    }
    fixture_current = NULL;
}

static inline void fixture_link_run(void *argument)
{
    fixture_worker *worker = argument;
    while (brg_load_acquire(&worker->xend) == 0) {
        uint32_t seen = brg_load_seq_cst(&worker->xsignal);
        brg__node *node = NULL;
        uint32_t held = brg_load_seq_cst(&worker->xheld);
        brg_store_seq_cst(&worker->xrests, held);
        if (held == 0) {
            brg__lock_acquire(&worker->lock);
            node = brg__list_pop_front(&worker->frames);
            brg__lock_release(&worker->lock);
        }
        if (node == NULL) {
            if (brg_load_acquire(&worker->xend) == 0)
                brg__futex_wait(&worker->xsignal, seen, UINT64_MAX, BRG__FUTEX_PRIVATE);
            continue;
        }
        fixture_frame *frame = brg__container_of(node, fixture_frame, node);
        fixture_arrive(worker, frame);
        brg_value_unref(frame->value);
        brg__mfree(frame);
    }
}

static inline fixture_worker *fixture_worker_start(uint64_t id)
{
    fixture_worker *worker = brg__calloc_aligned(sizeof(*worker));
    assert_non_null(worker);
    brg__lock_init(&worker->lock, BRG__RANK_LEAF, "uplink fixture");
    brg__list_init(&worker->frames);
    brg__list_init(&worker->calls);
    worker->id = id;
    brg__uplink_set(&fixture_uplink_ops);
    assert_int_equal(brg__service_client_init(&worker->client, &fixture_client_ops, id, NULL), BRG_OK);
    brg__service_client_ready(&worker->client);
    assert_int_equal(brg__thread_start(&worker->thread, "link", 0, fixture_link_run, worker, NULL), BRG_OK);
    return worker;
}

/* Its process dies: first the link stops, then the hub hears of it, then the calls it still had fail. */
static inline void fixture_worker_die(fixture_worker *worker)
{
    brg_store_release(&worker->xend, 1u);
    fixture_signal(worker);
    brg__thread_join(&worker->thread);
    brg__service_client_gone(&worker->client);
    brg__service_client_gone(&worker->client); /* twice does nothing */
    fixture_current = worker;
    for (brg__uplink_call *call; (call = fixture_take_call(worker, 0)) != NULL;)
        call->completed(call, BRG_CLOSED, NULL);
    fixture_current = NULL;
}

static inline void fixture_worker_free(fixture_worker *worker)
{
    for (brg__node *node; (node = brg__list_pop_front(&worker->frames)) != NULL;) {
        brg_value_unref(brg__container_of(node, fixture_frame, node)->value);
        brg__mfree(brg__container_of(node, fixture_frame, node));
    }
    brg__mfree_aligned(worker);
}

static inline void fixture_worker_end(fixture_worker *worker)
{
    fixture_worker_die(worker);
    fixture_worker_free(worker);
}

/* The calling thread is in the worker from here on. */
static inline void fixture_enter(fixture_worker *worker)
{
    fixture_current = worker;
    memset(&fixture_context, 0, sizeof(fixture_context));
    fixture_context.worker_id = worker->id;
    fixture_context.xcancel = &worker->xcancel;
    fixture_context.usage = &fixture_context.own_usage;
    brg__context_set_current(&fixture_context);
}

static inline void fixture_leave(void)
{
    fixture_current = NULL;
    brg__context_set_current(NULL);
}

static inline void fixture_ask_to_end(fixture_worker *worker) { brg_store_seq_cst(&worker->xcancel, UINT64_MAX); }

static inline void fixture_look_again(uint64_t deadline_ns)
{
    static uint32_t never;
    fixture_check(brg__now_real() < deadline_ns);
    brg__futex_wait(&never, 0, brg__deadline(BRG_MICROSECONDS(200)), BRG__FUTEX_PRIVATE);
}

/* Until `condition` holds, by looking: for what nobody signals. */
#define fixture_until(condition)                                                                                       \
    for (uint64_t fixture_deadline_ = brg__now_real() + FIXTURE_BOUND_NS; !(condition);)                               \
    fixture_look_again(fixture_deadline_)

/* Nothing arrives from here on: its thread has seen that, and is not about to deliver. */
static inline void fixture_hold(fixture_worker *worker, uint32_t number)
{
    brg_store_seq_cst(&worker->xheld, number);
    fixture_signal(worker);
    fixture_until(brg_load_seq_cst(&worker->xrests) == number);
}

#endif
