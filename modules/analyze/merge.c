/* SPDX-License-Identifier: MIT */
#include "merge.h"

#include <errno.h>
#include <unistd.h>

typedef struct merge_tree {
    merge_input *inputs;
    size_t count;
    uint32_t *losers; /* of the match at each node; [0] is the winner of all */
} merge_tree;

merge_input analyze_merge_memory(const char *records, size_t size)
{
    return (merge_input){.at = records, .end = records + size, .fd = -1};
}

merge_input analyze_merge_file(int fd, uint64_t begin, uint64_t stop, size_t capacity)
{
    return (merge_input){.fd = fd, .next = begin, .stop = stop, .capacity = capacity};
}

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

/* Reads until `size` bytes are there, and then as many more as one read gives. */
static merge_outcome merge_fill(merge_input *input, size_t size)
{
    size_t left = (size_t)(input->end - input->at);
    if (size > left + (input->stop - input->next))
        return MERGE_FALSE;
    if (input->buffer == NULL || size > input->capacity) {
        size_t capacity = size > input->capacity ? size : input->capacity;
        char *buffer = malloc(capacity);
        if (buffer == NULL)
            return MERGE_NO_MEMORY;
        if (left != 0)
            memcpy(buffer, input->at, left);
        free(input->buffer);
        input->buffer = buffer;
        input->capacity = capacity;
    } else if (left != 0) {
        memmove(input->buffer, input->at, left);
    }
    input->at = input->buffer;
    while (left < size) {
        uint64_t room = input->capacity - left, rest = input->stop - input->next;
        ssize_t got = pread(input->fd, input->buffer + left, room < rest ? room : rest, (off_t)input->next);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got == 0 ? EIO : errno;
            return MERGE_SYSTEM;
        }
        left += (size_t)got;
        input->next += (uint64_t)got;
    }
    input->end = input->buffer + left;
    return MERGE_DONE;
}

/* Looks at the next record. */
static merge_outcome merge_next(merge_input *input)
{
    input->at += input->size;
    input->size = 0;
    merge_outcome outcome = MERGE_DONE;
    size_t left = (size_t)(input->end - input->at);
    if (left == 0 && input->next == input->stop) {
        input->over = true;
        return MERGE_DONE;
    }
    if (left < SORTED_HEAD && input->fd >= 0)
        outcome = merge_fill(input, SORTED_HEAD);
    left = (size_t)(input->end - input->at);
    if (outcome == MERGE_DONE && input->fd >= 0 && sorted_word(input->at) + sizeof(uint32_t) > left)
        outcome = merge_fill(input, sorted_word(input->at) + sizeof(uint32_t));
    if (outcome != MERGE_DONE)
        return outcome;
    input->record = input->at;
    input->size = analyze_sorted_record(input->at, (size_t)(input->end - input->at));
    if (input->size == 0)
        return MERGE_FALSE;
    input->prefix = analyze_sorted_prefix(input->at + SORTED_HEAD, sorted_word(input->at + sizeof(uint32_t)));
    return MERGE_DONE;
}

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

static inline bool merge_is_before(const merge_tree *tree, uint32_t a, uint32_t b)
{
    const merge_input *first = &tree->inputs[a], *second = &tree->inputs[b];
    if (first->over || second->over)
        return second->over && (!first->over || a < b);
    if (first->prefix != second->prefix)
        return first->prefix < second->prefix;
    int order = analyze_sorted_compare(first->record + SORTED_HEAD, sorted_word(first->record + sizeof(uint32_t)),
                                       second->record + SORTED_HEAD, sorted_word(second->record + sizeof(uint32_t)));
    return order != 0 ? order < 0 : a < b;
}

/* The winner below `node`: leaves are the nodes from `count` on. */
static uint32_t merge_play(merge_tree *tree, size_t node)
{
    if (node >= tree->count)
        return (uint32_t)(node - tree->count);
    uint32_t left = merge_play(tree, 2 * node), right = merge_play(tree, 2 * node + 1);
    bool is_left = merge_is_before(tree, left, right);
    tree->losers[node] = is_left ? right : left;
    return is_left ? left : right;
}

/* The winner has another record: it plays its way up again. */
static void merge_replay(merge_tree *tree)
{
    uint32_t winner = tree->losers[0];
    for (size_t node = (winner + tree->count) / 2; node > 0; node /= 2)
        if (merge_is_before(tree, tree->losers[node], winner)) {
            uint32_t other = tree->losers[node];
            tree->losers[node] = winner;
            winner = other;
        }
    tree->losers[0] = winner;
}

static merge_outcome merge_all(merge_tree *tree, uint64_t limit, merge_put put, void *user_data)
{
    for (size_t i = 0; i < tree->count; i++) {
        merge_outcome outcome = merge_next(&tree->inputs[i]);
        if (outcome != MERGE_DONE)
            return outcome;
    }
    tree->losers[0] = merge_play(tree, 1);
    for (uint64_t i = 0; i < limit; i++) {
        merge_input *input = &tree->inputs[tree->losers[0]];
        if (input->over)
            break;
        if (!put(input->record, input->size, user_data))
            return MERGE_ENDED;
        merge_outcome outcome = merge_next(input);
        if (outcome != MERGE_DONE)
            return outcome;
        merge_replay(tree);
    }
    return MERGE_DONE;
}

merge_outcome analyze_merge(merge_input *inputs, size_t count, uint64_t limit, merge_put put, void *user_data)
{
    if (count == 0)
        return MERGE_DONE;
    merge_tree tree = {.inputs = inputs, .count = count, .losers = calloc(count, sizeof(*tree.losers))};
    merge_outcome outcome = tree.losers == NULL ? MERGE_NO_MEMORY : merge_all(&tree, limit, put, user_data);
    int saved = errno;
    for (size_t i = 0; i < count; i++)
        free(inputs[i].buffer);
    free(tree.losers);
    errno = saved;
    return outcome;
}
