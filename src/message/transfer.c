/* SPDX-License-Identifier: MIT */
/*
 * Transfer lists. A node for an entry is a nil until brg_builder_finish_transfer. That first checks all entries and
 * makes room for them, then numbers all objects anew in the order of their first nodes, as flat.h asks: from there on
 * nothing fails but what brg__builder_finish finds before it hands anything out, and only after that the variables are
 * emptied.
 */
#include <brigade/transfer.h>

#include <stdlib.h>

#include "message/builder.h"
#include "os/memory.h"

#define TRANSFER_COUNT_MAX 65536u
#define TRANSFER_UNSEEN UINT32_MAX

static void *transfer_pointer(const brg_transfer *entry)
{
    return entry->type == BRG_TYPE_FD ? NULL : *(void **)entry->variable;
}

static int transfer_fd(const brg_transfer *entry) { return entry->type == BRG_TYPE_FD ? *(int *)entry->variable : -1; }

void brg_builder_transfer(brg_builder *builder, size_t index)
{
    if (index >= TRANSFER_COUNT_MAX) {
        brg__builder_fail(builder, BRG_INVALID, "a transfer of entry %zu; lists have at most %u", index,
                          TRANSFER_COUNT_MAX);
        return;
    }
    unsigned char *at = brg__builder_append(builder, BRG__HEAD_BYTES);
    if (at == NULL)
        return;
    brg__builder_put(at, BRG_TYPE_NIL, 0, 0);
    brg__refs_push(builder, &builder->transfers, &builder->transfer_count, &builder->transfer_capacity,
                   (brg__builder_ref){(uint32_t)(at - builder->value->block), (uint32_t)index});
}

static void transfer_check_entry(brg_builder *builder, const brg_transfer *list, size_t index)
{
    const brg_transfer *entry = &list[index];
    const char *why = "has no variable";
    brg_status status = BRG_INVALID;
    if (entry->variable != NULL)
        status = brg__handle_check(entry->type, entry->type == BRG_TYPE_FD ? NULL : transfer_pointer(entry),
                                   transfer_fd(entry), &why);
    if (status != BRG_OK)
        brg__builder_fail(builder, status, "transfer %zu (%s) %s", index, brg_type_name(entry->type), why);
}

/* By type and handle, then by place in the list. */
static int transfer_compare(const void *left, const void *right)
{
    const brg_transfer *a = *(const brg_transfer *const *)left, *b = *(const brg_transfer *const *)right;
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    uintptr_t one = a->type == BRG_TYPE_FD ? (uintptr_t)transfer_fd(a) : (uintptr_t)transfer_pointer(a);
    uintptr_t other = b->type == BRG_TYPE_FD ? (uintptr_t)transfer_fd(b) : (uintptr_t)transfer_pointer(b);
    if (one != other)
        return one < other ? -1 : 1;
    return a < b ? -1 : a > b;
}

static bool transfer_is_same(const brg_transfer *a, const brg_transfer *b)
{
    return a->type == b->type && transfer_pointer(a) == transfer_pointer(b) && transfer_fd(a) == transfer_fd(b);
}

static void transfer_check_duplicates(brg_builder *builder, const brg_transfer *list, size_t count)
{
    const brg_transfer **order = brg__malloc((count > 0 ? count : 1) * sizeof(*order));
    if (order == NULL) {
        brg__builder_fail_memory(builder);
        return;
    }
    for (size_t i = 0; i < count; i++)
        order[i] = &list[i];
    qsort(order, count, sizeof(*order), transfer_compare);
    for (size_t i = 1; i < count; i++)
        if (transfer_is_same(order[i - 1], order[i]))
            brg__builder_fail(builder, BRG_INVALID, "transfer %zu (%s) is transfer %zu once more",
                              (size_t)(order[i] - list), brg_type_name(order[i]->type), (size_t)(order[i - 1] - list));
    brg__mfree(order);
    uint32_t index;
    for (size_t i = 0; i < count; i++)
        if (brg__builder_find_object(builder, list[i].type, transfer_pointer(&list[i]), transfer_fd(&list[i]), &index))
            brg__builder_fail(builder, BRG_INVALID, "transfer %zu (%s) is in the value already", i,
                              brg_type_name(list[i].type));
}

static void transfer_check(brg_builder *builder, const brg_transfer *list, size_t count)
{
    if (count > TRANSFER_COUNT_MAX)
        brg__builder_fail(builder, BRG_INVALID, "a transfer list of %zu entries; at most %u fit", count,
                          TRANSFER_COUNT_MAX);
    for (size_t i = 0; i < count && builder->failure.status == BRG_OK; i++)
        transfer_check_entry(builder, list, i);
    for (uint32_t i = 0; i < builder->transfer_count && builder->failure.status == BRG_OK; i++)
        if (builder->transfers[i].number >= count)
            brg__builder_fail(builder, BRG_INVALID, "transfer %u is past the list of %zu", builder->transfers[i].number,
                              count);
    if (builder->failure.status == BRG_OK)
        transfer_check_duplicates(builder, list, count);
}

/* The nodes of entries become nodes of objects `before` and on. */
static void transfer_put_nodes(brg_builder *builder, const brg_transfer *list, uint32_t before)
{
    for (uint32_t i = 0; i < builder->transfer_count; i++) {
        const brg__builder_ref *node = &builder->transfers[i];
        brg__builder_put(builder->value->block + node->offset, (uint8_t)list[node->number].type, 0,
                         before + node->number);
    }
}

/* Numbers the objects by their first nodes, those without a node last. `numbers` has room for the count of them. */
static void transfer_renumber(brg_builder *builder, brg__object *objects, uint32_t *numbers)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < builder->object_count; i++)
        numbers[i] = TRANSFER_UNSEEN;
    for (uint32_t at = BRG__FLAT_FIRST; at < builder->used;) {
        brg__head node = brg__flat_head(builder->value->block, at);
        if (brg__head_is_object(node)) {
            if (numbers[node.count] == TRANSFER_UNSEEN)
                numbers[node.count] = next++;
            node.count = numbers[node.count];
            memcpy(builder->value->block + at, &node, sizeof(node));
        }
        at += (uint32_t)brg__head_size(node);
    }
    for (uint32_t i = 0; i < builder->object_count; i++)
        objects[numbers[i] != TRANSFER_UNSEEN ? numbers[i] : next++] = builder->objects[i];
}

/* The builder's objects, followed by the entries', which stay the caller's until the value is there. */
static bool transfer_join(brg_builder *builder, const brg_transfer *list, size_t count)
{
    uint32_t before = builder->object_count, all = before + (uint32_t)count;
    brg__object *objects = brg__malloc((size_t)(all > 0 ? all : 1) * 2 * sizeof(*objects));
    uint32_t *numbers = brg__malloc((size_t)(all > 0 ? all : 1) * sizeof(*numbers));
    if (objects == NULL || numbers == NULL) {
        brg__mfree(objects);
        brg__mfree(numbers);
        brg__builder_fail_memory(builder);
        return false;
    }
    if (before > 0)
        memcpy(objects + all, builder->objects, before * sizeof(*objects));
    for (size_t i = 0; i < count; i++)
        objects[all + before + i] = (brg__object){(uint32_t)list[i].type, transfer_fd(&list[i]),
                                                  transfer_pointer(&list[i])};
    brg__mfree(builder->objects);
    builder->objects = objects + all;
    builder->object_count = all;
    transfer_put_nodes(builder, list, before);
    transfer_renumber(builder, objects, numbers);
    builder->objects = objects;
    builder->object_capacity = all;
    brg__mfree(numbers);
    return true;
}

static void transfer_empty(const brg_transfer *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i].type == BRG_TYPE_FD)
            *(int *)list[i].variable = -1;
        else
            *(void **)list[i].variable = NULL;
    }
}

brg_status brg_builder_finish_transfer(brg_builder *builder, const brg_transfer *list, size_t count, brg_value **out,
                                       brg_error *error)
{
    bool complete = builder->failure.status == BRG_OK && builder->depth == 0 && builder->want == BRG__WANT_NOTHING;
    if (complete) /* else finishing fails anyway, for that */
        transfer_check(builder, list, count);
    if (complete && builder->failure.status == BRG_OK)
        transfer_join(builder, list, count);
    brg_status status = brg__builder_finish(builder, out, error);
    if (status == BRG_OK)
        transfer_empty(list, count);
    return status;
}
