/* SPDX-License-Identifier: MIT */
#include "rows.h"

#include "number.h"

row_key analyze_row_key(const char *text, uint32_t size)
{
    row_key key = {text, size, 2, 0};
    if (size != 0)
        key.kind = analyze_number(text, size, &key.number) ? 0 : 1;
    return key;
}

int analyze_row_compare(const row_key *a, const row_key *b, bool descending)
{
    if (a->kind == 2 || b->kind == 2)
        return (a->kind == 2) - (b->kind == 2);
    if (a->kind != b->kind)
        return a->kind - b->kind;
    int order;
    if (a->kind == 0) {
        order = (a->number > b->number) - (a->number < b->number);
    } else {
        order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);
        if (order == 0)
            order = (a->size > b->size) - (a->size < b->size);
    }
    return descending ? -order : order;
}

static int rows_compare(const analyze_plan *plan, const row_key *a, uint64_t a_order, const row_key *b,
                        uint64_t b_order)
{
    for (uint32_t i = 0; i < plan->sort_count; i++) {
        int order = analyze_row_compare(&a[i], &b[i], plan->sort[i].descending);
        if (order != 0)
            return order;
    }
    return (a_order > b_order) - (a_order < b_order);
}

static int rows_compare_items(const analyze_plan *plan, const row_item *a, const row_item *b)
{
    return rows_compare(plan, a->keys, a->order, b->keys, b->order);
}

void analyze_rows_init(row_set *rows, const analyze_plan *plan)
{
    memset(rows, 0, sizeof(*rows));
    rows->plan = plan;
}

void analyze_rows_clear(row_set *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free(rows->items[i]);
    rows->count = 0;
}

void analyze_rows_done(row_set *rows)
{
    analyze_rows_clear(rows);
    free(rows->items);
    rows->items = NULL;
}

bool analyze_rows_full(const row_set *rows) { return rows->plan->sort_count == 0 && rows->count >= rows->plan->limit; }

static row_item *rows_make(const row_set *rows, const analyze_field *fields, uint64_t order)
{
    const analyze_plan *plan = rows->plan;
    uint32_t field_count = plan->select_count + plan->sort_count;
    size_t size = field_count * sizeof(uint32_t), keys = plan->sort_count * sizeof(row_key);
    for (uint32_t i = 0; i < field_count; i++)
        size += fields[i].size;
    row_item *item = size > UINT32_MAX ? NULL : malloc(sizeof(*item) + keys + size);
    if (item == NULL)
        return NULL;
    item->order = order;
    item->size = (uint32_t)size;
    char *at = item->record = (char *)item + sizeof(*item) + keys;
    for (uint32_t i = 0; i < field_count; i++) {
        memcpy(at, &fields[i].size, sizeof(uint32_t));
        at += sizeof(uint32_t);
        if (fields[i].size != 0)
            memcpy(at, fields[i].text, fields[i].size);
        if (i >= plan->select_count)
            item->keys[i - plan->select_count] = analyze_row_key(at, fields[i].size);
        at += fields[i].size;
    }
    return item;
}

static void rows_sift_up(row_set *rows, size_t at)
{
    while (at != 0) {
        size_t parent = (at - 1) / 2;
        if (rows_compare_items(rows->plan, rows->items[at], rows->items[parent]) <= 0)
            break;
        row_item *item = rows->items[at];
        rows->items[at] = rows->items[parent];
        rows->items[parent] = item;
        at = parent;
    }
}

static void rows_sift_down(row_set *rows)
{
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= rows->count)
            break;
        if (child + 1 < rows->count && rows_compare_items(rows->plan, rows->items[child + 1], rows->items[child]) > 0)
            child++;
        if (rows_compare_items(rows->plan, rows->items[at], rows->items[child]) >= 0)
            break;
        row_item *item = rows->items[at];
        rows->items[at] = rows->items[child];
        rows->items[child] = item;
        at = child;
    }
}

static bool rows_is_worse(const row_set *rows, const analyze_field *fields, uint64_t order)
{
    const analyze_plan *plan = rows->plan;
    row_key keys[ANALYZE_SLOTS_MAX];
    for (uint32_t i = 0; i < plan->sort_count; i++)
        keys[i] = analyze_row_key(fields[plan->select_count + i].text, fields[plan->select_count + i].size);
    return rows_compare(plan, keys, order, rows->items[0]->keys, rows->items[0]->order) > 0;
}

bool analyze_rows_add(row_set *rows, const analyze_field *fields, uint64_t order)
{
    bool full = rows->count >= rows->plan->limit;
    if (full && (rows->plan->sort_count == 0 || rows->count == 0 || rows_is_worse(rows, fields, order)))
        return true;
    row_item *item = rows_make(rows, fields, order);
    if (item == NULL)
        return false;
    if (full) {
        free(rows->items[0]);
        rows->items[0] = item;
        rows_sift_down(rows);
        return true;
    }
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity == 0 ? 64 : rows->capacity * 2;
        row_item **items = realloc(rows->items, capacity * sizeof(*items));
        if (items == NULL) {
            free(item);
            return false;
        }
        rows->items = items;
        rows->capacity = capacity;
    }
    rows->items[rows->count++] = item;
    if (rows->plan->sort_count != 0)
        rows_sift_up(rows, rows->count - 1);
    return true;
}

static int rows_sorter(const void *a, const void *b, void *plan)
{
    return rows_compare_items(plan, *(row_item *const *)a, *(row_item *const *)b);
}

void analyze_rows_sort(row_set *rows)
{
    analyze_plan *plan = (analyze_plan *)(uintptr_t)rows->plan;
    if (rows->count > 1)
        qsort_r(rows->items, rows->count, sizeof(row_item *), rows_sorter, plan);
}
