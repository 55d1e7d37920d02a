/* SPDX-License-Identifier: MIT */
#include "result.h"

#define RESULT_AHEAD 8 /* entries whose place is fetched before they are added */

bool analyze_result_init(analyze_result *result, const analyze_plan *plan)
{
    memset(result, 0, sizeof(*result));
    result->plan = plan;
    analyze_rows_init(&result->rows, plan);
    result->problems = calloc(RESULT_PROBLEMS_MAX, sizeof(*result->problems));
    if (result->problems != NULL && analyze_groups_init(&result->groups, plan->value_count) &&
        analyze_tallies_init(&result->tallies))
        return true;
    analyze_result_done(result);
    return false;
}

void analyze_result_done(analyze_result *result)
{
    analyze_groups_done(&result->groups);
    analyze_tallies_done(&result->tallies);
    analyze_rows_done(&result->rows);
    for (size_t i = 0; i < result->value_run_count; i++)
        free(result->runs[i].entries);
    result->value_run_count = 0;
    free(result->problems);
    result->problems = NULL;
}

bool analyze_partial_read(pack_reader *reader, analyze_partial *partial)
{
    pack_get(reader, partial, sizeof(*partial));
    return !reader->failed;
}

static void result_problems(analyze_result *result, uint64_t count, pack_reader *reader)
{
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        result_problem problem = {.line = result->lines + pack_get_u64(reader) + 1, .input = result->input};
        problem.offset = pack_get_u64(reader);
        problem.problem = pack_get_u32(reader) % PROBLEM_COUNT;
        problem.number = pack_get_u64(reader);
        const char *text = pack_get_text(reader, &problem.size);
        if (problem.size > sizeof(problem.text))
            problem.size = sizeof(problem.text);
        if (problem.size != 0)
            memcpy(problem.text, text, problem.size);
        if (!reader->failed && result->problem_count < result->plan->malformed_max &&
            result->problem_count < RESULT_PROBLEMS_MAX)
            result->problems[result->problem_count++] = problem;
    }
}

/* Entry `index`, its owner as the result counts groups; false where there is no such group. */
static bool result_entry(const analyze_result *result, const uint32_t *indexes, uint64_t group_count,
                         const char *packed, uint64_t index, tally_entry *entry)
{
    uint32_t per_group = result->plan->tally_count;
    memcpy(entry, packed + index * sizeof(*entry), sizeof(*entry));
    if (per_group == 0 || entry->owner / per_group >= group_count)
        return false;
    entry->owner = indexes[entry->owner / per_group] * per_group + entry->owner % per_group;
    return true;
}

static result_outcome result_tallies(analyze_result *result, const uint32_t *indexes, uint64_t group_count,
                                     pack_reader *reader)
{
    tally_entry entry;
    uint64_t in_table = pack_get_u64(reader), count = in_table + pack_get_u64(reader);
    if (reader->failed || in_table > count || count > (uint64_t)(reader->end - reader->at) / sizeof(entry))
        return RESULT_FALSE;
    const char *packed = pack_take(reader, (size_t)count * sizeof(entry));
    for (uint64_t i = 0; i < count; i++) {
        /* What a worker had to list is hardly here: it is not looked for. */
        if (i >= in_table) {
            if (!result_entry(result, indexes, group_count, packed, i, &entry))
                return RESULT_FALSE;
            if (!analyze_tallies_list(&result->tallies, &entry))
                return RESULT_NO_MEMORY;
            continue;
        }
        if (i + RESULT_AHEAD < count && result_entry(result, indexes, group_count, packed, i + RESULT_AHEAD, &entry))
            analyze_tallies_prefetch(&result->tallies, entry.owner, entry.value);
        if (!result_entry(result, indexes, group_count, packed, i, &entry))
            return RESULT_FALSE;
        if (!analyze_tallies_add(&result->tallies, entry.owner, entry.value, entry.count))
            return RESULT_NO_MEMORY;
    }
    return analyze_result_check_tallies(result);
}

static result_outcome result_groups(analyze_result *result, pack_reader *reader, uint32_t *indexes, uint64_t count)
{
    size_t cell_count = result->groups.cell_count;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t key_size;
        const char *key = pack_get_text(reader, &key_size);
        uint64_t rows = pack_get_u64(reader);
        const char *cells = pack_take(reader, cell_count * sizeof(group_cell));
        if (cells == NULL)
            return RESULT_FALSE;
        size_t index = analyze_groups_find(&result->groups, key, key_size);
        if (index == SIZE_MAX)
            return RESULT_NO_MEMORY;
        if (result->groups.count > result->groups_max)
            return RESULT_GROUPS_MAX;
        indexes[i] = (uint32_t)index;
        result->groups.list[index].rows += rows;
        for (size_t j = 0; j < cell_count; j++) {
            group_cell cell;
            memcpy(&cell, cells + j * sizeof(cell), sizeof(cell));
            analyze_cell_merge(&result->groups.cells[index * cell_count + j], &cell);
        }
    }
    return result_tallies(result, indexes, count, reader);
}

static bool result_split(const analyze_plan *plan, const char *record, uint32_t size, analyze_field *fields)
{
    pack_reader reader = {.at = record, .end = record + size};
    for (uint32_t i = 0; i < plan->select_count + plan->sort_count; i++) {
        fields[i].text = pack_get_text(&reader, &fields[i].size);
        fields[i].escaped = false;
    }
    return !reader.failed;
}

static result_outcome result_run(analyze_result *result, pack_reader *reader)
{
    uint64_t size = pack_get_u64(reader);
    const char *records = pack_take(reader, (size_t)size);
    if (records == NULL || result->run == NULL)
        return RESULT_FALSE;
    return result->run(records, (size_t)size, result->user_data) ? RESULT_OK : RESULT_RUN;
}

static result_outcome result_rows(analyze_result *result, pack_reader *reader)
{
    uint64_t count = pack_get_u64(reader);
    for (uint64_t i = 0; i < count; i++) {
        analyze_field fields[2 * ANALYZE_SLOTS_MAX];
        uint32_t size;
        uint64_t order = result->before + pack_get_u64(reader);
        const char *record = pack_get_text(reader, &size);
        if (record == NULL || !result_split(result->plan, record, size, fields))
            return RESULT_FALSE;
        if (result->row == NULL) {
            if (!analyze_rows_add(&result->rows, fields, order))
                return RESULT_NO_MEMORY;
        } else if (result->rows_given < result->plan->limit) {
            result->rows_given++;
            result->row(record, size, result->user_data);
        }
    }
    bool full = result->row != NULL ? result->rows_given >= result->plan->limit : analyze_rows_full(&result->rows);
    return full ? RESULT_FULL : RESULT_OK;
}

result_outcome analyze_result_merge(analyze_result *result, const analyze_partial *partial, pack_reader *reader)
{
    result_problems(result, partial->problem_count, reader);
    result->row_count += partial->row_count;
    result->matched += partial->matched;
    result->malformed += partial->malformed;
    result->lines += partial->lines;
    if (result->plan->sorted)
        return result_run(result, reader);
    if (result->plan->rows)
        return result_rows(result, reader);
    uint64_t count = pack_get_u64(reader);
    if (reader->failed || count > (uint64_t)(reader->end - reader->at))
        return RESULT_FALSE;
    uint32_t *indexes = malloc((size_t)count * sizeof(*indexes) + 1);
    if (indexes == NULL)
        return RESULT_NO_MEMORY;
    result_outcome outcome = result_groups(result, reader, indexes, count);
    free(indexes);
    return reader->failed ? RESULT_FALSE : outcome;
}
