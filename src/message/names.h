/* SPDX-License-Identifier: MIT */
/* Registries of names: from a text to the object that embeds a brg__name. The caller has the lock. */
#ifndef BRG_MESSAGE_NAMES_H
#define BRG_MESSAGE_NAMES_H

#include <brigade/status.h>

#include "base/table.h"

#define BRG__NAME_MAX 255 /* bytes of UTF-8, at least 1 */

typedef struct brg__name {
    struct brg__name *next_same; /* another name with the same hash */
    uint64_t hash;
    size_t size;
    const char *text; /* terminated; inside the object */
} brg__name;

typedef struct brg__names {
    brg__table table; /* by hash */
} brg__names;

/* Whether it can be a name: BRG_INVALID, saying what is wrong with this `what`. */
brg_status brg__name_check(const char *text, size_t size, const char *what, brg_error *error);

brg__name *brg__names_find(const brg__names *names, const char *text, size_t size);
/* `name` with text and size set, not in the registry yet. BRG_NO_MEMORY. */
brg_status brg__names_add(brg__names *names, brg__name *name);
/* The last one gives the registry's memory back. */
void brg__names_remove(brg__names *names, brg__name *name);

/* The table grown for one more, for others who keep one. BRG_NO_MEMORY. */
brg_status brg__table_reserve(brg__table *table);

#endif
