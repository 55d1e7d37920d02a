/* SPDX-License-Identifier: MIT */
/*
 * Names exist while somebody holds them or waits for them. Every change of a name ends with locks_serve_name, which
 * grants what can be granted from the front of its queue.
 *
 * Timers run on the supervisor and hold a reference on their claim, so one that fires late finds it, not pending any
 * more.
 */
#include "worker/locks.h"

#include <string.h>

#include "message/names.h"
#include "os/atomic.h"
#include "os/clock.h"
#include "os/lock.h"
#include "os/memory.h"

_Static_assert(BRG_LOCK_NAME_MAX == BRG__NAME_MAX, "one limit for all names");

typedef struct brg__lock_name {
    brg__name name;
    brg__node node; /* in locks_names, oldest first */
    brg__list held, pending;
    char text[];
} lock_name;

static brg__lock locks_lock = BRG__LOCK_INIT(BRG__RANK_SERVICE, "named locks");
static brg__names locks_table;
static brg__list locks_order = {{&locks_order.head, &locks_order.head}}; /* lock_name by node */
static brg__list locks_local = {{&locks_local.head, &locks_local.head}}; /* claims of this process's threads */
static uint32_t locks_count;

static brg__lock_claim *claim_of(brg__node *node) { return brg__container_of(node, brg__lock_claim, node); }
static brg__lock_claim *claim_of_owner(brg__node *node) { return brg__container_of(node, brg__lock_claim, owner_node); }

/* ---- timers ---------------------------------------------------------------------------------------------------- */

static void locks_timer_fired(brg__timer *timer)
{
    brg__lock_claim *claim = brg__container_of(timer, brg__lock_claim, timer);
    brg__locks_refuse(claim, BRG_TIMED_OUT);
    claim->ops->unref(claim);
}

static void locks_timer_set_locked(brg__lock_claim *claim, uint64_t deadline_ns)
{
    if (deadline_ns != UINT64_MAX)
        claim->ops->ref(claim);
    if (claim->timer.fire != NULL && brg__supervisor_timer_set(&claim->timer, deadline_ns))
        claim->ops->unref(claim); /* the earlier setting's */
}

/* ---- one name -------------------------------------------------------------------------------------------------- */

static lock_name *locks_name_locked(const brg__lock_terms *terms)
{
    brg__name *known = brg__names_find(&locks_table, terms->name, terms->name_size);
    if (known != NULL)
        return brg__container_of(known, lock_name, name);
    lock_name *name = brg__malloc(sizeof(*name) + terms->name_size + 1);
    if (name == NULL)
        return NULL;
    memcpy(name->text, terms->name, terms->name_size);
    name->text[terms->name_size] = '\0';
    name->name = (brg__name){.text = name->text, .size = terms->name_size};
    brg__list_init(&name->held);
    brg__list_init(&name->pending);
    if (brg__names_add(&locks_table, &name->name) != BRG_OK) {
        brg__mfree(name);
        return NULL;
    }
    brg__list_push_back(&locks_order, &name->node);
    return name;
}

/* Whether one more of that mode can hold it beside those that do. */
static bool locks_agrees_locked(const lock_name *name, bool is_shared)
{
    return brg__list_is_empty(&name->held) || (is_shared && claim_of(name->held.head.next)->is_shared);
}

static void locks_grant_locked(lock_name *name, brg__lock_claim *claim)
{
    claim->state = BRG__NAMED_HELD;
    brg__list_push_back(&name->held, &claim->node);
    claim->ops->granted(claim);
}

static void locks_serve_name_locked(lock_name *name)
{
    while (!brg__list_is_empty(&name->pending)) {
        brg__lock_claim *first = claim_of(name->pending.head.next);
        if (!locks_agrees_locked(name, first->is_shared))
            return;
        brg__list_remove(&first->node);
        locks_timer_set_locked(first, UINT64_MAX);
        locks_grant_locked(name, first);
    }
    if (!brg__list_is_empty(&name->held))
        return;
    brg__names_remove(&locks_table, &name->name);
    brg__list_remove(&name->node);
    brg__mfree(name);
}

/* The claim is in no list any more; its name may be served next. The timer is the caller's matter. */
static void locks_forget_locked(brg__lock_claim *claim)
{
    brg__list_remove(&claim->node);
    brg__list_remove(&claim->owner_node);
    if (claim->client != NULL)
        claim->client->lock_count--;
    locks_count--;
    claim->state = BRG__NAMED_IDLE;
}

static void locks_let_go_locked(brg__lock_claim *claim)
{
    if (claim->state == BRG__NAMED_IDLE)
        return;
    bool waited = claim->state == BRG__NAMED_PENDING;
    lock_name *name = claim->name;
    locks_forget_locked(claim);
    if (waited)
        locks_timer_set_locked(claim, UINT64_MAX);
    locks_serve_name_locked(name);
}

/* ---- claims ---------------------------------------------------------------------------------------------------- */

static brg_status locks_room_locked(const brg__lock_claim *claim, brg_error *error)
{
    if (locks_count >= BRG_LOCKS_MAX)
        return brg_error_set(error, BRG_TOO_LARGE, "lock", "%d named locks are held or waited for, no more are allowed",
                             BRG_LOCKS_MAX);
    if (claim->client != NULL && claim->client->lock_count >= BRG_LOCKS_WORKER_MAX)
        return brg_error_set(error, BRG_TOO_LARGE, "lock",
                             "the worker holds or waits for %d named locks, no more are allowed", BRG_LOCKS_WORKER_MAX);
    return BRG_OK;
}

/* All who hold it lose it. */
static void locks_steal_locked(lock_name *name)
{
    brg__list_for_each(node, &name->held) {
        brg__lock_claim *holder = claim_of(node);
        locks_forget_locked(holder);
        holder->ops->lost(holder);
    }
}

static void locks_enter_locked(lock_name *name, brg__lock_claim *claim, const brg__lock_terms *terms)
{
    claim->name = name;
    brg__list_push_back(claim->client != NULL ? &claim->client->locks : &locks_local, &claim->owner_node);
    if (claim->client != NULL)
        claim->client->lock_count++;
    locks_count++;
    if (terms->steal) {
        locks_steal_locked(name);
        locks_grant_locked(name, claim);
        return;
    }
    claim->state = BRG__NAMED_PENDING;
    brg__list_push_back(&name->pending, &claim->node);
    locks_serve_name_locked(name);
    if (claim->state == BRG__NAMED_PENDING && terms->timeout_ns != BRG_FOREVER) {
        claim->timer.fire = locks_timer_fired;
        locks_timer_set_locked(claim, brg__deadline(terms->timeout_ns));
    }
}

brg_status brg__locks_claim(brg__lock_claim *claim, const brg__lock_terms *terms, brg_error *error)
{
    brg__lock_acquire(&locks_lock);
    brg_status status = locks_room_locked(claim, error);
    if (status == BRG_OK) {
        lock_name *name = locks_name_locked(terms);
        if (name == NULL)
            status = brg__error_memory(error, "a named lock");
        else if (terms->if_available &&
                 !(brg__list_is_empty(&name->pending) && locks_agrees_locked(name, claim->is_shared)))
            status = brg_error_set(error, BRG_FULL, "lock", "lock \"%s\" is not available", name->text);
        else
            locks_enter_locked(name, claim, terms);
    }
    brg__lock_release(&locks_lock);
    return status;
}

void brg__locks_drop(brg__lock_claim *claim)
{
    brg__lock_acquire(&locks_lock);
    locks_let_go_locked(claim);
    brg__lock_release(&locks_lock);
}

void brg__locks_refuse(brg__lock_claim *claim, brg_status status)
{
    brg__lock_acquire(&locks_lock);
    if (claim->state == BRG__NAMED_PENDING) {
        locks_let_go_locked(claim);
        claim->ops->refused(claim, status);
    }
    brg__lock_release(&locks_lock);
}

static brg__lock_claim *locks_find_locked(const brg__service_client *client, uint64_t id)
{
    brg__list_for_each(node, &client->locks) {
        if (claim_of_owner(node)->id == id)
            return claim_of_owner(node);
    }
    return NULL;
}

void brg__locks_release_client(brg__service_client *client, uint64_t id)
{
    brg__lock_acquire(&locks_lock);
    brg__lock_claim *claim = locks_find_locked(client, id);
    if (claim != NULL) {
        bool was_pending = claim->state == BRG__NAMED_PENDING;
        locks_let_go_locked(claim);
        if (was_pending)
            claim->ops->refused(claim, BRG_CANCELLED);
        else
            claim->ops->unref(claim);
    }
    brg__lock_release(&locks_lock);
}

/* ---- workers that end ------------------------------------------------------------------------------------------ */

/* First what waits, then what is held: else the one would be granted what the other lets go. */
static void locks_end_client_locked(brg__service_client *client, brg__named_state state)
{
    brg__list_for_each(node, &client->locks) {
        brg__lock_claim *claim = claim_of_owner(node);
        if (claim->state != state)
            continue;
        locks_let_go_locked(claim);
        claim->ops->unref(claim);
    }
}

void brg__locks_client_gone(brg__service_client *client)
{
    brg__lock_acquire(&locks_lock);
    locks_end_client_locked(client, BRG__NAMED_PENDING);
    locks_end_client_locked(client, BRG__NAMED_HELD);
    brg__lock_release(&locks_lock);
}

static void locks_end_worker_locked(uint64_t worker_id, brg__named_state state)
{
    brg__list_for_each(node, &locks_local) {
        brg__lock_claim *claim = claim_of_owner(node);
        if (claim->worker_id != worker_id || claim->state != state)
            continue;
        locks_let_go_locked(claim); /* grants change no place in this list */
        if (state == BRG__NAMED_HELD)
            claim->ops->lost(claim);
        else
            claim->ops->refused(claim, BRG_CLOSED);
    }
}

void brg__locks_worker_gone(uint64_t worker_id)
{
    brg__lock_acquire(&locks_lock);
    locks_end_worker_locked(worker_id, BRG__NAMED_PENDING);
    locks_end_worker_locked(worker_id, BRG__NAMED_HELD);
    brg__lock_release(&locks_lock);
}

/* ---- looking --------------------------------------------------------------------------------------------------- */

static void locks_list_claims_locked(brg_builder *builder, bool held)
{
    brg_builder_key(builder, held ? "held" : "pending");
    brg_builder_list(builder);
    brg__list_for_each(name_node, &locks_order) {
        lock_name *name = brg__container_of(name_node, lock_name, node);
        brg__list_for_each(node, held ? &name->held : &name->pending) {
            brg_builder_map(builder);
            brg_builder_key(builder, "name");
            brg_builder_string_n(builder, name->text, name->name.size);
            brg_builder_key(builder, "mode");
            brg_builder_string(builder, claim_of(node)->is_shared ? "shared" : "exclusive");
            brg_builder_key(builder, "worker");
            brg_builder_uint(builder, claim_of(node)->worker_id);
            brg_builder_end(builder);
        }
    }
    brg_builder_end(builder);
}

brg_status brg__locks_list(brg_value **out, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    brg__lock_acquire(&locks_lock);
    locks_list_claims_locked(builder, true);
    locks_list_claims_locked(builder, false);
    brg__lock_release(&locks_lock);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, out, error);
    brg_builder_destroy(builder);
    return status;
}
