/* SPDX-License-Identifier: MIT */
/* Between links and services: what comes is handed to the right one; calls from a process worker. */
#include "worker/service.h"

#include <string.h>

#include "message/broadcast.h"
#include "os/atomic.h"
#include "os/memory.h"
#include "os/thread.h"
#include "os/waiter.h"
#include "worker/context.h"

/* ---- the hub --------------------------------------------------------------------------------------------------- */

brg_status brg__service_client_init(brg__service_client *client, const brg__service_client_ops *ops, uint64_t worker_id,
                                    brg_error *error)
{
    memset(client, 0, sizeof(*client));
    brg__list_init(&client->locks);
    brg__list_init(&client->subscriptions);
    brg__list_init(&client->calls);
    client->worker_id = worker_id;
    brg_status status = brg__direct_open(&client->direct, worker_id, client, NULL, error);
    if (status == BRG_OK)
        client->ops = ops;
    return status;
}

/* Whether its module handles messages by id, or a handler of its own, it says itself. */
void brg__service_client_ready(brg__service_client *client) { brg__direct_ready(&client->direct, true); }

static brg_status service_serve(brg__service_client *client, uint32_t service, uint64_t number, const uint64_t words[],
                                const brg_value *request, brg_error *error)
{
    if (brg__uplink_exists()) /* a worker of a process worker: the names are one process further up */
        return brg_error_set(error, BRG_UNSUPPORTED, "worker",
                             "locks, broadcast and messages by id do not reach the workers of a process worker");
    brg_view none = {0}, root = request != NULL ? brg_value_root(request) : none;
    switch ((brg__service)service) {
    case BRG__SERVICE_LOCKS:
        return brg__locks_serve(client, number, root, error);
    case BRG__SERVICE_BROADCAST:
        return brg__broadcast_serve(client, number, root, error);
    case BRG__SERVICE_DIRECT:
        return brg__direct_serve(client, number, words, request, error);
    }
    return brg_error_set(error, BRG_PROTOCOL, "worker", "there is no service %u", service);
}

brg_status brg__service_call(brg__service_client *client, uint32_t service, uint64_t number,
                             const uint64_t words[BRG__SERVICE_WORDS], const brg_value *request)
{
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = service_serve(client, service, number, words, request, &error);
    if (status != BRG_OK && number != 0)
        brg__service_answer_error(client, number, &error);
    return status == BRG_PROTOCOL ? BRG_PROTOCOL : BRG_OK;
}

void brg__service_client_gone(brg__service_client *client)
{
    if (client->ops == NULL)
        return;
    brg__locks_client_gone(client);
    brg__broadcast_client_gone(client);
    brg__direct_client_gone(client);
    client->ops = NULL;
}

void brg__services_worker_gone(uint64_t worker_id)
{
    brg__locks_worker_gone(worker_id);
    brg__broadcast_worker_gone(worker_id);
}

/* ---- a process worker ------------------------------------------------------------------------------------------ */

static const brg__uplink_ops *uplink_ops;

void brg__uplink_set(const brg__uplink_ops *ops) { uplink_ops = ops; }

bool brg__uplink_exists(void) { return uplink_ops != NULL && (uplink_ops->is_here == NULL || uplink_ops->is_here()); }

brg_status brg__uplink_start(brg__uplink_call *call, brg_error *error) { return uplink_ops->start(call, error); }

static void uplink_noticed(brg__uplink_call *call, brg_status status, const brg_value *answer)
{
    (void)status, (void)answer;
    brg__mfree(call);
}

void brg__uplink_notice(uint32_t service, const uint64_t words[BRG__SERVICE_WORDS], const brg_value *request)
{
    brg__uplink_call *call = brg__calloc(1, sizeof(*call));
    if (call == NULL)
        return;
    call->service = service;
    memcpy(call->words, words, sizeof(call->words));
    call->request = request != NULL ? brg_value_ref(request) : NULL;
    call->is_notice = true;
    call->completed = uplink_noticed;
    if (brg__uplink_start(call, NULL) == BRG_OK)
        return;
    brg_value_unref(call->request);
    brg__mfree(call);
}

void brg__uplink_event(uint32_t service, const uint64_t words[BRG__SERVICE_WORDS], const brg_value *event)
{
    if (service == BRG__SERVICE_LOCKS)
        brg__locks_event(words);
    else if (service == BRG__SERVICE_DIRECT)
        brg__direct_event(words, event);
}

/* One caller that waits. The second of caller and answer to let go frees it. */
typedef struct uplink_wait {
    brg__uplink_call call;
    uint32_t xreferences;
    uint32_t xdone;
    brg__waiter *waiter;
    brg_status status;
    brg_value *answer;
} uplink_wait;

static void uplink_wait_unref(uplink_wait *wait)
{
    if (brg_sub_acq_rel(&wait->xreferences, 1u) != 1)
        return;
    brg_value_unref(wait->answer);
    brg__mfree(wait);
}

static void uplink_completed(brg__uplink_call *call, brg_status status, const brg_value *answer)
{
    uplink_wait *wait = brg__container_of(call, uplink_wait, call);
    wait->status = status;
    if (answer != NULL)
        wait->answer = brg_value_ref(answer);
    brg_store_release(&wait->xdone, 1u); /* pairs with uplink_is_done */
    brg__waiter_wake(wait->waiter);
    uplink_wait_unref(wait);
}

static bool uplink_is_done(void *argument)
{
    uplink_wait *wait = argument;
    return brg_load_acquire(&wait->xdone) != 0;
}

brg_status brg__uplink_call_wait(uint32_t service, const uint64_t words[BRG__SERVICE_WORDS], const brg_value *request,
                                 uint64_t deadline_ns, brg_value **answer, brg_error *error)
{
    uplink_wait *wait = brg__calloc(1, sizeof(*wait));
    if (wait == NULL || (wait->waiter = brg__waiter_current()) == NULL) {
        brg__mfree(wait);
        return brg__error_memory(error, "a call");
    }
    wait->call.service = service;
    memcpy(wait->call.words, words, sizeof(wait->call.words));
    wait->call.completed = uplink_completed;
    wait->xreferences = 2;
    wait->call.request = request != NULL ? brg_value_ref(request) : NULL;
    brg_status status = brg__uplink_start(&wait->call, error);
    if (status != BRG_OK) {
        brg_value_unref(wait->call.request);
        brg__mfree(wait);
        return status;
    }
    status = brg__service_wait(uplink_is_done, wait, deadline_ns);
    if (status != BRG_OK) {
        brg_error_set(error, status, "worker", "the program did not answer: %s", brg_status_text(status));
    } else if ((status = wait->status) != BRG_OK) {
        brg__service_error_read(status, wait->answer, error);
    } else if (answer != NULL) {
        *answer = wait->answer;
        wait->answer = NULL;
    }
    uplink_wait_unref(wait);
    return status;
}

/* ---- errors ---------------------------------------------------------------------------------------------------- */

brg_value *brg__service_error_value(const brg_error *error)
{
    brg_value *value = NULL;
    (void)brg_value_map(&value, NULL, brg_field_int("code", error->code), brg_field_string("domain", error->domain),
                        brg_field_string("message", error->message));
    return value;
}

brg_status brg__service_error_read(brg_status status, const brg_value *value, brg_error *error)
{
    brg_view none = {0}, root = value != NULL ? brg_value_root(value) : none;
    brg_error_set(error, status, brg_view_get_string(root, "domain", "worker"), "%s",
                  brg_view_get_string(root, "message", brg_status_text(status)));
    if (error != NULL)
        error->code = brg_view_get_int(root, "code", 0);
    return status;
}

void brg__service_answer_error(brg__service_client *client, uint64_t number, const brg_error *error)
{
    client->ops->answer(client, number, error->status, brg__service_error_value(error));
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

typedef struct service_wait {
    bool (*ready)(void *argument);
    void *argument;
    brg_context *context; /* NULL outside workers */
} service_wait;

static bool service_wait_is_over(void *argument)
{
    service_wait *wait = argument;
    return wait->ready(wait->argument) || (wait->context != NULL && brg_context_cancelled(wait->context));
}

brg_status brg__service_wait(bool (*ready)(void *argument), void *argument, uint64_t deadline_ns)
{
    brg__waiter *waiter = brg__waiter_current();
    if (waiter == NULL)
        return BRG_NO_MEMORY;
    service_wait wait = {ready, argument, brg__context_current()};
    brg__wait how = {.ready = service_wait_is_over, .argument = &wait};
    if (wait.context != NULL)
        brg__context_idle_begin(wait.context);
    bool over = brg__waiter_wait(waiter, &how, deadline_ns);
    if (wait.context != NULL)
        brg__context_idle_end(wait.context);
    if (ready(argument))
        return BRG_OK;
    return over ? BRG_CANCELLED : BRG_TIMED_OUT;
}

brg_status brg__service_check_fork(brg_error *error)
{
    static uint32_t xgeneration; /* of who came first, plus 1 */
    uint32_t mine = brg__fork_generation() + 1, none = 0;
    if (brg_cas_relaxed(&xgeneration, &none, mine) || none == mine)
        return BRG_OK;
    return brg_error_set(error, BRG_FORKED, "worker", "names and ids belong to the parent of this forked process");
}

uint64_t brg__service_self(void)
{
    const brg_context *context = brg__context_current();
    return context != NULL ? context->worker_id : 0;
}
