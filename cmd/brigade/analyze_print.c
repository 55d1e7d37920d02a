/* SPDX-License-Identifier: MIT */
/* The result, as a table, CSV or JSON. Numbers are the shortest that read back as the same. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyze.h"

analyze_print analyze_print_format(const analyze_options *options)
{
    if (options->print != ANALYZE_PRINT_AUTO)
        return options->print;
    return options->measure_count != 0 ? ANALYZE_PRINT_TABLE : ANALYZE_PRINT_CSV;
}

static bool print_lacked_memory; /* a cell is not there: the result is not whole */

static analyze_cell print_text(const char *text, uint32_t size)
{
    analyze_cell cell = {malloc((size_t)size + 1), size, false};
    if (cell.text == NULL) {
        print_lacked_memory = true;
        return (analyze_cell){NULL, 0, false};
    }
    memcpy(cell.text, text, size);
    cell.text[size] = '\0';
    return cell;
}

static bool print_is_written(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return false;
    errno = ENOMEM;
    return !print_lacked_memory;
}

static analyze_cell print_number(double number)
{
    char text[400];
    int size = 0;
    if (number == floor(number) && fabs(number) < 1e15)
        size = snprintf(text, sizeof(text), "%.0f", number == 0 ? 0 : number);
    for (int digits = 15; size == 0 && digits <= 17; digits++) {
        int length = snprintf(text, sizeof(text), "%.*g", digits, number);
        if (digits == 17 || strtod(text, NULL) == number)
            size = length;
    }
    analyze_cell cell = print_text(text, (uint32_t)size);
    cell.is_number = true;
    return cell;
}

static analyze_cell print_percentile(const analyze_options *options, const analyze_result *result, uint32_t owner,
                                     double percent, const group_cell *of)
{
    size_t count;
    const tally_entry *entries = analyze_result_tally(result, owner, &count);
    if (entries == NULL)
        return (analyze_cell){NULL, 0, true};
    double number = analyze_percentile(entries, count, !options->exact, percent);
    /* What is known exactly bounds what is estimated. */
    number = number < of->low ? of->low : number > of->high ? of->high : number;
    return print_number(number);
}

static analyze_cell print_measure(const analyze_options *options, const analyze_result *result, size_t group,
                                  const analyze_measure *measure)
{
    const analyze_plan *plan = result->plan;
    uint32_t owner = (uint32_t)(group * plan->tally_count + measure->index);
    if (measure->kind == MEASURE_COUNT)
        return print_number((double)result->groups.list[group].rows);
    if (measure->kind == MEASURE_DISTINCT) {
        size_t count;
        analyze_result_tally(result, owner, &count);
        return print_number((double)count);
    }
    uint32_t value = measure->kind == MEASURE_PERCENTILE ? plan->tallies[measure->index].of : measure->index;
    const group_cell *cell = &result->groups.cells[group * plan->value_count + value];
    if (measure->kind == MEASURE_PERCENTILE)
        return print_percentile(options, result, owner, measure->percent, cell);
    if (cell->count == 0)
        return (analyze_cell){NULL, 0, true};
    switch (measure->kind) {
    case MEASURE_SUM:
        return print_number(analyze_cell_sum(cell));
    case MEASURE_MEAN:
        return print_number(analyze_cell_mean(cell));
    case MEASURE_MIN:
        return print_number(cell->low);
    default:
        return print_number(cell->high);
    }
}

static void print_key(const analyze_plan *plan, const group_head *group, analyze_cell *cells)
{
    if (plan->group_count == 1) {
        cells[0] = print_text(group->key, group->key_size);
        return;
    }
    pack_reader reader = {.at = group->key, .end = group->key + group->key_size};
    for (uint32_t i = 0; i < plan->group_count; i++) {
        uint32_t size;
        const char *text = pack_get_text(&reader, &size);
        cells[i] = print_text(text != NULL ? text : "", size);
    }
}

/* ---- the order of groups ------------------------------------------------------------------------------------------ */

typedef struct print_sorter {
    analyze_cell *cells; /* of all rows */
    row_key *keys;       /* key_count of each */
    size_t columns, key_count;
    bool descending[2 * ANALYZE_LIST_MAX];
} print_sorter;

static int print_compare(const void *a, const void *b, void *data)
{
    const print_sorter *sorter = data;
    size_t first = *(const size_t *)a, second = *(const size_t *)b;
    for (size_t i = 0; i < sorter->key_count; i++) {
        int order = analyze_row_compare(&sorter->keys[first * sorter->key_count + i],
                                        &sorter->keys[second * sorter->key_count + i], sorter->descending[i]);
        if (order != 0)
            return order;
    }
    return first < second ? -1 : 1;
}

/* By what --sort says, then by the group's columns. */
static bool print_sort(const analyze_options *options, print_sorter *sorter, size_t rows, size_t *order)
{
    size_t by[2 * ANALYZE_LIST_MAX];
    for (uint32_t i = 0; i < options->sort_count; i++) {
        size_t column = 0;
        while (column < options->group_count && strcmp(options->groups[column], options->sort[i].column) != 0)
            column++;
        if (column == options->group_count)
            while (strcmp(options->measures[column - options->group_count].title, options->sort[i].column) != 0)
                column++;
        sorter->descending[sorter->key_count] = options->sort[i].descending;
        by[sorter->key_count++] = column;
    }
    for (uint32_t i = 0; i < options->group_count; i++)
        by[sorter->key_count++] = i;
    sorter->keys = calloc(rows * sorter->key_count + 1, sizeof(*sorter->keys));
    if (sorter->keys == NULL)
        return false;
    for (size_t row = 0; row < rows; row++) {
        order[row] = row;
        for (size_t i = 0; i < sorter->key_count; i++) {
            const analyze_cell *cell = &sorter->cells[row * sorter->columns + by[i]];
            sorter->keys[row * sorter->key_count + i] = analyze_row_key(cell->text, cell->size);
        }
    }
    if (sorter->key_count != 0)
        qsort_r(order, rows, sizeof(*order), print_compare, sorter);
    free(sorter->keys);
    return true;
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

/* An empty cell alone in its row is quoted: an empty line is no row for those who read it. */
static void print_line_csv(const analyze_cell *cells, size_t columns, char delimiter)
{
    if (columns == 1 && cells[0].size == 0)
        fputs_unlocked("\"\"", stdout);
    for (size_t i = 0; i < columns; i++) {
        if (i != 0)
            putchar_unlocked(delimiter);
        analyze_put_csv(cells[i].text != NULL ? cells[i].text : "", cells[i].size, delimiter);
    }
    putchar_unlocked('\n');
}

static void print_line_json(const analyze_cell *titles, const analyze_cell *cells, size_t columns, bool first)
{
    fputs_unlocked(first ? "\n{" : ",\n{", stdout);
    for (size_t i = 0; i < columns; i++) {
        if (i != 0)
            putchar_unlocked(',');
        analyze_put_json(titles[i].text, titles[i].size);
        putchar_unlocked(':');
        if (cells[i].is_number) /* of those JSON has no infinite ones */
            fputs_unlocked(cells[i].text != NULL && strpbrk(cells[i].text, "in") == NULL ? cells[i].text : "null",
                           stdout);
        else
            analyze_put_json(cells[i].text, cells[i].size);
    }
    putchar_unlocked('}');
}

/* The first row of `cells` are the titles. */
static bool print_lines(const analyze_options *options, const analyze_cell *cells, size_t rows, size_t columns)
{
    analyze_print format = analyze_print_format(options);
    if (format == ANALYZE_PRINT_TABLE)
        return analyze_put_table(cells, rows, columns);
    if (format == ANALYZE_PRINT_JSON)
        putchar_unlocked('[');
    for (size_t i = format == ANALYZE_PRINT_JSON ? 1 : 0; i < rows; i++)
        if (format == ANALYZE_PRINT_JSON)
            print_line_json(cells, &cells[i * columns], columns, i == 1);
        else
            print_line_csv(&cells[i * columns], columns, options->delimiter);
    if (format == ANALYZE_PRINT_JSON)
        fputs_unlocked("\n]\n", stdout);
    return true;
}

static void print_titles(const analyze_options *options, analyze_cell *cells)
{
    for (uint32_t i = 0; i < options->group_count; i++)
        *cells++ = print_text(options->groups[i], (uint32_t)strlen(options->groups[i]));
    for (uint32_t i = 0; i < options->measure_count; i++)
        *cells++ = print_text(options->measures[i].title, (uint32_t)strlen(options->measures[i].title));
}

bool analyze_print_groups(const analyze_options *options, analyze_result *result)
{
    if (options->group_count == 0 && result->groups.count == 0 &&
        analyze_groups_find(&result->groups, "", 0) == SIZE_MAX)
        return false; /* without groups there is one row, also of nothing */
    size_t rows = result->groups.count, columns = options->group_count + options->measure_count;
    analyze_cell *cells = calloc((rows + 1) * columns, sizeof(*cells)),
                 *sorted = calloc((rows + 1) * columns, sizeof(*cells));
    size_t *order = calloc(rows + 1, sizeof(*order));
    print_sorter sorter = {.cells = cells == NULL ? NULL : cells + columns, .columns = columns};
    bool good = cells != NULL && sorted != NULL && order != NULL;
    if (good) {
        print_titles(options, cells);
        for (size_t row = 0; row < rows; row++) {
            analyze_cell *line = &cells[(row + 1) * columns];
            if (options->group_count != 0)
                print_key(result->plan, &result->groups.list[row], line);
            for (uint32_t i = 0; i < options->measure_count; i++)
                line[options->group_count + i] = print_measure(options, result, row, &options->measures[i]);
        }
        good = print_sort(options, &sorter, rows, order);
    }
    if (good) {
        memcpy(sorted, cells, columns * sizeof(*cells));
        for (size_t row = 0; row < rows; row++)
            memcpy(&sorted[(row + 1) * columns], &cells[(order[row] + 1) * columns], columns * sizeof(*cells));
        size_t shown = options->has_limit && options->limit < rows ? (size_t)options->limit : rows;
        good = print_lines(options, sorted, shown + 1, columns);
    }
    for (size_t i = 0; cells != NULL && i < (rows + 1) * columns; i++)
        free(cells[i].text);
    free(cells);
    free(sorted);
    free(order);
    return good && print_is_written();
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static analyze_cell print_title(const analyze_row_printer *printer, uint32_t index)
{
    const analyze_slot *slot = &printer->plan->slots[printer->plan->select[index]];
    if (printer->plan->format == ANALYZE_NDJSON)
        return print_text(slot->path, slot->path_size);
    return print_text(printer->header->names[slot->column], printer->header->sizes[slot->column]);
}

static void print_record(const analyze_row_printer *printer, const char *record, uint32_t size, analyze_cell *cells)
{
    pack_reader reader = {.at = record, .end = record + size};
    for (uint32_t i = 0; i < printer->plan->select_count; i++) {
        const char *text = pack_get_text(&reader, &cells[i].size);
        cells[i].text = (char *)(uintptr_t)text;
        cells[i].is_number = false;
    }
}

void analyze_print_rows_begin(analyze_row_printer *printer)
{
    analyze_print format = analyze_print_format(printer->options);
    if (format == ANALYZE_PRINT_JSON)
        putchar_unlocked('[');
    if (format != ANALYZE_PRINT_CSV || printer->options->no_header)
        return;
    analyze_cell titles[ANALYZE_SLOTS_MAX] = {{.text = NULL}};
    uint32_t columns = printer->plan->select_count;
    for (uint32_t i = 0; i < columns; i++)
        titles[i] = print_title(printer, i);
    print_line_csv(titles, columns, printer->options->delimiter);
    for (uint32_t i = 0; i < columns; i++)
        free(titles[i].text);
}

void analyze_print_row(const char *record, uint32_t size, void *user_data)
{
    analyze_row_printer *printer = user_data;
    uint32_t columns = printer->plan->select_count;
    analyze_cell cells[ANALYZE_SLOTS_MAX], titles[ANALYZE_SLOTS_MAX] = {{NULL, 0, false}};
    print_record(printer, record, size, cells);
    if (analyze_print_format(printer->options) == ANALYZE_PRINT_JSON) {
        for (uint32_t i = 0; i < columns; i++)
            titles[i] = print_title(printer, i);
        print_line_json(titles, cells, columns, !printer->any);
        for (uint32_t i = 0; i < columns; i++)
            free(titles[i].text);
    } else {
        print_line_csv(cells, columns, printer->options->delimiter);
    }
    printer->any = true;
}

static bool print_rows_table(const analyze_row_printer *printer, const analyze_result *result)
{
    uint32_t columns = printer->plan->select_count;
    analyze_cell *cells = calloc((result->rows.count + 1) * columns, sizeof(*cells));
    if (cells == NULL)
        return false;
    for (uint32_t i = 0; i < columns; i++)
        cells[i] = print_title(printer, i);
    for (size_t row = 0; row < result->rows.count; row++) {
        analyze_cell *line = &cells[(row + 1) * columns];
        print_record(printer, result->rows.items[row]->record, result->rows.items[row]->size, line);
        for (uint32_t i = 0; i < columns; i++)
            line[i].is_number = analyze_row_key(line[i].text, line[i].size).kind == 0;
    }
    bool good = analyze_put_table(cells, result->rows.count + 1, columns);
    for (uint32_t i = 0; i < columns; i++)
        free(cells[i].text);
    free(cells);
    return good;
}

bool analyze_print_rows_end(analyze_row_printer *printer, analyze_result *result)
{
    bool good = true;
    analyze_rows_sort(&result->rows);
    if (analyze_print_format(printer->options) == ANALYZE_PRINT_TABLE)
        good = print_rows_table(printer, result);
    else
        for (size_t i = 0; i < result->rows.count; i++)
            analyze_print_row(result->rows.items[i]->record, result->rows.items[i]->size, printer);
    if (analyze_print_format(printer->options) == ANALYZE_PRINT_JSON)
        fputs_unlocked("\n]\n", stdout);
    return good && print_is_written();
}
