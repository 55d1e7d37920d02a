/* SPDX-License-Identifier: MIT */
/*
 * A map from 64-bit numbers to pointers: open addressing, linear probing, deletion by shifting back (Knuth, TAOCP 6.4,
 * algorithm R). The memory is the caller's matter through two functions, since this layer has none of its own.
 */
#ifndef BRG_BASE_TABLE_H
#define BRG_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct brg__table_slot {
    uint64_t key;
    void *value; /* NULL: free */
} brg__table_slot;

typedef struct brg__table {
    brg__table_slot *slots; /* capacity of them, a power of two; NULL while empty */
    size_t capacity;
    size_t count;
} brg__table;

/* The value under `key`, or NULL. */
void *brg__table_get(const brg__table *table, uint64_t key);

/* Whether one more fits without growing: at most 3/4 full. */
bool brg__table_has_room(const brg__table *table);

/* Moves everything into `slots`, `capacity` of them, zeroed, a power of two; returns the old ones for the caller to
 * free. */
brg__table_slot *brg__table_rehash(brg__table *table, brg__table_slot *slots, size_t capacity);

/* Stores `value`, which is not NULL, under a key that is not there. There must be room. */
void brg__table_put(brg__table *table, uint64_t key, void *value);

/* Removes and returns the value under `key`; NULL when it is not there. */
void *brg__table_remove(brg__table *table, uint64_t key);

#endif
