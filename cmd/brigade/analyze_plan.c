/* SPDX-License-Identifier: MIT */
/* From names to numbers: which columns the workers have to look at, and what they do with them. */
#include <stdlib.h>
#include <string.h>

#include "analyze.h"

#define PLAN_NAMES_SHOWN 12
#define PLAN_HEAP_ROWS 10000

void analyze_free_header(analyze_header *header)
{
    for (uint32_t i = 0; i < header->count; i++)
        free(header->names[i]);
    free(header->names);
    free(header->sizes);
    *header = (analyze_header){.names = NULL};
}

static uint32_t plan_no_column(const analyze_header *header, const char *option, const char *name, uint32_t size)
{
    char list[512] = "";
    for (uint32_t i = 0; i < header->count && i < PLAN_NAMES_SHOWN; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, "%s%.40s", i == 0 ? "" : ", ", header->names[i]);
    }
    cli_complain("analyze", "--%s: there is no column \"%.*s\"; there are: %s%s", option, (int)size, name, list,
                 header->count > PLAN_NAMES_SHOWN ? ", ..." : "");
    return UINT32_MAX;
}

/* By name, or "$N" by number. */
static uint32_t plan_column(const analyze_header *header, const char *option, const char *name, uint32_t size)
{
    for (uint32_t i = 0; i < header->count; i++)
        if (header->sizes[i] == size && memcmp(header->names[i], name, size) == 0)
            return i;
    if (size > 1 && size < 8 && name[0] == '$' && strspn(name + 1, "0123456789") >= size - 1) {
        unsigned long number = strtoul(name + 1, NULL, 10);
        if (number >= 1 && number <= header->count)
            return (uint32_t)number - 1;
    }
    return plan_no_column(header, option, name, size);
}

uint32_t analyze_slot_of(analyze_plan *plan, const analyze_header *header, const char *option, const char *name,
                         uint32_t size)
{
    uint32_t column = 0;
    if (plan->format == ANALYZE_CSV && (column = plan_column(header, option, name, size)) == UINT32_MAX)
        return UINT32_MAX;
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        const analyze_slot *slot = &plan->slots[i];
        if (plan->format == ANALYZE_CSV ? slot->column == column
                                        : slot->path_size == size && memcmp(slot->path, name, size) == 0)
            return i;
    }
    if (plan->slot_count == ANALYZE_SLOTS_MAX) {
        cli_complain("analyze", "at most %d columns can be used at a time", ANALYZE_SLOTS_MAX);
        return UINT32_MAX;
    }
    char *path = strndup(name, size);
    if (path == NULL) {
        cli_complain_memory("analyze", NULL);
        return UINT32_MAX;
    }
    plan->slots[plan->slot_count] = (analyze_slot){.column = column, .path = path, .path_size = size};
    return plan->slot_count++;
}

static uint32_t plan_slot(analyze_plan *plan, const analyze_header *header, const char *option, const char *name)
{
    return analyze_slot_of(plan, header, option, name, (uint32_t)strlen(name));
}

/* Which of plan->values this slot is. */
static uint32_t plan_value(analyze_plan *plan, uint32_t slot)
{
    for (uint32_t i = 0; i < plan->value_count; i++)
        if (plan->values[i] == slot)
            return i;
    plan->values[plan->value_count] = slot;
    return plan->value_count++;
}

static uint32_t plan_tally(analyze_plan *plan, analyze_tally_kind kind, uint32_t of)
{
    for (uint32_t i = 0; i < plan->tally_count; i++)
        if (plan->tallies[i].kind == kind && plan->tallies[i].of == of)
            return i;
    plan->tallies[plan->tally_count] = (analyze_tally){kind, of};
    return plan->tally_count++;
}

static bool plan_measures(analyze_options *options, const analyze_header *header, analyze_plan *plan)
{
    static const char *const names[] = {"count", "sum", "mean", "min", "max", "percentile", "distinct"};
    for (uint32_t i = 0; i < options->measure_count; i++) {
        analyze_measure *measure = &options->measures[i];
        if (measure->kind == MEASURE_COUNT)
            continue;
        uint32_t slot = plan_slot(plan, header, names[measure->kind], measure->column);
        if (slot == UINT32_MAX)
            return false;
        if (measure->kind == MEASURE_DISTINCT)
            measure->index = plan_tally(plan, ANALYZE_DISTINCT, slot);
        else if (measure->kind == MEASURE_PERCENTILE)
            measure->index = plan_tally(plan, options->exact ? ANALYZE_EXACT : ANALYZE_SKETCH, plan_value(plan, slot));
        else
            measure->index = plan_value(plan, slot);
    }
    return true;
}

static bool plan_rows(analyze_options *options, const analyze_header *header, analyze_plan *plan)
{
    plan->rows = true;
    plan->limit = options->has_limit ? options->limit : UINT64_MAX;
    if (options->select_count == 0 && plan->format == ANALYZE_NDJSON)
        return cli_complain("analyze", "rows of NDJSON need --select COLUMN,...");
    if (options->select_count == 0 && header->count > ANALYZE_SLOTS_MAX - ANALYZE_LIST_MAX)
        return cli_complain("analyze", "there are %u columns; --select at most %d of them", header->count,
                            ANALYZE_LIST_MAX);
    uint32_t count = options->select_count != 0 ? options->select_count : header->count;
    for (uint32_t i = 0; i < count; i++) {
        /* Not by name where all are wanted: names may come twice. */
        char number[16];
        snprintf(number, sizeof(number), "$%u", i + 1);
        const char *name = options->select_count != 0 ? options->select[i] : number;
        uint32_t slot = plan_slot(plan, header, "select", name);
        if (slot == UINT32_MAX)
            return false;
        plan->select[plan->select_count++] = slot;
    }
    for (uint32_t i = 0; i < options->sort_count; i++) {
        uint32_t slot = plan_slot(plan, header, "sort", options->sort[i].column);
        if (slot == UINT32_MAX)
            return false;
        plan->sort[plan->sort_count++] = (analyze_sort){slot, options->sort[i].descending};
    }
    /* Few rows are kept in a heap; a table is in memory as a whole anyway. */
    plan->sorted = plan->sort_count != 0 && plan->limit > PLAN_HEAP_ROWS &&
                   analyze_print_format(options) != ANALYZE_PRINT_TABLE;
    return true;
}

/* What groups can be sorted by is known here already; the printing looks it up again. */
static bool plan_sort_of_groups(const analyze_options *options)
{
    for (uint32_t i = 0; i < options->sort_count; i++) {
        bool found = false;
        for (uint32_t j = 0; j < options->group_count; j++)
            found = found || strcmp(options->sort[i].column, options->groups[j]) == 0;
        for (uint32_t j = 0; j < options->measure_count; j++)
            found = found || strcmp(options->sort[i].column, options->measures[j].title) == 0;
        if (!found)
            return cli_complain("analyze",
                                "--sort: \"%s\" is no column of the result; there are its groups and, "
                                "for instance, \"%s\"",
                                options->sort[i].column, options->measures[0].title);
    }
    return true;
}

static bool plan_where(analyze_options *options, const analyze_header *header, analyze_plan *plan)
{
    uint32_t all = UINT32_MAX;
    for (uint32_t i = 0; i < options->where_count; i++) {
        uint32_t root;
        if (!analyze_parse_where(plan, header, options->where[i], &root))
            return false;
        if (all != UINT32_MAX) {
            if (plan->node_count == ANALYZE_NODES_MAX)
                return cli_complain("analyze", "--where: the filters are too long");
            plan->nodes[plan->node_count] = (analyze_node){.kind = ANALYZE_AND, .left = all, .right = root};
            root = plan->node_count++;
        }
        all = root;
    }
    return true;
}

bool analyze_make_plan(analyze_options *options, const analyze_header *header, analyze_plan *plan)
{
    plan->format = options->input;
    plan->delimiter = options->delimiter;
    plan->columns = header->count;
    plan->row_max = options->row_max;
    plan->malformed_max = (uint32_t)options->malformed;
    if (!plan_where(options, header, plan))
        return false;
    if (options->measure_count == 0)
        return plan_rows(options, header, plan);
    for (uint32_t i = 0; i < options->group_count; i++) {
        uint32_t slot = plan_slot(plan, header, "group-by", options->groups[i]);
        if (slot == UINT32_MAX)
            return false;
        plan->groups[plan->group_count++] = slot;
    }
    return plan_measures(options, header, plan) && plan_sort_of_groups(options);
}
