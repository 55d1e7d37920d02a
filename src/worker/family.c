/* SPDX-License-Identifier: MIT */
#include "worker/family.h"

#include "os/atomic.h"
#include "os/lock.h"
#include "os/memory.h"
#include "worker/context.h"

struct brg__family {
    uint32_t xreferences;
    brg__lock lock; /* BRG__RANK_LIBRARY: `ask` takes those of workers and pools */
    brg__list members;
    bool is_closed;
};

brg__family *brg__family_ref(brg__family *family)
{
    brg_add_relaxed(&family->xreferences, 1u);
    return family;
}

void brg__family_unref(brg__family *family)
{
    if (family != NULL && brg_sub_acq_rel(&family->xreferences, 1u) == 1)
        brg__mfree(family);
}

static brg__family *family_of(brg_context *context)
{
    if (context->family != NULL)
        return context->family;
    brg__family *family = brg__calloc(1, sizeof(*family));
    if (family == NULL)
        return NULL;
    family->xreferences = 1;
    brg__lock_init(&family->lock, BRG__RANK_LIBRARY, "family");
    brg__list_init(&family->members);
    context->family = family;
    if (context->ops != NULL && context->ops->founded != NULL)
        context->ops->founded(context);
    return family;
}

brg_status brg__family_join(brg__member *member, brg_error *error)
{
    brg_context *context = brg__context_current();
    if (context == NULL)
        return BRG_OK;
    brg__family *family = family_of(context);
    if (family == NULL)
        return brg__error_memory(error, "a worker of a worker");
    brg__lock_acquire(&family->lock);
    bool closed = family->is_closed;
    if (!closed) {
        member->family = brg__family_ref(family);
        brg__list_push_back(&family->members, &member->node);
    }
    brg__lock_release(&family->lock);
    if (closed)
        return brg_error_set(error, BRG_CLOSED, "worker", "the worker that makes it was abandoned");
    return BRG_OK;
}

void brg__family_leave(brg__member *member)
{
    brg__family *family = member->family;
    if (family == NULL)
        return;
    brg__lock_acquire(&family->lock);
    if (brg__node_is_linked(&member->node))
        brg__list_remove(&member->node);
    member->family = NULL;
    brg__lock_release(&family->lock);
    brg__family_unref(family);
}

static void family_ask_locked(brg__family *family)
{
    brg__list_for_each(node, &family->members) {
        brg__member *member = brg__container_of(node, brg__member, node);
        member->ask(member);
    }
}

void brg__family_close(brg__family *family)
{
    if (family == NULL)
        return;
    brg__lock_acquire(&family->lock);
    family->is_closed = true;
    family_ask_locked(family);
    brg__lock_release(&family->lock);
}

/* The next member, held, out of the list; it stays in the family so that leave finds the lock. */
static brg__member *family_take(brg__family *family)
{
    brg__lock_acquire(&family->lock);
    brg__node *node = brg__list_pop_front(&family->members);
    brg__member *member = node == NULL ? NULL : brg__container_of(node, brg__member, node);
    if (member != NULL)
        member->hold(member);
    brg__lock_release(&family->lock);
    return member;
}

void brg__family_end(brg__family *family, brg_loop *loop)
{
    if (family == NULL)
        return;
    brg__family_close(family);
    brg__member *member;
    while ((member = family_take(family)) != NULL)
        member->end(member, loop);
}
