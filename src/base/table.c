/* SPDX-License-Identifier: MIT */
#include "base/table.h"

/* Fibonacci hashing (Knuth, TAOCP 6.4): keys are counters, so the multiplication spreads them. */
static size_t table_home(const brg__table *table, uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (table->capacity - 1);
}

static size_t table_find(const brg__table *table, uint64_t key)
{
    size_t at = table_home(table, key);
    while (table->slots[at].value != NULL && table->slots[at].key != key)
        at = (at + 1) & (table->capacity - 1);
    return at;
}

void *brg__table_get(const brg__table *table, uint64_t key)
{
    return table->capacity == 0 ? NULL : table->slots[table_find(table, key)].value;
}

bool brg__table_has_room(const brg__table *table) { return (table->count + 1) * 4 <= table->capacity * 3; }

brg__table_slot *brg__table_rehash(brg__table *table, brg__table_slot *slots, size_t capacity)
{
    brg__table old = *table;
    table->slots = slots;
    table->capacity = capacity;
    table->count = 0;
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value != NULL)
            brg__table_put(table, old.slots[i].key, old.slots[i].value);
    return old.slots;
}

void brg__table_put(brg__table *table, uint64_t key, void *value)
{
    table->slots[table_find(table, key)] = (brg__table_slot){.key = key, .value = value};
    table->count++;
}

void *brg__table_remove(brg__table *table, uint64_t key)
{
    if (table->capacity == 0)
        return NULL;
    size_t mask = table->capacity - 1, hole = table_find(table, key);
    void *value = table->slots[hole].value;
    if (value == NULL)
        return NULL;
    for (size_t at = (hole + 1) & mask; table->slots[at].value != NULL; at = (at + 1) & mask) {
        size_t home = table_home(table, table->slots[at].key);
        if (((at - home) & mask) >= ((at - hole) & mask)) { /* the hole lies between its home and it */
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].value = NULL;
    table->count--;
    return value;
}
