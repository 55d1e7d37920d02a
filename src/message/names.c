/* SPDX-License-Identifier: MIT */
#include "message/names.h"

#include <string.h>

#include "message/utf8.h"
#include "os/memory.h"

#define NAMES_TABLE_MIN 16

brg_status brg__name_check(const char *text, size_t size, const char *what, brg_error *error)
{
    if (size == 0 || size > BRG__NAME_MAX)
        return brg_error_set(error, BRG_INVALID, what, "a name has 1 to %d bytes, not %zu", BRG__NAME_MAX, size);
    if (memchr(text, 0, size) != NULL || !brg__utf8_check(text, size))
        return brg_error_set(error, BRG_INVALID, what, "the name is not UTF-8 text");
    return BRG_OK;
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo). */
static uint64_t names_hash(const char *text, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

brg__name *brg__names_find(const brg__names *names, const char *text, size_t size)
{
    brg__name *name = brg__table_get(&names->table, names_hash(text, size));
    while (name != NULL && (name->size != size || memcmp(name->text, text, size) != 0))
        name = name->next_same;
    return name;
}

brg_status brg__table_reserve(brg__table *table)
{
    if (brg__table_has_room(table))
        return BRG_OK;
    size_t capacity = table->capacity == 0 ? NAMES_TABLE_MIN : table->capacity * 2;
    brg__table_slot *slots = brg__calloc(capacity, sizeof(*slots));
    if (slots == NULL)
        return BRG_NO_MEMORY;
    brg__mfree(brg__table_rehash(table, slots, capacity));
    return BRG_OK;
}

brg_status brg__names_add(brg__names *names, brg__name *name)
{
    if (brg__table_reserve(&names->table) != BRG_OK)
        return BRG_NO_MEMORY;
    name->hash = names_hash(name->text, name->size);
    name->next_same = brg__table_remove(&names->table, name->hash);
    brg__table_put(&names->table, name->hash, name);
    return BRG_OK;
}

void brg__names_remove(brg__names *names, brg__name *name)
{
    brg__name *first = brg__table_remove(&names->table, name->hash);
    brg__name **at = &first;
    while (*at != name)
        at = &(*at)->next_same;
    *at = name->next_same;
    if (first != NULL)
        brg__table_put(&names->table, name->hash, first);
    if (names->table.count == 0) {
        brg__mfree(names->table.slots);
        names->table = (brg__table){0};
    }
}
