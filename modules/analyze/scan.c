/* SPDX-License-Identifier: MIT */
#include "scan.h"

#include "number.h"

bool analyze_scan_init(analyze_scan *scan, const analyze_plan *plan)
{
    memset(scan, 0, sizeof(*scan));
    scan->plan = plan;
    scan->sorted.plan = plan;
    analyze_rows_init(&scan->rows, plan);
    if (analyze_reader_init(&scan->reader, plan) && analyze_groups_init(&scan->groups, plan->value_count) &&
        analyze_tallies_init(&scan->tallies)) {
        analyze_cursor_init(&scan->cursor, &scan->reader);
        return true;
    }
    analyze_scan_done(scan);
    return false;
}

void analyze_scan_done(analyze_scan *scan)
{
    analyze_reader_done(&scan->reader);
    arena_done(&scan->cursor.texts);
    analyze_groups_done(&scan->groups);
    analyze_tallies_done(&scan->tallies);
    analyze_rows_done(&scan->rows);
    analyze_sorted_done(&scan->sorted);
    free(scan->problems.data);
    free(scan->key.data);
    scan->problems.data = scan->key.data = NULL;
}

void analyze_scan_clear(analyze_scan *scan)
{
    analyze_groups_clear(&scan->groups);
    analyze_tallies_clear(&scan->tallies);
    analyze_rows_clear(&scan->rows);
    analyze_sorted_clear(&scan->sorted);
    scan->row_count = scan->matched = scan->malformed = 0;
    scan->reader.lines = 0;
    scan->problems.size = scan->problem_count = 0;
    scan->problems.failed = scan->key.failed = scan->cursor.no_memory = scan->failed = false;
}

static void scan_problem(analyze_scan *scan, uint64_t base, analyze_problem problem, uint64_t number,
                         analyze_field excerpt)
{
    scan->malformed++;
    if (scan->problem_count >= scan->plan->malformed_max)
        return;
    scan->problem_count++;
    pack_put_u64(&scan->problems, scan->reader.row_line);
    pack_put_u64(&scan->problems, base + scan->reader.row);
    pack_put_u32(&scan->problems, problem);
    pack_put_u64(&scan->problems, number);
    pack_put_text(&scan->problems, excerpt.text, excerpt.size < SCAN_EXCERPT ? excerpt.size : SCAN_EXCERPT);
}

/* The beginning of the row's line, as far as it is there. */
static analyze_field scan_line(const analyze_scan *scan)
{
    const analyze_reader *reader = &scan->reader;
    size_t left = reader->size - reader->row;
    if (left > SCAN_EXCERPT)
        left = SCAN_EXCERPT;
    const char *text = reader->data + reader->row, *end = memchr(text, '\n', left);
    return (analyze_field){text, (uint32_t)(end != NULL ? (size_t)(end - text) : left), false};
}

static bool scan_numbers(analyze_scan *scan, uint32_t *slot)
{
    scan->present = 0;
    for (uint32_t i = 0; i < scan->plan->value_count; i++) {
        analyze_field text = analyze_cursor_text(&scan->cursor, scan->plan->values[i]);
        if (text.size == 0)
            continue;
        if (!analyze_number(text.text, text.size, &scan->numbers[i])) {
            *slot = scan->plan->values[i];
            return false;
        }
        scan->present |= UINT64_C(1) << i;
    }
    return true;
}

static size_t scan_group(analyze_scan *scan)
{
    const analyze_plan *plan = scan->plan;
    if (plan->group_count == 1) {
        analyze_field text = analyze_cursor_text(&scan->cursor, plan->groups[0]);
        return analyze_groups_find(&scan->groups, text.text, text.size);
    }
    scan->key.size = 0;
    for (uint32_t i = 0; i < plan->group_count; i++) {
        analyze_field text = analyze_cursor_text(&scan->cursor, plan->groups[i]);
        pack_put_text(&scan->key, text.text, text.size);
    }
    if (scan->key.failed)
        return SIZE_MAX;
    return analyze_groups_find(&scan->groups, scan->key.data != NULL ? scan->key.data : "", (uint32_t)scan->key.size);
}

static bool scan_tally(analyze_scan *scan, uint32_t owner, const analyze_tally *tally)
{
    uint64_t word;
    if (tally->kind == ANALYZE_DISTINCT) {
        analyze_field text = analyze_cursor_text(&scan->cursor, tally->of);
        if (text.size == 0)
            return true;
        word = analyze_hash(text.text, text.size);
    } else {
        if ((scan->present >> tally->of & 1) == 0)
            return true;
        double number = scan->numbers[tally->of];
        word = tally->kind == ANALYZE_SKETCH ? analyze_sketch_word(number) : analyze_order(number);
    }
    return analyze_tallies_add(&scan->tallies, owner, word, 1);
}

static bool scan_add_group(analyze_scan *scan)
{
    const analyze_plan *plan = scan->plan;
    size_t index = scan_group(scan);
    if (index == SIZE_MAX)
        return false;
    scan->groups.list[index].rows++;
    group_cell *cells = &scan->groups.cells[index * plan->value_count];
    for (uint32_t i = 0; i < plan->value_count; i++)
        if ((scan->present >> i & 1) != 0)
            group_add(&cells[i], scan->numbers[i]);
    for (uint32_t i = 0; i < plan->tally_count; i++)
        if (!scan_tally(scan, (uint32_t)(index * plan->tally_count + i), &plan->tallies[i]))
            return false;
    return true;
}

static bool scan_add_row(analyze_scan *scan, uint64_t base)
{
    const analyze_plan *plan = scan->plan;
    analyze_field fields[2 * ANALYZE_SLOTS_MAX];
    if (analyze_rows_full(&scan->rows))
        return true;
    for (uint32_t i = 0; i < plan->select_count; i++)
        fields[i] = analyze_cursor_text(&scan->cursor, plan->select[i]);
    for (uint32_t i = 0; i < plan->sort_count; i++)
        fields[plan->select_count + i] = analyze_cursor_text(&scan->cursor, plan->sort[i].slot);
    return plan->sorted ? analyze_sorted_add(&scan->sorted, fields)
                        : analyze_rows_add(&scan->rows, fields, base + scan->reader.row);
}

/* False without memory. */
static bool scan_row(analyze_scan *scan, uint64_t base)
{
    uint32_t slot = 0;
    analyze_cursor_next(&scan->cursor);
    int holds = analyze_filter(&scan->cursor, &slot);
    if (holds == 1 && !scan_numbers(scan, &slot))
        holds = -1;
    if (holds < 0) {
        scan_problem(scan, base, PROBLEM_NUMBER, slot, analyze_cursor_text(&scan->cursor, slot));
        return true;
    }
    scan->row_count++;
    if (holds == 0)
        return !scan->cursor.no_memory;
    scan->matched++;
    bool added = scan->plan->rows ? scan_add_row(scan, base) : scan_add_group(scan);
    return added && !scan->cursor.no_memory;
}

analyze_row analyze_scan_run(analyze_scan *scan, uint64_t base, size_t stop)
{
    analyze_reader *reader = &scan->reader;
    while (reader->at < stop) {
        analyze_row outcome = analyze_reader_next(reader);
        if (outcome == READER_MORE || outcome == READER_END)
            return outcome;
        if (outcome == READER_GOOD && !scan_row(scan, base)) {
            scan->failed = true;
            return READER_BAD;
        }
        if (outcome == READER_BAD || outcome == READER_LONG)
            scan_problem(scan, base, reader->problem, reader->problem_number, scan_line(scan));
        if (outcome == READER_LONG)
            return outcome;
    }
    return READER_END;
}

static void scan_pack_groups(const analyze_scan *scan, pack_writer *writer)
{
    const group_table *groups = &scan->groups;
    pack_put_u64(writer, groups->count);
    for (size_t i = 0; i < groups->count; i++) {
        pack_put_text(writer, groups->list[i].key, groups->list[i].key_size);
        pack_put_u64(writer, groups->list[i].rows);
        pack_put(writer, &groups->cells[i * groups->cell_count], groups->cell_count * sizeof(group_cell));
    }
    pack_put_u64(writer, scan->tallies.count);
    pack_put_u64(writer, scan->tallies.list_count);
    for (size_t i = 0; i < scan->tallies.capacity && scan->tallies.count != 0; i++)
        if (scan->tallies.entries[i].count != 0)
            pack_put(writer, &scan->tallies.entries[i], sizeof(tally_entry));
    pack_put(writer, scan->tallies.list, scan->tallies.list_count * sizeof(tally_entry));
}

void analyze_scan_pack(analyze_scan *scan, uint64_t start, uint64_t end, pack_writer *writer)
{
    const uint64_t words[] = {
        start, end, scan->row_count, scan->matched, scan->malformed, scan->reader.lines, scan->problem_count};
    pack_put(writer, words, sizeof(words));
    pack_put(writer, scan->problems.data, scan->problems.size);
    if (scan->problems.failed)
        writer->failed = true;
    if (!scan->plan->rows) {
        scan_pack_groups(scan, writer);
        return;
    }
    if (scan->plan->sorted) {
        analyze_sorted_pack(&scan->sorted, writer);
        return;
    }
    pack_put_u64(writer, scan->rows.count);
    for (size_t i = 0; i < scan->rows.count; i++) {
        pack_put_u64(writer, scan->rows.items[i]->order);
        pack_put_text(writer, scan->rows.items[i]->record, scan->rows.items[i]->size);
    }
}
