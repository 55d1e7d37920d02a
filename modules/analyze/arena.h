/* SPDX-License-Identifier: MIT */
/* Bytes that stay where they are until all of them go. All zero is an empty one. */
#ifndef BRIGADE_ANALYZE_ARENA_H
#define BRIGADE_ANALYZE_ARENA_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK ((size_t)64 << 10)

typedef struct arena_block {
    struct arena_block *next;
    size_t used, capacity;
    char bytes[];
} arena_block;

typedef struct text_arena {
    arena_block *first; /* the one with room */
} text_arena;

/* NULL without memory. Not aligned. */
static inline char *arena_take(text_arena *arena, size_t size)
{
    arena_block *block = arena->first;
    if (block == NULL || block->capacity - block->used < size) {
        size_t capacity = size > ARENA_BLOCK / 4 ? size : ARENA_BLOCK;
        block = malloc(sizeof(*block) + capacity);
        if (block == NULL)
            return NULL;
        block->used = 0;
        block->capacity = capacity;
        block->next = arena->first;
        arena->first = block;
    }
    char *at = block->bytes + block->used;
    block->used += size;
    return at;
}

/* Keeps one block for the next time. */
static inline void arena_clear(text_arena *arena)
{
    while (arena->first != NULL && arena->first->next != NULL) {
        arena_block *next = arena->first->next;
        free(arena->first);
        arena->first = next;
    }
    if (arena->first != NULL)
        arena->first->used = 0;
}

static inline void arena_done(text_arena *arena)
{
    arena_clear(arena);
    free(arena->first);
    arena->first = NULL;
}

#endif
