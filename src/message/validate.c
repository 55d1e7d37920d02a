/* SPDX-License-Identifier: MIT */
/*
 * The check every foreign block passes before it becomes a value; afterwards readers trust the block.
 *
 * One pass from the first node to the last, with the two stacks of flat.h: values, from whose top containers take
 * exactly the children their tables name, and keys. What a pass forwards cannot know follows it, each a pass of its own
 * and only where there are such nodes: that refs to earlier nodes lead to nodes (a bit for each node that may be
 * referred to), and, since that needs all refs to be good, that sets have each element once. Refs to later nodes wait
 * in `open_refs` for their container to close around them.
 */
#include "base/util.h"
#include "message/graph.h"
#include "message/keys.h"
#include "message/utf8.h"
#include "os/memory.h"

#define CHECK_FIRST 256u

typedef struct check_stack {
    uint32_t *at;
    uint32_t count;
    uint32_t capacity;
    uint32_t few[CHECK_FIRST]; /* before the heap is needed */
} check_stack;

typedef struct checker {
    const unsigned char *block;
    brg_error *error;
    uint32_t size_bytes;
    uint32_t objects_seen;
    uint32_t last_keys; /* the keys node that was named last: mostly also the next one */
    bool has_refs;      /* to earlier nodes */
    bool has_open_refs;
    bool has_sets;
    check_stack values;
    check_stack keys;
    check_stack highs;      /* pairs: index in `values` of a child that has a height, its height */
    check_stack keys_nodes; /* all of them, in order */
    check_stack open_refs;  /* refs to later nodes */
} checker;

static brg_status check_fail(const checker *check, uint32_t offset, const char *what)
{
    return brg_error_set(check->error, BRG_MALFORMED, "value", "malformed value: %s at offset %u", what, offset);
}

static void stack_init(check_stack *stack)
{
    stack->at = stack->few;
    stack->count = 0;
    stack->capacity = CHECK_FIRST;
}

static void stack_done(check_stack *stack)
{
    if (stack->at != stack->few)
        brg__mfree(stack->at);
}

static __attribute__((noinline)) bool stack_grow(check_stack *stack)
{
    size_t bytes = (size_t)stack->capacity * sizeof(*stack->at);
    uint32_t *at = brg__realloc(stack->at == stack->few ? NULL : stack->at, bytes * 4);
    if (at == NULL)
        return false;
    if (stack->at == stack->few)
        memcpy(at, stack->few, bytes);
    stack->at = at;
    stack->capacity *= 4;
    return true;
}

static inline bool stack_push(check_stack *stack, uint32_t number)
{
    if (BRG__UNLIKELY(stack->count == stack->capacity) && !stack_grow(stack))
        return false;
    stack->at[stack->count++] = number;
    return true;
}

/* Whether the bytes between the `used` ones of a node and its end are zero; they lie in its last word. */
static bool check_padding(const unsigned char *node, uint64_t used, uint64_t size)
{
    uint64_t in_last_word = used - (size - sizeof(uint64_t));
    return in_last_word >= sizeof(uint64_t) || brg__flat_u64(node, size - sizeof(uint64_t)) >> (8 * in_last_word) == 0;
}

static brg_status check_object(checker *check, uint32_t at, brg__head node)
{
    if (node.count > check->objects_seen)
        return check_fail(check, at, "an object out of turn");
    check->objects_seen += node.count == check->objects_seen;
    return BRG_OK;
}

static brg_status check_array(checker *check, uint32_t at, brg__head node, uint64_t size)
{
    uint32_t element = node.extra & ~BRG__ARRAY_OUTSIDE, element_size = brg__element_size(element);
    if (element_size == 0)
        return check_fail(check, at, "an array of unknown elements");
    if (node.extra == element)
        return check_padding(check->block + at, BRG__HEAD_BYTES + (uint64_t)node.count * element_size, size)
                   ? BRG_OK
                   : check_fail(check, at, "padding that is not zero");
    if (brg__flat_u64(check->block, at + 8) % element_size != 0)
        return check_fail(check, at, "an array that is not aligned");
    return check_object(check, at, node);
}

/* The leaves that are not checked where they are met. */
static brg_status check_leaf(checker *check, uint32_t at, brg__head node, uint64_t size)
{
    const unsigned char *bytes = check->block + at + BRG__HEAD_BYTES;
    bool may_have_extra = node.type == BRG_TYPE_BOOL || node.type == BRG_TYPE_BIGINT;
    if (node.type != BRG_TYPE_ARRAY && node.extra > (may_have_extra ? 1 : 0))
        return check_fail(check, at, "a reserved field is not zero");
    switch (node.type) {
    case BRG_TYPE_STRING:
    case BRG__TAG_KEY:
        if (!brg__utf8_check((const char *)bytes, node.count))
            return check_fail(check, at, "text that is not UTF-8");
        break;
    case BRG_TYPE_UINT:
        if (brg__flat_u64(bytes, 0) <= INT64_MAX)
            return check_fail(check, at, "an unsigned number that is small");
        return node.count == 0 ? BRG_OK : check_fail(check, at, "a reserved field is not zero");
    case BRG_TYPE_BIGINT:
        if (node.count > 0 ? bytes[node.count - 1] == 0 : node.extra != 0)
            return check_fail(check, at, "a big integer that is not in its shortest form");
        break;
    case BRG_TYPE_BYTES:
        break;
    case BRG_TYPE_ARRAY:
        return check_array(check, at, node, size);
    case BRG_TYPE_BUFFER:
    case BRG_TYPE_PORT:
    case BRG_TYPE_FD:
    case BRG_TYPE_SHARED:
    case BRG_TYPE_TOKEN:
        return check_object(check, at, node);
    default:
        return node.count == 0 ? BRG_OK : check_fail(check, at, "a reserved field is not zero");
    }
    if (!check_padding(check->block + at, (uint64_t)BRG__HEAD_BYTES + node.count, size))
        return check_fail(check, at, "padding that is not zero");
    return BRG_OK;
}

static brg_status check_memory(const checker *check) { return brg__error_memory(check->error, "checking a value"); }

/* A ref, a value of the height of what it stands for. */
static brg_status check_ref(checker *check, uint32_t at, brg__head node)
{
    if (node.count % 8 != 0 || node.count < BRG__FLAT_FIRST || node.count == at ||
        (uint64_t)node.count + BRG__HEAD_BYTES > check->size_bytes)
        return check_fail(check, at, "a reference out of place");
    if (node.count > at) {
        check->has_open_refs = true;
        if (node.extra != 0)
            return check_fail(check, at, "a wrong height");
        return stack_push(&check->open_refs, at) ? BRG_OK : check_memory(check);
    }
    check->has_refs = true;
    brg__head target = brg__flat_head(check->block, node.count);
    if (node.extra != (brg__head_is_container(target) ? target.extra : 0))
        return check_fail(check, at, "a wrong height");
    if (node.extra > 0 && (!stack_push(&check->highs, check->values.count) || !stack_push(&check->highs, node.extra)))
        return check_memory(check);
    return BRG_OK;
}

static bool check_find_keys(const checker *check, uint32_t offset)
{
    uint32_t low = 0, high = check->keys_nodes.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (check->keys_nodes.at[middle] < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < check->keys_nodes.count && check->keys_nodes.at[low] == offset;
}

static brg_status check_map_keys(checker *check, uint32_t at, uint32_t count)
{
    uint32_t keys = brg__flat_u32(check->block, at + BRG__HEAD_BYTES);
    if (count == 0)
        return keys == 0 ? BRG_OK : check_fail(check, at, "a reserved field is not zero");
    if (keys == 0 || keys != check->last_keys) { /* at first there is no last one */
        if (!check_find_keys(check, keys))
            return check_fail(check, at, "a map without keys");
        check->last_keys = keys;
    }
    return brg__flat_head(check->block, keys).count == count ? BRG_OK : check_fail(check, at, "a map with other keys");
}

static brg_status check_error_children(const checker *check, uint32_t at, brg__head node)
{
    if (node.count != BRG__ERROR_CHILDREN)
        return check_fail(check, at, "an error without its parts");
    for (uint32_t i = 0; i < BRG__ERROR_DETAIL; i++) {
        uint32_t child = brg__flat_child(check->block, at, i);
        if (brg__flat_head(check->block, child).type != (i < BRG__ERROR_NUMBERS ? BRG_TYPE_INT : BRG_TYPE_STRING))
            return check_fail(check, child, "a part of an error has another type");
    }
    return BRG_OK;
}

/* Refs that waited for the container at `at`, whose subtree begins at `start`, are good; none may wait for less. */
static brg_status check_close_refs(checker *check, uint32_t start, uint32_t at)
{
    uint32_t from = check->open_refs.count, kept;
    while (from > 0 && check->open_refs.at[from - 1] >= start)
        from--;
    kept = from;
    for (; from < check->open_refs.count; from++) {
        uint32_t ref = check->open_refs.at[from], target = brg__flat_head(check->block, ref).count;
        if (target < at)
            return check_fail(check, ref, "a reference out of place");
        if (target > at)
            check->open_refs.at[kept++] = ref;
    }
    check->open_refs.count = kept;
    return BRG_OK;
}

/* How high the container at the top of `values` from index `first` on is. */
static uint32_t check_height(checker *check, uint32_t first)
{
    uint32_t height = 0;
    while (check->highs.count > 0 && check->highs.at[check->highs.count - 2] >= first) {
        height = (uint32_t)brg__max(height, check->highs.at[check->highs.count - 1]);
        check->highs.count -= 2;
    }
    return height + 1;
}

/* A container: its children are on top of the values, and then it is there in their place. */
static brg_status check_container(checker *check, uint32_t at, brg__head node, uint64_t size)
{
    uint32_t table = brg__head_table(node);
    if (node.count > check->values.count)
        return check_fail(check, at, "more children than nodes");
    uint32_t first = check->values.count - node.count;
    if (memcmp(check->block + at + table, check->values.at + first, (size_t)node.count * sizeof(uint32_t)) != 0)
        return check_fail(check, at, "a table that does not name its children");
    if (!check_padding(check->block + at, table + (uint64_t)node.count * sizeof(uint32_t), size))
        return check_fail(check, at, "padding that is not zero");
    uint32_t height = check_height(check, first);
    if (height > BRG_VALUE_DEPTH_MAX)
        return brg_error_set(check->error, BRG_TOO_LARGE, "value", "nested deeper than %d at offset %u",
                             BRG_VALUE_DEPTH_MAX, at);
    if (node.extra != height)
        return check_fail(check, at, "a wrong height");
    brg_status status = BRG_OK;
    if (node.type == BRG_TYPE_MAP)
        status = check_map_keys(check, at, node.count);
    else if (node.type == BRG_TYPE_ERROR)
        status = check_error_children(check, at, node);
    else if (node.type == BRG_TYPE_SET)
        check->has_sets = true;
    if (status == BRG_OK && check->open_refs.count > 0) {
        uint32_t start = first == 0 ? 0 : check->values.at[first - 1] + 1;
        status = check_close_refs(check, start, at);
    }
    check->values.count = first;
    if (status == BRG_OK && (!stack_push(&check->highs, first) || !stack_push(&check->highs, height)))
        return check_memory(check);
    return status;
}

static brg_status check_keys(checker *check, uint32_t at, brg__head node, uint64_t size)
{
    const unsigned char *table = check->block + at + BRG__HEAD_BYTES;
    if (node.extra != 0)
        return check_fail(check, at, "a reserved field is not zero");
    if (node.count == 0 || node.count > check->keys.count)
        return check_fail(check, at, "more keys than there are");
    uint32_t first = check->keys.count - node.count, repeated;
    if (memcmp(table, check->keys.at + first, (size_t)node.count * sizeof(uint32_t)) != 0)
        return check_fail(check, at, "a table that does not name its keys");
    if (!check_padding(check->block + at, BRG__HEAD_BYTES + (uint64_t)node.count * sizeof(uint32_t), size))
        return check_fail(check, at, "padding that is not zero");
    brg_status status = brg__keys_check(check->block, table, node.count, &repeated);
    if (status == BRG_INVALID)
        return check_fail(check, check->keys.at[first + repeated], "a repeated key");
    if (status != BRG_OK)
        return brg__error_memory(check->error, "checking the keys of a map");
    check->keys.count = first;
    check->last_keys = at;
    return stack_push(&check->keys_nodes, at) ? BRG_OK : check_memory(check);
}

/* The node at `at`; its size. */
static brg_status check_node(checker *check, uint32_t at, uint64_t *size)
{
    brg__head node = brg__flat_head(check->block, at);
    *size = brg__head_size(node);
    if (*size == 0)
        return check_fail(check, at, "an unknown type");
    if (*size > check->size_bytes - at)
        return check_fail(check, at, "a node that runs past its end");
    if (node.zero != 0)
        return check_fail(check, at, "a reserved field is not zero");
    brg_status status;
    if (node.type == BRG__TAG_KEYS)
        return check_keys(check, at, node, *size);
    if (brg__head_is_container(node))
        status = check_container(check, at, node, *size);
    else if (node.type == BRG__TAG_REF)
        status = check_ref(check, at, node);
    else
        status = check_leaf(check, at, node, *size);
    if (status != BRG_OK)
        return status;
    return stack_push(node.type == BRG__TAG_KEY ? &check->keys : &check->values, at) ? BRG_OK : check_memory(check);
}

/* Most nodes are numbers with nothing else in their heads: where the first other one is, or there is no room for one
 * more. */
static uint32_t check_numbers(checker *check, uint32_t at, uint32_t end)
{
    uint32_t *top = check->values.at + check->values.count;
    const uint32_t *limit = check->values.at + check->values.capacity;
    for (; top < limit && end - at >= 16; at += 16) {
        uint64_t word = brg__flat_u64(check->block, at);
        if (word != BRG_TYPE_INT && word != BRG_TYPE_DOUBLE)
            break;
        *top++ = at;
    }
    check->values.count = (uint32_t)(top - check->values.at);
    return at;
}

static brg_status check_nodes(checker *check)
{
    uint32_t at = BRG__FLAT_FIRST, end = check->size_bytes;
    while (at < end) {
        if (end - at < BRG__HEAD_BYTES)
            return check_fail(check, at, "bytes after the root");
        uint64_t size;
        uint32_t after = check_numbers(check, at, end);
        if (after != at) {
            at = after;
            continue;
        }
        brg_status status = check_node(check, at, &size);
        if (status != BRG_OK)
            return status;
        at += (uint32_t)size;
    }
    return BRG_OK;
}

/* That refs to earlier nodes lead to values: a bit for each place where one begins. */
static brg_status check_targets(const checker *check)
{
    uint64_t *starts = brg__calloc(check->size_bytes / 512 + 1, sizeof(*starts));
    if (starts == NULL)
        return check_memory(check);
    brg_status status = BRG_OK;
    for (uint32_t at = BRG__FLAT_FIRST; at < check->size_bytes && status == BRG_OK;) {
        brg__head node = brg__flat_head(check->block, at);
        uint32_t target = node.count / 8;
        if (node.type == BRG__TAG_REF) {
            if (node.count < at && (starts[target / 64] >> target % 64 & 1) == 0)
                status = check_fail(check, at, "a reference out of place");
        } else if (node.type != BRG__TAG_KEY && node.type != BRG__TAG_KEYS) {
            starts[at / 512] |= UINT64_C(1) << at / 8 % 64;
        }
        at += (uint32_t)brg__head_size(node);
    }
    brg__mfree(starts);
    return status;
}

static brg_status check_sets(const checker *check)
{
    uint64_t spent = 0;
    for (uint32_t at = BRG__FLAT_FIRST; at < check->size_bytes;) {
        brg__head node = brg__flat_head(check->block, at);
        uint32_t repeated = 0;
        brg_status status = node.type == BRG_TYPE_SET && node.count > 1
                                ? brg__set_check(check->block, at, &spent, &repeated)
                                : BRG_OK;
        if (status == BRG_INVALID)
            return check_fail(check, brg__flat_child(check->block, at, repeated), "a repeated element of a set");
        if (status == BRG_TOO_LARGE)
            return brg_error_set(check->error, BRG_TOO_LARGE, "value",
                                 "the elements of a set are too alike to be told apart, at offset %u", at);
        if (status != BRG_OK)
            return check_memory(check);
        at += (uint32_t)brg__head_size(node);
    }
    return BRG_OK;
}

static brg_status check_block(checker *check, const brg__flat_header *header, size_t object_count)
{
    bool says_refs = (header->flags & BRG__FLAT_HAS_REFS) != 0;
    if (header->magic != BRG__FLAT_MAGIC || header->version != BRG__FLAT_VERSION ||
        (header->flags & ~BRG__FLAT_HAS_REFS) != 0)
        return check_fail(check, 0, "not a value of a known version");
    if (header->object_count != object_count)
        return brg_error_set(check->error, BRG_MALFORMED, "value",
                             "malformed value: it names %u objects, %zu came with it", header->object_count,
                             object_count);
    brg_status status = check_nodes(check);
    if (status != BRG_OK)
        return status;
    if (check->values.count != 1 || check->keys.count != 0 || check->open_refs.count != 0)
        return check_fail(check, check->size_bytes, "not one root");
    if (header->root != check->values.at[0] || brg__flat_head(check->block, header->root).type == BRG__TAG_REF ||
        (uint64_t)header->root + brg__head_size(brg__flat_head(check->block, header->root)) != check->size_bytes)
        return check_fail(check, header->root, "a root out of place");
    if (says_refs != (check->has_refs || check->has_open_refs))
        return check_fail(check, 0, "a wrong flag");
    if (check->objects_seen > object_count)
        return check_fail(check, 0, "more objects named than there are");
    if (check->has_refs)
        status = check_targets(check);
    if (status == BRG_OK && check->has_sets)
        status = check_sets(check);
    return status;
}

brg_status brg__flat_check(const unsigned char *block, size_t size_bytes, size_t object_count, brg_error *error)
{
    if (size_bytes > BRG_VALUE_BYTES_MAX)
        return brg_error_set(error, BRG_TOO_LARGE, "value", "a value of %zu bytes, at most %zu are allowed", size_bytes,
                             BRG_VALUE_BYTES_MAX);
    checker check;
    memset(&check, 0, offsetof(checker, values));
    check.block = block;
    check.error = error;
    check.size_bytes = (uint32_t)size_bytes;
    brg__flat_header header;
    if (size_bytes < sizeof(header) + BRG__HEAD_BYTES)
        return check_fail(&check, check.size_bytes, "too short");
    memcpy(&header, block, sizeof(header));
    check_stack *const stacks[] = {&check.values, &check.keys, &check.highs, &check.keys_nodes, &check.open_refs};
    for (size_t i = 0; i < brg__count_of(stacks); i++)
        stack_init(stacks[i]);
    brg_status status = check_block(&check, &header, object_count);
    for (size_t i = 0; i < brg__count_of(stacks); i++)
        stack_done(stacks[i]);
    return status;
}
