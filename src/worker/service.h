/* SPDX-License-Identifier: MIT */
/*
 * What process workers can ask of the program: named locks, broadcast, messages by id. The state of all of these lives
 * in the program, the hub; a process worker reaches it over its link.
 *
 * Four kinds of frames: a call and its answer, a notice (a call with number 0: no answer) and an event (from the hub).
 * Each carries a value, or none, and two words that are the service's. A link keeps the order of what it carries in
 * each direction, answers and events together. What a worker sends is validated here: what cannot be understood is
 * BRG_PROTOCOL, for which the link may end the worker.
 */
#ifndef BRG_WORKER_SERVICE_H
#define BRG_WORKER_SERVICE_H

#include <brigade/value.h>

#include "base/list.h"
#include "worker/direct.h"

typedef enum brg__service { BRG__SERVICE_LOCKS = 1, BRG__SERVICE_BROADCAST, BRG__SERVICE_DIRECT } brg__service;

#define BRG__SERVICE_WORDS 2

/* ---- in the program: the link of one process worker ------------------------------------------------------------ */

typedef struct brg__service_client brg__service_client;

/*
 * Neither waits: what finds no room stays with the link, in order. They may run inside brg__service_call, on any
 * thread, and under a lock of rank BRG__RANK_SERVICE, so they take only locks above; not after brg__service_client_gone
 * returned.
 */
typedef struct brg__service_client_ops {
    /*
     * Takes `value`, which may be NULL. What cannot be sent becomes an answer that says why; the worker is ended if
     * need be.
     */
    void (*answer)(brg__service_client *client, uint64_t number, brg_status status, brg_value *value);
    /* Takes `value`, which may be NULL, on success. BRG_CLOSED, BRG_TOO_LARGE, BRG_UNSUPPORTED, BRG_NO_MEMORY: nothing
     * was sent, and the worker is well. */
    brg_status (*event)(brg__service_client *client, uint32_t service, const uint64_t words[BRG__SERVICE_WORDS],
                        brg_value *value, brg_error *error);
} brg__service_client_ops;

/* Inside the link. */
struct brg__service_client {
    const brg__service_client_ops *ops;
    uint64_t worker_id;

    /* The services' own, each under its lock. */
    brg__list locks; /* held and asked for */
    uint32_t lock_count;
    uint64_t last_lock;
    brg__list subscriptions;
    uint32_t subscription_count;
    brg__list calls; /* messages by id whose outcome it waits for */
    uint32_t call_count;
    brg__direct_target direct; /* those to it */
};

/*
 * Before its worker can be named: from here on messages by id wait for it, until ready, when it is online.
 * BRG_NO_MEMORY.
 */
brg_status brg__service_client_init(brg__service_client *client, const brg__service_client_ops *ops, uint64_t worker_id,
                                    brg_error *error);
void brg__service_client_ready(brg__service_client *client);

/*
 * A call (number not 0) or notice of the worker's. `request` is borrowed and may be NULL; what moves with it may be
 * taken. Each call is answered exactly once, inside or later, unless the client is gone first. BRG_PROTOCOL: it makes
 * no sense, and was answered so. Any thread, one at a time per client; locks up to BRG__RANK_POOL may be held.
 */
brg_status brg__service_call(brg__service_client *client, uint32_t service, uint64_t number,
                             const uint64_t words[BRG__SERVICE_WORDS], const brg_value *request);

/*
 * The worker ended: lets go of its locks, subscriptions and calls; what waits for it fails. Idempotent; harmless on a
 * client that was never initialised but zeroed. No lock held, no call of it running.
 */
void brg__service_client_gone(brg__service_client *client);

/* A thread worker ended or was abandoned: the same for what it did in this process. No lock held. */
void brg__services_worker_gone(uint64_t worker_id);

/* ---- in a process worker --------------------------------------------------------------------------------------- */

/* A call on its way; lives with the caller until `completed` was called. */
typedef struct brg__uplink_call {
    uint32_t service;
    uint64_t words[BRG__SERVICE_WORDS];
    brg_value *request; /* may be NULL; the link's once start returned BRG_OK */
    bool is_notice;     /* no answer is awaited: completed comes once it was sent, or will never be */

    /*
     * Exactly once after a start that returned BRG_OK, possibly inside it, on any thread, no lock but the pump's; must
     * not wait. `answer` is borrowed and may be NULL; what moves with it may be taken; of an error it is what
     * brg__service_error_read reads. BRG_CLOSED when the program is gone.
     */
    void (*completed)(struct brg__uplink_call *call, brg_status status, const brg_value *answer);

    /* The link's. */
    uint64_t number;
    brg__node node;
} brg__uplink_call;

/*
 * The child's side of the link. start keeps the order of calls and never waits. BRG_CLOSED, BRG_TOO_LARGE,
 * BRG_NO_MEMORY, ...: the request is the caller's as before. Locks of rank BRG__RANK_SERVICE may be held where it holds
 * no ports.
 */
typedef struct brg__uplink_ops {
    brg_status (*start)(brg__uplink_call *call, brg_error *error);
    bool (*is_here)(void); /* tests: whether the calling thread plays the worker; NULL: all do */
} brg__uplink_ops;

/* Makes this process a process worker: before anything of the user's runs. NULL (tests) undoes it. */
void brg__uplink_set(const brg__uplink_ops *ops);
/* Whether the caller is in a process worker. */
bool brg__uplink_exists(void);
brg_status brg__uplink_start(brg__uplink_call *call, brg_error *error);
/*
 * `request` is borrowed and may be NULL. Where it cannot be sent the program is gone, or memory, and the worker with
 * it.
 */
void brg__uplink_notice(uint32_t service, const uint64_t words[BRG__SERVICE_WORDS], const brg_value *request);

/*
 * Calls and waits until the answer or `deadline_ns`: then BRG_TIMED_OUT, and the answer is dropped when it comes; so
 * too with BRG_CANCELLED when the caller is a worker that is asked to end. `request` is borrowed. *answer is the
 * caller's to unref, NULL for none; `answer` may be NULL. While it waits the thread moves what comes, if its
 * brg__waiter does.
 */
brg_status brg__uplink_call_wait(uint32_t service, const uint64_t words[BRG__SERVICE_WORDS], const brg_value *request,
                                 uint64_t deadline_ns, brg_value **answer, brg_error *error);

/* An event arrived. Runs no code of the user's. Takes locks of rank BRG__RANK_SERVICE and above. */
void brg__uplink_event(uint32_t service, const uint64_t words[BRG__SERVICE_WORDS], const brg_value *event);

/* ---- errors in values ------------------------------------------------------------------------------------------ */

/* {code, domain, message}; NULL without memory. */
brg_value *brg__service_error_value(const brg_error *error);
/* Back, made sane: `value` may be NULL or hostile. Returns `status`, which is not BRG_OK; `error` may be NULL. */
brg_status brg__service_error_read(brg_status status, const brg_value *value, brg_error *error);
void brg__service_answer_error(brg__service_client *client, uint64_t number, const brg_error *error);

/* ---- waiting in a worker --------------------------------------------------------------------------------------- */

/*
 * As brg__waiter_wait for the calling thread, but ends too when it is a worker that is asked to end: BRG_CANCELLED.
 * Else BRG_OK (ready), BRG_TIMED_OUT, BRG_NO_MEMORY.
 */
brg_status brg__service_wait(bool (*ready)(void *argument), void *argument, uint64_t deadline_ns);

/* BRG_FORKED in a child of the process that used a service first: its registries may be half-changed. */
brg_status brg__service_check_fork(brg_error *error);

/* The id of the worker whose thread this is; 0 for the program. */
uint64_t brg__service_self(void);

/* ---- the services: called by service.c only -------------------------------------------------------------------- */

/* Each gives what brg__service_call shall return, or answer with; BRG_OK: it answers itself. */
brg_status brg__locks_serve(brg__service_client *client, uint64_t number, brg_view request, brg_error *error);
void brg__locks_client_gone(brg__service_client *client);
void brg__locks_worker_gone(uint64_t worker_id);
void brg__locks_event(const uint64_t words[BRG__SERVICE_WORDS]);

brg_status brg__broadcast_serve(brg__service_client *client, uint64_t number, brg_view request, brg_error *error);
void brg__broadcast_client_gone(brg__service_client *client);

brg_status brg__direct_serve(brg__service_client *client, uint64_t number, const uint64_t words[BRG__SERVICE_WORDS],
                             const brg_value *request, brg_error *error);
void brg__direct_client_gone(brg__service_client *client);
void brg__direct_event(const uint64_t words[BRG__SERVICE_WORDS], const brg_value *event);

#endif
