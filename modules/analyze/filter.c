/* SPDX-License-Identifier: MIT */
#include "filter.h"

#include "number.h"

void analyze_cursor_init(analyze_cursor *cursor, analyze_reader *reader)
{
    memset(cursor, 0, sizeof(*cursor));
    cursor->reader = reader;
    for (uint32_t i = 0; i < reader->plan->slot_count; i++)
        cursor->index[i] = reader->plan->format == ANALYZE_CSV ? reader->plan->slots[i].column : i;
}

analyze_field analyze_cursor_unescape(analyze_cursor *cursor, const analyze_field *field)
{
    cursor->used = true;
    char *text = arena_take(&cursor->texts, field->size);
    if (text == NULL) {
        cursor->no_memory = true;
        return (analyze_field){field->text, 0, false};
    }
    size_t size = cursor->reader->plan->format == ANALYZE_CSV ? analyze_csv_decode(field, text)
                                                              : analyze_ndjson_decode(field, text);
    return (analyze_field){text, (uint32_t)size, false};
}

static bool filter_order(int order, analyze_operator relation)
{
    switch (relation) {
    case ANALYZE_EQUAL:
        return order == 0;
    case ANALYZE_UNEQUAL:
        return order != 0;
    case ANALYZE_LESS:
        return order < 0;
    case ANALYZE_LESS_EQUAL:
        return order <= 0;
    case ANALYZE_GREATER:
        return order > 0;
    default:
        return order >= 0;
    }
}

static int filter_compare(analyze_cursor *cursor, const analyze_node *node, uint32_t *slot)
{
    analyze_field text = analyze_cursor_text(cursor, node->slot);
    if (node->numeric) {
        double number;
        if (text.size == 0)
            return node->relation == ANALYZE_UNEQUAL;
        if (analyze_number(text.text, text.size, &number))
            return filter_order((number > node->number) - (number < node->number), node->relation);
        if (node->relation == ANALYZE_EQUAL || node->relation == ANALYZE_UNEQUAL)
            return node->relation == ANALYZE_UNEQUAL;
        *slot = node->slot;
        return -1;
    }
    if (node->relation == ANALYZE_CONTAINS)
        return node->text_size == 0 || memmem(text.text, text.size, node->text, node->text_size) != NULL;
    size_t common = text.size < node->text_size ? text.size : node->text_size;
    int order = common == 0 ? 0 : memcmp(text.text, node->text, common);
    if (order == 0)
        order = (text.size > node->text_size) - (text.size < node->text_size);
    return filter_order(order, node->relation);
}

static int filter_node(analyze_cursor *cursor, uint32_t index, uint32_t *slot, int depth)
{
    const analyze_node *node = &cursor->reader->plan->nodes[index];
    int result;
    if (depth > ANALYZE_NODES_MAX)
        return 0;
    switch (node->kind) {
    case ANALYZE_AND:
        result = filter_node(cursor, node->left, slot, depth + 1);
        return result != 1 ? result : filter_node(cursor, node->right, slot, depth + 1);
    case ANALYZE_OR:
        result = filter_node(cursor, node->left, slot, depth + 1);
        return result != 0 ? result : filter_node(cursor, node->right, slot, depth + 1);
    case ANALYZE_NOT:
        result = filter_node(cursor, node->left, slot, depth + 1);
        return result < 0 ? result : !result;
    default:
        return filter_compare(cursor, node, slot);
    }
}

int analyze_filter(analyze_cursor *cursor, uint32_t *slot)
{
    uint32_t count = cursor->reader->plan->node_count;
    return count == 0 ? 1 : filter_node(cursor, count - 1, slot, 0);
}
