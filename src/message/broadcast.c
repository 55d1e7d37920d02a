/* SPDX-License-Identifier: MIT */
/*
 * A post walks the listeners of its name, oldest first, under no lock while it posts: it holds a reference on the one
 * it is at, which keeps that one in the list, and takes broadcast_lock for each step. A listener that closes is marked,
 * and leaves the list with its last reference. So nobody waits for a walk, and a walk never meets freed memory.
 *
 * References of a subscription: its channel, until the sink closes; whoever opened it; walks.
 *
 * Lock order: broadcast_lock (SERVICE) is never held while a channel's is taken, as channels may call the sink at any
 * time.
 */
#include "message/broadcast.h"

#include <string.h>

#include "message/names.h"
#include "message/object.h"
#include "os/atomic.h"
#include "os/lock.h"
#include "os/memory.h"

#define BROADCAST_MESSAGES_DEFAULT 1024
#define BROADCAST_BYTES_DEFAULT ((uint64_t)64 << 20)

typedef struct broadcast_name {
    brg__name name;
    brg__list listeners; /* brg__subscription by node, oldest first */
    char text[];
} broadcast_name;

struct brg__subscription {
    brg__sink sink;
    brg__end *end; /* the sink's; NULL until the channel is made */
    uint64_t id;
    uint64_t worker_id;
    uint64_t xdropped;

    /* Under broadcast_lock. */
    brg__node node;       /* in its name's list */
    brg__node owner_node; /* in the listener's list or broadcast_local, until it closed */
    broadcast_name *name;
    uint32_t *owner_count;
    uint32_t references;
    bool is_open;
};

static brg__lock broadcast_lock = BRG__LOCK_INIT(BRG__RANK_SERVICE, "broadcast");
static brg__names broadcast_names;
static brg__list broadcast_local = {{&broadcast_local.head, &broadcast_local.head}};
static uint64_t broadcast_last_id;
static uint32_t broadcast_count;

static brg__subscription *broadcast_of(brg__node *node) { return brg__container_of(node, brg__subscription, node); }

/* ---- references ------------------------------------------------------------------------------------------------ */

/* Takes it off its listener: it is heard and counted no more. */
static void broadcast_leave_locked(brg__subscription *subscription)
{
    if (!subscription->is_open)
        return;
    subscription->is_open = false;
    brg__list_remove(&subscription->owner_node);
    if (subscription->owner_count != NULL)
        (*subscription->owner_count)--;
    broadcast_count--;
}

/* True: it was the last one, and is to be freed without the lock. */
static bool broadcast_unref_locked(brg__subscription *subscription)
{
    if (--subscription->references != 0)
        return false;
    broadcast_name *name = subscription->name;
    brg__list_remove(&subscription->node);
    if (brg__list_is_empty(&name->listeners)) {
        brg__names_remove(&broadcast_names, &name->name);
        brg__mfree(name);
    }
    return true;
}

static void broadcast_free(brg__subscription *subscription)
{
    if (subscription->end != NULL)
        brg__end_unref(subscription->end);
    brg__mfree(subscription);
}

void brg__subscription_unref(brg__subscription *subscription)
{
    if (subscription == NULL)
        return;
    brg__lock_acquire(&broadcast_lock);
    bool last = broadcast_unref_locked(subscription);
    brg__lock_release(&broadcast_lock);
    if (last)
        broadcast_free(subscription);
}

/* ---- posting --------------------------------------------------------------------------------------------------- */

/* The first open listener at or after `node`, referenced; NULL at the end. */
static brg__subscription *broadcast_open_from_locked(broadcast_name *name, brg__node *node,
                                                     const brg__subscription *but)
{
    for (; node != &name->listeners.head; node = node->next) {
        brg__subscription *found = broadcast_of(node);
        if (found->is_open && found != but) {
            found->references++;
            return found;
        }
    }
    return NULL;
}

static brg__subscription *broadcast_step(brg__subscription *poster, brg__subscription *at)
{
    brg__lock_acquire(&broadcast_lock);
    broadcast_name *name = poster->name;
    brg__node *from = at != NULL ? at->node.next : name->listeners.head.next;
    brg__subscription *next = broadcast_open_from_locked(name, from, poster);
    bool last = at != NULL && broadcast_unref_locked(at);
    brg__lock_release(&broadcast_lock);
    if (last)
        broadcast_free(at);
    return next;
}

static void broadcast_arrived(brg__sink *sink, brg_value *value)
{
    brg__subscription *poster = brg__container_of(sink, brg__subscription, sink);
    if (brg__value_has_movables(value))
        return; /* a process worker's own doing: brg_broadcast_post refuses it */
    brg__subscription *at = NULL;
    while ((at = broadcast_step(poster, at)) != NULL) {
        brg_value *shared = brg_value_ref(value);
        brg_status status = brg__sink_post(at->end, shared);
        if (status != BRG_OK) {
            brg_value_unref(shared);
            if (status != BRG_CLOSED)
                brg_add_relaxed(&at->xdropped, (uint64_t)1);
        }
    }
}

static void broadcast_closed(brg__sink *sink)
{
    brg__subscription *subscription = brg__container_of(sink, brg__subscription, sink);
    brg__lock_acquire(&broadcast_lock);
    broadcast_leave_locked(subscription);
    bool last = broadcast_unref_locked(subscription);
    brg__lock_release(&broadcast_lock);
    if (last)
        broadcast_free(subscription);
}

/* It was never entered. */
static void broadcast_abandoned(brg__sink *sink) { broadcast_free(brg__container_of(sink, brg__subscription, sink)); }

/* ---- listening ------------------------------------------------------------------------------------------------- */

static broadcast_name *broadcast_name_locked(const char *text, size_t size)
{
    brg__name *known = brg__names_find(&broadcast_names, text, size);
    if (known != NULL)
        return brg__container_of(known, broadcast_name, name);
    broadcast_name *name = brg__malloc(sizeof(*name) + size + 1);
    if (name == NULL)
        return NULL;
    memcpy(name->text, text, size);
    name->text[size] = '\0';
    name->name = (brg__name){.text = name->text, .size = size};
    brg__list_init(&name->listeners);
    if (brg__names_add(&broadcast_names, &name->name) != BRG_OK) {
        brg__mfree(name);
        return NULL;
    }
    return name;
}

static brg_status broadcast_enter_locked(brg__subscription *subscription, const brg__subscribe *subscribe,
                                         const brg__listener *listener, brg_error *error)
{
    if (broadcast_count >= subscribe->total_max)
        return brg_error_set(error, BRG_TOO_LARGE, "broadcast", "%u names are open, no more are allowed",
                             subscribe->total_max);
    if (listener->count != NULL && *listener->count >= listener->max)
        return brg_error_set(error, BRG_TOO_LARGE, "broadcast", "the worker has %u names open, no more are allowed",
                             listener->max);
    broadcast_name *name = broadcast_name_locked(subscribe->name, subscribe->name_size);
    if (name == NULL)
        return brg__error_memory(error, "a broadcast name");
    subscription->id = ++broadcast_last_id;
    subscription->worker_id = listener->worker_id;
    subscription->name = name;
    subscription->references = 2; /* the channel's and the caller's */
    subscription->is_open = true;
    subscription->owner_count = listener->count;
    if (listener->count != NULL)
        (*listener->count)++;
    broadcast_count++;
    brg__list_push_back(listener->list != NULL ? listener->list : &broadcast_local, &subscription->owner_node);
    brg__list_push_back(&name->listeners, &subscription->node);
    return BRG_OK;
}

brg_status brg__broadcast_subscribe(const brg__subscribe *subscribe, const brg__listener *listener, brg_port **port,
                                    brg__subscription **out, brg_error *error)
{
    brg__subscription *subscription = brg__calloc(1, sizeof(*subscription));
    if (subscription == NULL)
        return brg__error_memory(error, "a broadcast name");
    subscription->sink.arrived = broadcast_arrived;
    subscription->sink.closed = broadcast_closed;
    brg_port *created = NULL;
    /* Its end is there before anybody finds it; nobody has the port yet, so the sink is not called. */
    brg_status status = brg__channel_create_sink(
        &created, &subscription->end, &subscription->sink,
        subscribe->messages_max != 0 ? subscribe->messages_max : BROADCAST_MESSAGES_DEFAULT,
        subscribe->bytes_max != 0 ? subscribe->bytes_max : BROADCAST_BYTES_DEFAULT, error);
    if (status != BRG_OK) {
        brg__mfree(subscription);
        return status;
    }
    brg__lock_acquire(&broadcast_lock);
    status = broadcast_enter_locked(subscription, subscribe, listener, error);
    brg__lock_release(&broadcast_lock);
    if (status != BRG_OK) {
        subscription->sink.closed = broadcast_abandoned;
        brg_port_destroy(created);
        return status;
    }
    *port = created;
    *out = subscription;
    return BRG_OK;
}

/* ---- looking, and listeners that end --------------------------------------------------------------------------- */

uint64_t brg__subscription_dropped(const brg__subscription *subscription)
{
    return brg_load_relaxed(&subscription->xdropped);
}

uint64_t brg__subscription_id(const brg__subscription *subscription) { return subscription->id; }

bool brg__broadcast_dropped_of(const brg__list *list, uint64_t id, uint64_t *dropped)
{
    bool found = false;
    brg__lock_acquire(&broadcast_lock);
    brg__list_for_each(node, list) {
        brg__subscription *subscription = brg__container_of(node, brg__subscription, owner_node);
        if (subscription->id != id)
            continue;
        *dropped = brg_load_relaxed(&subscription->xdropped);
        found = true;
        break;
    }
    brg__lock_release(&broadcast_lock);
    return found;
}

/* The first in `list` of that worker, off its listener and referenced; NULL when there is none. */
static brg__subscription *broadcast_take(brg__list *list, const uint64_t *worker_id)
{
    brg__subscription *taken = NULL;
    brg__lock_acquire(&broadcast_lock);
    brg__list_for_each(node, list) {
        brg__subscription *subscription = brg__container_of(node, brg__subscription, owner_node);
        if (worker_id != NULL && subscription->worker_id != *worker_id)
            continue;
        broadcast_leave_locked(subscription);
        subscription->references++;
        taken = subscription;
        break;
    }
    brg__lock_release(&broadcast_lock);
    return taken;
}

static void broadcast_gone(brg__list *list, const uint64_t *worker_id)
{
    brg__subscription *subscription;
    while ((subscription = broadcast_take(list, worker_id)) != NULL) {
        brg__sink_close(subscription->end);
        brg__subscription_unref(subscription);
    }
}

void brg__broadcast_list_gone(brg__list *list) { broadcast_gone(list, NULL); }
void brg__broadcast_worker_gone(uint64_t worker_id) { broadcast_gone(&broadcast_local, &worker_id); }
