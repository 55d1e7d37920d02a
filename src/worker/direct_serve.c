/* SPDX-License-Identifier: MIT */
/*
 * Messages by id over a link.
 *     call   words {to, timeout}, the message: answered when it has been handled, or failed
 *     event  words {number, from}, the message
 *     notice words {number, status}, nil or {code, domain, message}: the worker has handled it
 */
#include <string.h>

#include "os/memory.h"
#include "worker/direct_hub.h"

/* ---- the program: a call of a process worker ------------------------------------------------------------------- */

static void serve_settled(brg__direct_post *post)
{
    if (post->client == NULL)
        return; /* it ended, and is not told */
    brg__list_remove(&post->owner_node);
    post->client->call_count--;
    if (post->status != BRG_OK)
        brg__service_answer_error(post->client, post->client_number, &post->error);
    else
        post->client->ops->answer(post->client, post->client_number, BRG_OK, NULL);
    post->references--; /* the client's */
}

static void serve_free(brg__direct_post *post) { brg__mfree(post); }

/* Takes its place among the client's calls before it can be settled. */
static brg_status serve_enter(brg__service_client *client, brg__direct_post *post, brg_error *error)
{
    brg__direct_lock();
    bool room = client->call_count < BRG__DIRECT_CALLS_MAX;
    if (room) {
        client->call_count++;
        brg__list_push_back(&client->calls, &post->owner_node);
        brg__direct_ref_locked(post);
    }
    brg__direct_unlock();
    if (room)
        return BRG_OK;
    return brg_error_set(error, BRG_FULL, "worker", "the worker waits for %d messages by id already",
                         BRG__DIRECT_CALLS_MAX);
}

static void serve_leave(brg__service_client *client, brg__direct_post *post)
{
    brg__direct_lock();
    client->call_count--;
    brg__list_remove(&post->owner_node);
    bool last = brg__direct_unref_locked(post); /* never: the caller has one */
    brg__direct_unlock();
    (void)last;
}

static brg_status serve_post(brg__service_client *client, uint64_t number, const uint64_t words[],
                             const brg_value *message, brg_error *error)
{
    if (message == NULL)
        return brg_error_set(error, BRG_PROTOCOL, "worker", "a message by id without a message");
    brg__direct_post *post = brg__calloc(1, sizeof(*post));
    if (post == NULL)
        return brg__error_memory(error, "a message by id");
    brg__direct_post_init(post, client->worker_id, message);
    post->settled = serve_settled;
    post->free = serve_free;
    post->client = client;
    post->client_number = number;
    brg_status status = serve_enter(client, post, error);
    if (status == BRG_OK) {
        status = brg__direct_submit(post, words[0], words[1], error);
        if (status != BRG_OK)
            serve_leave(client, post);
    }
    brg__direct_unref(post);
    return status;
}

/* ---- the program: a process worker has handled one ------------------------------------------------------------- */

static brg__direct_post *serve_running_locked(const brg__service_client *client, uint64_t number)
{
    brg__list_for_each(node, &client->direct.running) {
        brg__direct_post *post = brg__container_of(node, brg__direct_post, node);
        if (post->number == number)
            return post;
    }
    return NULL;
}

static brg_status serve_done(brg__service_client *client, const uint64_t words[], const brg_value *outcome)
{
    static const brg_status known[] = {BRG_OK, BRG_UNSUPPORTED, BRG_CLOSED, BRG_NO_MEMORY, BRG_FULL};
    brg_status status = BRG_FAILED;
    for (size_t i = 0; i < brg__count_of(known); i++)
        if (words[1] == (uint64_t)(int64_t)known[i])
            status = known[i];
    brg_error failure;
    memset(&failure, 0, sizeof(failure));
    brg__service_error_read(status, outcome, &failure);
    bool last = false;
    brg__direct_lock();
    brg__direct_post *post = serve_running_locked(client, words[0]);
    if (post != NULL) { /* else its poster gave up */
        brg__direct_ref_locked(post);
        brg__direct_settle_locked(post, status, &failure);
        last = brg__direct_unref_locked(post);
    }
    brg__direct_unlock();
    if (last) {
        brg_value_unref(post->message);
        post->free(post);
    }
    return BRG_OK;
}

brg_status brg__direct_serve(brg__service_client *client, uint64_t number, const uint64_t words[BRG__SERVICE_WORDS],
                             const brg_value *request, brg_error *error)
{
    return number != 0 ? serve_post(client, number, words, request, error) : serve_done(client, words, request);
}

void brg__direct_client_gone(brg__service_client *client)
{
    brg__direct_lock();
    brg__node *node;
    while ((node = brg__list_pop_front(&client->calls)) != NULL) {
        brg__direct_post *post = brg__container_of(node, brg__direct_post, owner_node);
        post->client = NULL;
        client->call_count--;
        (void)brg__direct_unref_locked(post); /* never the last: it is not settled, so its target has one */
    }
    brg__direct_unlock();
    brg__direct_close(&client->direct);
}

/* ---- a process worker: one arrived ----------------------------------------------------------------------------- */

static void arrived_answer(uint64_t number, brg_status status, const brg_error *error)
{
    const uint64_t words[BRG__SERVICE_WORDS] = {number, (uint64_t)(int64_t)status};
    brg_value *outcome = status != BRG_OK ? brg__service_error_value(error) : NULL; /* or NULL: without memory */
    brg__uplink_notice(BRG__SERVICE_DIRECT, words, outcome);
    brg_value_unref(outcome);
}

static void arrived_settled(brg__direct_post *post) { arrived_answer(post->number, post->status, &post->error); }

void brg__direct_event(const uint64_t words[BRG__SERVICE_WORDS], const brg_value *event)
{
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = BRG_NO_MEMORY;
    brg__direct_post *post = event != NULL ? brg__calloc(1, sizeof(*post)) : NULL;
    if (post != NULL) {
        brg__direct_post_init(post, words[1], event);
        post->settled = arrived_settled;
        post->free = serve_free;
        post->number = words[0];
        status = brg__direct_submit_home(post, &error);
        brg__direct_unref(post);
    }
    if (status != BRG_OK)
        arrived_answer(words[0], status, &error);
}
