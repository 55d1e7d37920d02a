/* SPDX-License-Identifier: MIT */
/*
 * Copying a node of one value into another, node by node: what it shares is shared in the copy too. Each node that refs
 * lead to gets a mark when it is copied first, and is a ref to that mark from then on, even if it is still open: so a
 * node inside a cycle brings the whole cycle along. It recurs as deep as the builder lets containers nest.
 */
#include "message/builder.h"
#include "message/graph.h"
#include "os/memory.h"

#include <brigade/shared.h>
#include <brigade/token.h>

typedef struct graft {
    brg_builder *builder;
    const brg_value *from;
    brg__target *targets; /* number: of the mark, 0 as long as there is none */
    uint32_t target_count;
} graft;

static void graft_node(graft *copy, brg_view view, bool may_be_ref);

static bool graft_take_ref(const graft *copy, const brg__object *object)
{
    switch (object->type) {
    case BRG_TYPE_BUFFER:
        return brg_buffer_ref(object->xpointer) != NULL;
    case BRG_TYPE_SHARED:
        return brg_shared_ref(object->xpointer) != NULL;
    case BRG_TYPE_TOKEN:
        return brg_token_ref(object->xpointer) != NULL;
    default:
        brg__builder_fail(copy->builder, BRG_INVALID, "a %s is not copied, it moves: take it out of its value first",
                          brg_type_name((brg_type)object->type));
        return false;
    }
}

/* A leaf: its bytes, but the number of its object. */
static void graft_leaf(graft *copy, brg_view view, brg__head node)
{
    brg__object *object = NULL;
    const brg__graph graph = {copy->from->block, copy->from->objects, copy->from->object_count};
    if (brg__head_is_object(node)) {
        object = (brg__object *)brg__graph_object(&graph, node);
        if (object == NULL) {
            brg__builder_fail(copy->builder, BRG_MALFORMED, "a handle that is not what its node says");
            return;
        }
        if (!graft_take_ref(copy, object))
            return;
    }
    uint64_t size = brg__head_size(node);
    unsigned char *at = brg__builder_append(copy->builder, size);
    if (at != NULL)
        memcpy(at, copy->from->block + view.offset, size);
    if (object == NULL)
        return;
    brg__object taken = {object->type, -1, object->xpointer};
    if (at == NULL || !brg__builder_add_object(copy->builder, (brg_type)taken.type, taken.xpointer, -1, &node.count))
        brg__object_drop(&taken);
    else
        memcpy(at, &node, sizeof(node));
}

static void graft_container(graft *copy, brg_view view, brg__head node)
{
    for (uint32_t i = 0; i < node.count && copy->builder->failure.status == BRG_OK; i++) {
        size_t size = 0;
        if (node.type == BRG_TYPE_MAP) {
            const char *key = brg_view_key_at(view, i, &size);
            brg__builder_add_key(copy->builder, key, size);
        }
        /* An error's own parts are never refs, even where they were met before. */
        graft_node(copy, brg__view_child(view, i), node.type != BRG_TYPE_ERROR || i >= BRG__ERROR_DETAIL);
    }
    brg_builder_end(copy->builder);
}

static void graft_node(graft *copy, brg_view view, bool may_be_ref)
{
    brg__head node = brg__flat_head(copy->from->block, view.offset);
    brg__target *target = brg__targets_find(copy->targets, copy->target_count, view.offset);
    if (target != NULL && target->number != 0 && may_be_ref) {
        brg_builder_ref(copy->builder, (brg_mark){target->number, copy->builder->generation});
        return;
    }
    if (brg__head_is_container(node))
        brg__builder_open(copy->builder, (brg_type)node.type);
    else
        graft_leaf(copy, view, node);
    if (target != NULL && target->number == 0 && copy->builder->failure.status == BRG_OK)
        target->number = brg__builder_mark(copy->builder, brg__head_is_container(node)).number;
    if (brg__head_is_container(node))
        graft_container(copy, view, node);
}

void brg_builder_view(brg_builder *builder, brg_view view)
{
    if (builder->failure.status != BRG_OK)
        return;
    if (view.value == NULL) {
        brg__builder_fail(builder, BRG_INVALID, "there is no node to copy: a key is missing or an index past the end");
        return;
    }
    graft copy = {builder, view.value, NULL, 0};
    brg_error error;
    if (brg__head_is_container(brg__flat_head(view.value->block, view.offset)) &&
        brg__targets_create(&copy.targets, &copy.target_count, view.value, &error) != BRG_OK) {
        brg__builder_fail_memory(builder);
        return;
    }
    graft_node(&copy, view, true);
    brg__mfree(copy.targets);
}
