/* SPDX-License-Identifier: MIT */
/* Tallies of the whole input: values that came more often than once put together, and what is read from them. */
#include "result.h"

#include <math.h>

#define TALLIES_SORT_LEAST ((size_t)512 << 10) /* entries that are sorted at a time */

/* ---- sorting ----------------------------------------------------------------------------------------------------- */

static int tallies_compare(const void *a, const void *b)
{
    const tally_entry *first = a, *second = b;
    if (first->owner != second->owner)
        return first->owner < second->owner ? -1 : 1;
    return (first->value > second->value) - (first->value < second->value);
}

#define TALLIES_BYTES (sizeof(uint64_t) + sizeof(uint32_t))

typedef struct tallies_places {
    size_t of[TALLIES_BYTES][256];
} tallies_places;

/* How often each byte comes at each place, in one go. */
static void tallies_count(const tally_entry *entries, size_t count, tallies_places *places)
{
    memset(places, 0, sizeof(*places));
    for (size_t i = 0; i < count; i++) {
        uint64_t value = entries[i].value;
        uint32_t owner = entries[i].owner;
        for (unsigned byte = 0; byte < 8; byte++)
            places->of[byte][value >> (8 * byte) & 0xff]++;
        for (unsigned byte = 0; byte < 4; byte++)
            places->of[8 + byte][owner >> (8 * byte) & 0xff]++;
    }
}

/* By one byte, keeping the order of equals. False: all have the same one. */
static bool tallies_radix_pass(const tally_entry *from, tally_entry *to, size_t count, unsigned byte, size_t *places)
{
    size_t at = 0;
    for (size_t i = 0; i < 256; i++) {
        if (places[i] == count)
            return false;
        size_t size = places[i];
        places[i] = at;
        at += size;
    }
    if (byte < 8)
        for (size_t i = 0; i < count; i++)
            to[places[from[i].value >> (8 * byte) & 0xff]++] = from[i];
    else
        for (size_t i = 0; i < count; i++)
            to[places[from[i].owner >> (8 * (byte - 8)) & 0xff]++] = from[i];
    return true;
}

/* Byte by byte from the last (Knuth, TAOCP volume 3, 5.2.5); with comparisons where there is no memory for that. */
static void tallies_sort(tally_entry *entries, size_t count)
{
    tally_entry *from = entries, *to = malloc(count * sizeof(*to) + 1), *scratch = to;
    if (scratch == NULL) {
        qsort(entries, count, sizeof(*entries), tallies_compare);
        return;
    }
    tallies_places places;
    tallies_count(entries, count, &places);
    for (unsigned byte = 0; byte < TALLIES_BYTES; byte++)
        if (tallies_radix_pass(from, to, count, byte, places.of[byte])) {
            tally_entry *other = from;
            from = to;
            to = other;
        }
    if (from != entries)
        memcpy(entries, from, count * sizeof(*entries));
    free(scratch);
}

/* Equal ones into one; how many are left. */
static size_t tallies_unite(tally_entry *entries, size_t count)
{
    size_t to = 0;
    for (size_t i = 0; i < count; i++)
        if (to != 0 && tallies_compare(&entries[to - 1], &entries[i]) == 0)
            entries[to - 1].count += entries[i].count;
        else
            entries[to++] = entries[i];
    return to;
}

/* Two sorted lists into `out`, which has room for both; how many it is. */
static size_t tallies_join(const tally_entry *a, size_t a_count, const tally_entry *b, size_t b_count, tally_entry *out)
{
    size_t i = 0, j = 0, to = 0;
    while (i < a_count && j < b_count) {
        int order = tallies_compare(&a[i], &b[j]);
        out[to] = order <= 0 ? a[i++] : b[j++];
        if (order == 0)
            out[to].count += b[j++].count;
        to++;
    }
    memcpy(out + to, a + i, (a_count - i) * sizeof(*out));
    to += a_count - i;
    memcpy(out + to, b + j, (b_count - j) * sizeof(*out));
    return to + (b_count - j);
}

size_t analyze_tallies_sort(tally_entry *entries, size_t count)
{
    tallies_sort(entries, count);
    return tallies_unite(entries, count);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* The last two runs into one. */
static bool tallies_join_last(analyze_result *result)
{
    value_run *first = &result->runs[result->value_run_count - 2], *second = first + 1;
    tally_entry *joined = malloc((first->count + second->count) * sizeof(*joined) + 1);
    if (joined == NULL)
        return false;
    first->count = tallies_join(first->entries, first->count, second->entries, second->count, joined);
    free(first->entries);
    free(second->entries);
    first->entries = joined;
    result->value_run_count--;
    return true;
}

/* Of two runs the later is less than half as long: so there are few, and an entry is joined a few times only. */
result_outcome analyze_result_add_run(analyze_result *result, const void *entries, size_t count)
{
    value_run run = {malloc(count * sizeof(tally_entry) + 1), count};
    if (run.entries == NULL || result->value_run_count == RESULT_RUNS_MAX) {
        free(run.entries);
        return RESULT_NO_MEMORY;
    }
    memcpy(run.entries, entries, count * sizeof(tally_entry));
    result->runs[result->value_run_count++] = run;
    while (result->value_run_count > 1 &&
           result->runs[result->value_run_count - 2].count / 2 <= result->runs[result->value_run_count - 1].count)
        if (!tallies_join_last(result))
            return RESULT_NO_MEMORY;
    return result->runs[0].count > result->values_max ? RESULT_VALUES_MAX : RESULT_OK;
}

result_outcome analyze_result_check_tallies(analyze_result *result)
{
    tally_table *tallies = &result->tallies;
    if (tallies->count > result->values_max)
        return RESULT_VALUES_MAX;
    if (tallies->list_count < TALLIES_SORT_LEAST)
        return RESULT_OK;
    size_t count = tallies->list_count;
    tallies->list_count = 0;
    if (result->values != NULL)
        return result->values(tallies->list, count, result->user_data) ? RESULT_OK : RESULT_RUN;
    return analyze_result_add_run(result, tallies->list, analyze_tallies_sort(tallies->list, count));
}

result_outcome analyze_result_sort_tallies(analyze_result *result)
{
    tally_table *tallies = &result->tallies;
    for (size_t i = 0; i < tallies->capacity; i++)
        if (tallies->entries[i].count != 0 && !analyze_tallies_list(tallies, &tallies->entries[i]))
            return RESULT_NO_MEMORY;
    analyze_tallies_empty(tallies);
    size_t count = tallies->list_count == 0 ? 0 : analyze_tallies_sort(tallies->list, tallies->list_count);
    if (result->value_run_count == RESULT_RUNS_MAX)
        return RESULT_NO_MEMORY;
    if (count != 0) {
        result->runs[result->value_run_count++] = (value_run){tallies->list, count};
        tallies->list = NULL;
        tallies->list_count = tallies->list_capacity = 0;
    }
    while (result->value_run_count > 1)
        if (!tallies_join_last(result))
            return RESULT_NO_MEMORY;
    return result->runs[0].count > result->values_max ? RESULT_VALUES_MAX : RESULT_OK;
}

/* ---- percentiles ------------------------------------------------------------------------------------------------- */

/* The first entry of an owner that is not below `owner`. */
static size_t tallies_bound(const value_run *run, uint64_t owner)
{
    size_t low = 0, high = run->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (run->entries[middle].owner < owner)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const tally_entry *analyze_result_tally(const analyze_result *result, uint32_t owner, size_t *count)
{
    size_t first = tallies_bound(&result->runs[0], owner);
    *count = tallies_bound(&result->runs[0], (uint64_t)owner + 1) - first;
    return *count == 0 ? NULL : &result->runs[0].entries[first];
}

static double tallies_at(const tally_entry *entries, size_t count, bool sketch, uint64_t rank)
{
    for (size_t i = 0; i < count; i++) {
        if (rank < entries[i].count)
            return analyze_number_of_word(entries[i].value, sketch);
        rank -= entries[i].count;
    }
    return analyze_number_of_word(entries[count - 1].value, sketch);
}

double analyze_percentile(const tally_entry *entries, size_t count, bool sketch, double percent)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += entries[i].count;
    double rank = percent / 100 * (double)(total - 1), whole = floor(rank);
    double low = tallies_at(entries, count, sketch, (uint64_t)whole);
    if (rank == whole)
        return low;
    double high = tallies_at(entries, count, sketch, (uint64_t)whole + 1);
    double part = rank - whole, between = low + (high - low) * part;
    if (!isfinite(high - low)) /* one is below 0, the other above: nothing overflows here */
        between = low * (1 - part) + high * part;
    return between < high ? between : high;
}
