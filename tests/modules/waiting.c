/* SPDX-License-Identifier: MIT */
/*
 * The module of asked_test.c: a worker that says "waiting", then waits without a bound for what never comes, in the way
 * its message names, and says how that ended when it has.
 */
#include <brigade.h>

#include <string.h>

typedef struct waiting {
    brg_port *port, *other;
    brg_shared *shared;
    brg_token *token;
    brg_broadcast *broadcast;
    brg_value *nothing;
} waiting;

/* Places on the shared memory. */
enum { MUTEX = 0, SEMAPHORE = 64, BARRIER = 128, LATCH = 192, QUEUE = 256, WORD = 1024 };

static brg_status wait_port(waiting *w)
{
    brg_value *message = NULL;
    return brg_port_receive(w->port, &message, BRG_FOREVER);
}

static brg_status wait_post(waiting *w)
{
    brg_status status;
    do {
        brg_value *message = brg_value_ref(w->nothing);
        status = brg_port_post(w->port, message, BRG_FOREVER, NULL);
        if (status != BRG_OK)
            brg_value_unref(message);
    } while (status == BRG_OK);
    return status;
}

/* The owner holds it. */
static brg_status wait_lock(waiting *w)
{
    (void)w;
    brg_lock *lock = NULL;
    brg_status status = brg_lock_acquire(&lock, "asked", NULL, NULL);
    brg_lock_release(lock);
    return status;
}

static brg_status wait_shared32(waiting *w) { return brg_shared_wait32(w->shared, WORD, 0, BRG_FOREVER); }
static brg_status wait_shared64(waiting *w) { return brg_shared_wait64(w->shared, WORD, 0, BRG_FOREVER); }
static brg_status wait_semaphore(waiting *w) { return brg_semaphore_acquire(w->shared, SEMAPHORE, BRG_FOREVER); }
static brg_status wait_barrier(waiting *w) { return brg_barrier_wait(w->shared, BARRIER, BRG_FOREVER, NULL); }
static brg_status wait_latch(waiting *w) { return brg_latch_wait(w->shared, LATCH, BRG_FOREVER); }
static brg_status wait_token(waiting *w) { return brg_token_wait(w->token, BRG_FOREVER); }

static brg_status wait_queue(waiting *w)
{
    uint64_t item;
    return brg_queue_pop(w->shared, QUEUE, &item, sizeof(item), BRG_FOREVER);
}

/* Its mutex is the caller's again, asked or not. */
static brg_status wait_condition(waiting *w)
{
    brg_status status = brg_mutex_lock(w->shared, MUTEX, BRG_FOREVER);
    if (status != BRG_OK)
        return status;
    do
        status = brg_condition_wait(w->shared, WORD + 64, MUTEX, BRG_FOREVER);
    while (status == BRG_OK);
    brg_status unlocked = brg_mutex_unlock(w->shared, MUTEX);
    return unlocked == BRG_OK ? status : unlocked;
}

static brg_status wait_broadcast(waiting *w)
{
    brg_value *message = NULL;
    brg_status status = brg_broadcast_open(&w->broadcast, "asked", NULL, NULL);
    if (status == BRG_OK)
        status = brg_broadcast_receive(w->broadcast, &message, BRG_FOREVER);
    return status;
}

static const struct way {
    const char *name;
    brg_status (*wait)(waiting *w);
} ways[] = {{"port", wait_port},         {"post", wait_post},           {"lock", wait_lock},
            {"shared32", wait_shared32}, {"shared64", wait_shared64},   {"semaphore", wait_semaphore},
            {"barrier", wait_barrier},   {"latch", wait_latch},         {"token", wait_token},
            {"queue", wait_queue},       {"condition", wait_condition}, {"broadcast", wait_broadcast}};

static brg_status waiting_open(waiting *w)
{
    brg_status status = brg_channel_create(&w->port, &w->other, brg_channel_opts(.messages_max = 4), NULL);
    if (status == BRG_OK)
        status = brg_shared_create(&w->shared, brg_shared_opts(.size_bytes = 4096), NULL);
    if (status == BRG_OK)
        status = brg_token_create(&w->token, NULL);
    if (status == BRG_OK)
        status = brg_value_nil(&w->nothing, NULL);
    if (status == BRG_OK)
        status = brg_mutex_init(w->shared, MUTEX);
    if (status == BRG_OK)
        status = brg_semaphore_init(w->shared, SEMAPHORE, 0);
    if (status == BRG_OK)
        status = brg_barrier_init(w->shared, BARRIER, 2);
    if (status == BRG_OK)
        status = brg_latch_init(w->shared, LATCH, 1);
    if (status == BRG_OK)
        status = brg_queue_init(w->shared, QUEUE, 4, sizeof(uint64_t));
    return status;
}

static void waiting_close(waiting *w)
{
    brg_port_destroy(w->port);
    brg_port_destroy(w->other);
    brg_shared_unref(w->shared);
    brg_token_unref(w->token);
    brg_broadcast_close(w->broadcast);
    brg_value_unref(w->nothing);
}

static brg_status waiting_for(waiting *w, const char *name)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (strcmp(ways[i].name, name) == 0)
            return ways[i].wait(w);
    return BRG_NOT_FOUND;
}

static brg_status waiting_message(brg_context *context, const brg_value *message)
{
    waiting w = {NULL, NULL, NULL, NULL, NULL, NULL};
    brg_value *said = NULL;
    brg_status status = waiting_open(&w);
    if (status == BRG_OK && (status = brg_value_string(&said, "waiting", NULL)) == BRG_OK &&
        (status = brg_context_post(context, said, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(said);
    if (status == BRG_OK)
        status = waiting_for(&w, brg_view_get_string(brg_value_root(message), "for", ""));
    waiting_close(&w);
    return brg_context_fail_with(context, status == BRG_OK ? BRG_FAILED : status, 0, NULL, "the wait ended");
}

BRG_MODULE(waiting, .message = waiting_message);
