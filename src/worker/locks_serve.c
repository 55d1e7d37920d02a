/* SPDX-License-Identifier: MIT */
/*
 * Named locks of process workers, in the program. A worker numbers its claims; numbers only grow.
 *     call   {op: "request", id, name, shared, if_available, steal, timeout}: answered when it is held, or refused
 *     notice {op: "release", id}: of a claim in any state; one that waits is answered with BRG_CANCELLED
 *     call   {op: "query"}: as brg_locks_query
 *     event  words {id, 0}: the lock was stolen
 * A worker's calls come one at a time, so of its own claims only grants, losses and timers happen beside them, under
 * the hub's lock.
 */
#include <string.h>

#include "message/names.h"
#include "os/atomic.h"
#include "os/memory.h"
#include "worker/locks.h"

typedef struct serve_claim {
    brg__lock_claim claim;
    uint32_t xreferences; /* one while the client has it, one for the timer */
    uint64_t number;      /* of the call to answer; 0: it was answered. Under the hub's lock */
} serve_claim;

static serve_claim *serve_of(brg__lock_claim *claim) { return brg__container_of(claim, serve_claim, claim); }

static void serve_answer(brg__lock_claim *claim, const brg_error *error)
{
    serve_claim *served = serve_of(claim);
    uint64_t number = served->number;
    served->number = 0;
    if (number == 0)
        return;
    if (error != NULL)
        brg__service_answer_error(claim->client, number, error);
    else
        claim->client->ops->answer(claim->client, number, BRG_OK, NULL);
}

static void serve_granted(brg__lock_claim *claim) { serve_answer(claim, NULL); }

/* The worker is told, and its claim is over: nobody will name it again but to release it, which then finds nothing. */
static void serve_lost(brg__lock_claim *claim)
{
    const uint64_t words[BRG__SERVICE_WORDS] = {claim->id, 0};
    claim->client->ops->event(claim->client, BRG__SERVICE_LOCKS, words, NULL, NULL);
    claim->ops->unref(claim);
}

static void serve_refused(brg__lock_claim *claim, brg_status status)
{
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_error_set(&error, status, "lock", "the lock was not granted: %s", brg_status_text(status));
    serve_answer(claim, &error);
    claim->ops->unref(claim);
}

static void serve_ref(brg__lock_claim *claim) { brg_add_relaxed(&serve_of(claim)->xreferences, 1u); }

static void serve_unref(brg__lock_claim *claim)
{
    if (brg_sub_acq_rel(&serve_of(claim)->xreferences, 1u) == 1)
        brg__mfree(serve_of(claim));
}

static const brg__lock_claim_ops serve_ops = {serve_granted, serve_lost, serve_refused, serve_ref, serve_unref};

static brg_status serve_request(brg__service_client *client, uint64_t number, brg_view request, brg_error *error)
{
    size_t name_size = 0;
    uint64_t id = 0, timeout = BRG_FOREVER;
    const char *name = brg_view_string(brg_view_get(request, "name"), &name_size);
    if (number == 0 || name == NULL || brg_view_uint(brg_view_get(request, "id"), &id) != BRG_OK ||
        id <= client->last_lock || brg_view_uint(brg_view_get(request, "timeout"), &timeout) != BRG_OK ||
        brg__name_check(name, name_size, "lock", NULL) != BRG_OK)
        return brg_error_set(error, BRG_PROTOCOL, "lock", "a request for a lock that makes no sense");
    client->last_lock = id;
    brg__lock_terms terms = {.name = name, .name_size = name_size, .timeout_ns = timeout};
    terms.if_available = brg_view_get_bool(request, "if_available", false);
    terms.steal = brg_view_get_bool(request, "steal", false);
    serve_claim *served = brg__calloc(1, sizeof(*served));
    if (served == NULL)
        return brg__error_memory(error, "a named lock");
    served->claim.ops = &serve_ops;
    served->claim.client = client;
    served->claim.worker_id = client->worker_id;
    served->claim.is_shared = brg_view_get_bool(request, "shared", false);
    served->xreferences = 1;
    served->claim.id = id;
    served->number = number;
    brg_status status = BRG_PROTOCOL;
    if (terms.steal && (served->claim.is_shared || terms.if_available))
        brg_error_set(error, status, "lock", "only an exclusive lock can be stolen");
    else
        status = brg__locks_claim(&served->claim, &terms, error);
    if (status != BRG_OK)
        brg__mfree(served);
    return status;
}

static brg_status serve_release(brg__service_client *client, brg_view request, brg_error *error)
{
    uint64_t id = 0;
    if (brg_view_uint(brg_view_get(request, "id"), &id) != BRG_OK || id > client->last_lock)
        return brg_error_set(error, BRG_PROTOCOL, "lock", "a release of a lock that was never asked for");
    brg__locks_release_client(client, id);
    return BRG_OK;
}

static brg_status serve_query(brg__service_client *client, uint64_t number, brg_error *error)
{
    brg_value *list = NULL;
    brg_status status = brg__locks_list(&list, error);
    if (status == BRG_OK && number != 0)
        client->ops->answer(client, number, BRG_OK, list);
    else
        brg_value_unref(list);
    return status;
}

brg_status brg__locks_serve(brg__service_client *client, uint64_t number, brg_view request, brg_error *error)
{
    const char *op = brg_view_get_string(request, "op", "");
    if (strcmp(op, "request") == 0)
        return serve_request(client, number, request, error);
    if (strcmp(op, "release") == 0)
        return serve_release(client, request, error);
    if (strcmp(op, "query") == 0)
        return serve_query(client, number, error);
    return brg_error_set(error, BRG_PROTOCOL, "lock", "an unknown request about named locks");
}
