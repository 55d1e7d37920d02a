/* SPDX-License-Identifier: MIT */
#include "groups.h"

#define GROUPS_FIRST 1024
#define TALLIES_FIRST 4096
#define TALLIES_LOOKS 4096u

static const uint64_t hash_a = UINT64_C(0xa0761d6478bd642f), hash_b = UINT64_C(0xe7037ed1a0b428db);

static inline uint64_t hash_u32(const char *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

/* At most 8 bytes, each of them in the word. */
static inline uint64_t hash_word(const char *data, size_t size)
{
    if (size >= 4)
        return hash_u32(data) << 32 | hash_u32(data + size - 4);
    if (size == 0)
        return 0;
    return (uint64_t)(unsigned char)data[0] << 16 | (uint64_t)(unsigned char)data[size / 2] << 8 |
           (unsigned char)data[size - 1];
}

uint64_t analyze_hash(const char *data, size_t size)
{
    uint64_t hash = hash_a ^ size;
    size_t left = size;
    for (; left > 8; left -= 8, data += 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        hash = analyze_mix(hash ^ word, hash_b);
    }
    return analyze_mix(hash ^ hash_word(data, left), hash_b) ^ analyze_mix(hash, hash_a);
}

/* ---- sums ------------------------------------------------------------------------------------------------------ */

void analyze_cell_over(group_cell *cell, double over)
{
    double error = 0;
    cell->over = group_two_sum(cell->over, over, &error);
    cell->error += error * 0x1p64;
}

/* TwoSum itself can overflow where a summand is the greatest of all doubles; its error says nothing then. */
static double cell_error(const group_cell *cell) { return isfinite(cell->error) ? cell->error : 0; }

/* Times 2^-64. */
static double cell_scaled(const group_cell *cell)
{
    double error = 0, sum = group_two_sum(cell->over, cell->sum * 0x1p-64, &error);
    return sum + (error + cell_error(cell) * 0x1p-64);
}

double analyze_cell_sum(const group_cell *cell)
{
    if (cell->over == 0)
        return cell->sum + cell_error(cell);
    double error = 0, sum = group_two_sum(cell->over, cell->sum * 0x1p-64, &error);
    /* It may be small again: less is lost than if it were scaled as a whole. */
    return sum * 0x1p64 + (error * 0x1p64 + cell_error(cell));
}

double analyze_cell_mean(const group_cell *cell)
{
    double sum = analyze_cell_sum(cell);
    if (isfinite(sum))
        return sum / (double)cell->count;
    double mean = cell_scaled(cell) / (double)cell->count * 0x1p64;
    return mean < cell->low ? cell->low : mean > cell->high ? cell->high : mean;
}

void analyze_cell_merge(group_cell *cell, const group_cell *other)
{
    if (other->count == 0)
        return;
    if (cell->count == 0) {
        *cell = *other;
        return;
    }
    cell->count += other->count;
    cell->low = other->low < cell->low ? other->low : cell->low;
    cell->high = other->high > cell->high ? other->high : cell->high;
    group_sum(cell, other->sum);
    cell->error += other->error;
    if (other->over != 0)
        analyze_cell_over(cell, other->over);
}

/* ---- groups ---------------------------------------------------------------------------------------------------- */

bool analyze_groups_init(group_table *groups, size_t cell_count)
{
    memset(groups, 0, sizeof(*groups));
    groups->cell_count = cell_count;
    groups->slot_count = GROUPS_FIRST;
    groups->slots = calloc(groups->slot_count, sizeof(*groups->slots));
    return groups->slots != NULL;
}

void analyze_groups_done(group_table *groups)
{
    free(groups->list);
    free(groups->cells);
    free(groups->slots);
    arena_done(&groups->keys);
    memset(groups, 0, sizeof(*groups));
}

void analyze_groups_clear(group_table *groups)
{
    memset(groups->slots, 0, groups->slot_count * sizeof(*groups->slots));
    groups->count = 0;
    arena_clear(&groups->keys);
}

static bool groups_grow_slots(group_table *groups)
{
    size_t slot_count = groups->slot_count == 0 ? GROUPS_FIRST : groups->slot_count * 4;
    uint64_t *slots = calloc(slot_count, sizeof(*slots));
    if (slots == NULL)
        return false;
    for (size_t i = 0; i < groups->count; i++) {
        const group_head *group = &groups->list[i];
        size_t at = analyze_hash(group->key, group->key_size) & (slot_count - 1);
        while (slots[at] != 0)
            at = (at + 1) & (slot_count - 1);
        slots[at] = (uint64_t)group->hash << 32 | (i + 1);
    }
    free(groups->slots);
    groups->slots = slots;
    groups->slot_count = slot_count;
    return true;
}

static bool groups_grow(group_table *groups)
{
    size_t capacity = groups->capacity == 0 ? 64 : groups->capacity * 2;
    group_head *list = realloc(groups->list, capacity * sizeof(*list));
    if (list == NULL)
        return false;
    groups->list = list;
    group_cell *cells = realloc(groups->cells, capacity * groups->cell_count * sizeof(*cells) + 1);
    if (cells == NULL)
        return false;
    groups->cells = cells;
    groups->capacity = capacity;
    return true;
}

static size_t groups_make(group_table *groups, const char *key, uint32_t key_size, uint64_t hash)
{
    if ((groups->count == groups->capacity && !groups_grow(groups)) ||
        (groups->count * 2 >= groups->slot_count && !groups_grow_slots(groups)))
        return SIZE_MAX;
    char *copy = arena_take(&groups->keys, key_size);
    if (copy == NULL)
        return SIZE_MAX;
    if (key_size != 0)
        memcpy(copy, key, key_size);
    size_t index = groups->count++, at = hash & (groups->slot_count - 1);
    while (groups->slots[at] != 0)
        at = (at + 1) & (groups->slot_count - 1);
    groups->slots[at] = hash >> 32 << 32 | (index + 1);
    groups->list[index] = (group_head){copy, key_size, (uint32_t)(hash >> 32), 0};
    if (groups->cell_count != 0)
        memset(&groups->cells[index * groups->cell_count], 0, groups->cell_count * sizeof(group_cell));
    return index;
}

size_t analyze_groups_find(group_table *groups, const char *key, uint32_t key_size)
{
    uint64_t hash = analyze_hash(key, key_size);
    for (size_t at = hash & (groups->slot_count - 1);; at = (at + 1) & (groups->slot_count - 1)) {
        uint64_t slot = groups->slots[at];
        if (slot == 0)
            return groups_make(groups, key, key_size, hash);
        if ((slot ^ hash) >> 32 != 0)
            continue;
        size_t index = (uint32_t)slot - 1u;
        const group_head *group = &groups->list[index];
        if (group->key_size == key_size && memcmp(group->key, key, key_size) == 0)
            return index;
    }
}

/* ---- tallies --------------------------------------------------------------------------------------------------- */

bool analyze_tallies_init(tally_table *tallies)
{
    *tallies = (tally_table){.count = 0};
    tallies->capacity = TALLIES_FIRST;
    tallies->entries = calloc(tallies->capacity, sizeof(*tallies->entries));
    return tallies->entries != NULL;
}

void analyze_tallies_done(tally_table *tallies)
{
    free(tallies->entries);
    free(tallies->list);
    tallies->entries = tallies->list = NULL;
}

void analyze_tallies_empty(tally_table *tallies)
{
    if (tallies->count != 0)
        memset(tallies->entries, 0, tallies->capacity * sizeof(*tallies->entries));
    tallies->count = 0;
    tallies->looked = tallies->missed = 0;
    tallies->is_useless = false;
}

void analyze_tallies_clear(tally_table *tallies)
{
    analyze_tallies_empty(tallies);
    tallies->list_count = 0;
}

static inline size_t tallies_hash(const tally_table *tallies, uint32_t owner, uint64_t value)
{
    return analyze_mix(value ^ hash_a, ((uint64_t)owner << 1) ^ hash_b) & (tallies->capacity - 1);
}

void analyze_tallies_prefetch(const tally_table *tallies, uint32_t owner, uint64_t value)
{
    __builtin_prefetch(&tallies->entries[tallies_hash(tallies, owner, value)], 1);
}

static inline size_t tallies_place(const tally_table *tallies, uint32_t owner, uint64_t value)
{
    size_t at = tallies_hash(tallies, owner, value);
    while (tallies->entries[at].count != 0 &&
           (tallies->entries[at].value != value || tallies->entries[at].owner != owner))
        at = (at + 1) & (tallies->capacity - 1);
    return at;
}

static bool tallies_grow(tally_table *tallies)
{
    tally_table larger = *tallies;
    larger.capacity = tallies->capacity * 2;
    larger.entries = calloc(larger.capacity, sizeof(*larger.entries));
    if (larger.entries == NULL)
        return false;
    for (size_t i = 0; i < tallies->capacity; i++)
        if (tallies->entries[i].count != 0)
            larger.entries[tallies_place(&larger, tallies->entries[i].owner, tallies->entries[i].value)] =
                tallies->entries[i];
    free(tallies->entries);
    *tallies = larger;
    return true;
}

bool analyze_tallies_list(tally_table *tallies, const tally_entry *entry)
{
    if (tallies->list_count == tallies->list_capacity) {
        size_t capacity = tallies->list_capacity == 0 ? TALLIES_FIRST : tallies->list_capacity * 2;
        tally_entry *list = realloc(tallies->list, capacity * sizeof(*list));
        if (list == NULL)
            return false;
        tallies->list = list;
        tallies->list_capacity = capacity;
    }
    tallies->list[tallies->list_count++] = *entry;
    return true;
}

/* The table is full, and looking into it may not be worth while. */
static void tallies_judge(tally_table *tallies, bool missed)
{
    tallies->missed += missed;
    if (++tallies->looked < TALLIES_LOOKS)
        return;
    tallies->is_useless = tallies->missed > TALLIES_LOOKS / 4 * 3;
    tallies->looked = tallies->missed = 0;
}

bool analyze_tallies_add(tally_table *tallies, uint32_t owner, uint64_t value, uint64_t count)
{
    if (tallies->is_useless)
        return analyze_tallies_list(tallies, &(tally_entry){value, count, owner});
    size_t at = tallies_place(tallies, owner, value);
    if (tallies->count >= TALLIES_TABLE_MAX)
        tallies_judge(tallies, tallies->entries[at].count == 0);
    if (tallies->entries[at].count == 0) {
        if (tallies->count >= TALLIES_TABLE_MAX)
            return analyze_tallies_list(tallies, &(tally_entry){value, count, owner});
        if (tallies->count * 2 >= tallies->capacity) {
            if (!tallies_grow(tallies))
                return false;
            at = tallies_place(tallies, owner, value);
        }
        tallies->count++;
        tallies->entries[at].value = value;
        tallies->entries[at].owner = owner;
    }
    tallies->entries[at].count += count;
    return true;
}

double analyze_number_of_word(uint64_t word, bool sketch)
{
    uint64_t bits = word >> 63 != 0 ? word & ~(UINT64_C(1) << 63) : ~word;
    if (sketch && bits << 1 != 0)
        bits |= UINT64_C(1) << (ANALYZE_SKETCH_BITS - 1);
    double number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}
