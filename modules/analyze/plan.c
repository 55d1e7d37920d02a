/* SPDX-License-Identifier: MIT */
#include "plan.h"

void analyze_plan_pack(const analyze_plan *plan, pack_writer *writer)
{
    pack_put_u32(writer, plan->format);
    pack_put(writer, &plan->delimiter, 1);
    pack_put_u32(writer, plan->columns);
    pack_put_u64(writer, plan->row_max);
    pack_put_u32(writer, plan->malformed_max);
    pack_put_u32(writer, plan->slot_count);
    for (uint32_t i = 0; i < plan->slot_count; i++) {
        pack_put_u32(writer, plan->slots[i].column);
        pack_put_text(writer, plan->slots[i].path, plan->slots[i].path_size);
    }
    pack_put_u32(writer, plan->node_count);
    for (uint32_t i = 0; i < plan->node_count; i++) {
        const analyze_node *node = &plan->nodes[i];
        uint32_t words[] = {node->kind, node->left, node->right, node->slot, node->relation, node->numeric};
        pack_put(writer, words, sizeof(words));
        pack_put_double(writer, node->number);
        pack_put_text(writer, node->text, node->text_size);
    }
    pack_put_u32(writer, plan->group_count);
    pack_put(writer, plan->groups, plan->group_count * sizeof(plan->groups[0]));
    pack_put_u32(writer, plan->value_count);
    pack_put(writer, plan->values, plan->value_count * sizeof(plan->values[0]));
    pack_put_u32(writer, plan->tally_count);
    for (uint32_t i = 0; i < plan->tally_count; i++) {
        pack_put_u32(writer, plan->tallies[i].kind);
        pack_put_u32(writer, plan->tallies[i].of);
    }
    pack_put_u32(writer, plan->rows);
    pack_put_u32(writer, plan->select_count);
    pack_put(writer, plan->select, plan->select_count * sizeof(plan->select[0]));
    pack_put_u32(writer, plan->sort_count);
    for (uint32_t i = 0; i < plan->sort_count; i++) {
        pack_put_u32(writer, plan->sort[i].slot);
        pack_put_u32(writer, plan->sort[i].descending);
    }
    pack_put_u32(writer, plan->sorted);
    pack_put_u64(writer, plan->limit);
}

static char *plan_text(pack_reader *reader, uint32_t *size)
{
    const char *text = pack_get_text(reader, size);
    char *copy = text == NULL ? NULL : malloc((size_t)*size + 1);
    if (copy == NULL) {
        reader->failed = true;
        return NULL;
    }
    memcpy(copy, text, *size);
    copy[*size] = '\0';
    return copy;
}

static uint32_t plan_below(pack_reader *reader, uint32_t most)
{
    uint32_t number = pack_get_u32(reader);
    if (number < most)
        return number;
    reader->failed = true;
    return 0;
}

static uint32_t plan_list(pack_reader *reader, uint32_t *list, uint32_t slot_count)
{
    uint32_t count = plan_below(reader, ANALYZE_SLOTS_MAX + 1);
    for (uint32_t i = 0; i < count; i++)
        list[i] = plan_below(reader, slot_count);
    return count;
}

static void plan_nodes(analyze_plan *plan, pack_reader *reader)
{
    uint32_t count = plan_below(reader, ANALYZE_NODES_MAX + 1);
    for (uint32_t i = 0; i < count && !reader->failed; i++) {
        analyze_node *node = &plan->nodes[i];
        node->kind = plan_below(reader, ANALYZE_NOT + 1);
        bool leaf = node->kind == ANALYZE_COMPARE;
        node->left = plan_below(reader, leaf ? 1 : i);
        node->right = plan_below(reader, node->kind == ANALYZE_AND || node->kind == ANALYZE_OR ? i : 1);
        node->slot = plan_below(reader, leaf ? plan->slot_count : 1);
        node->relation = plan_below(reader, ANALYZE_CONTAINS + 1);
        node->numeric = plan_below(reader, 2) != 0;
        node->number = pack_get_double(reader);
        node->text = plan_text(reader, &node->text_size);
        plan->node_count = i + 1;
    }
}

static void plan_tallies(analyze_plan *plan, pack_reader *reader)
{
    plan->tally_count = plan_below(reader, ANALYZE_SLOTS_MAX + 1);
    for (uint32_t i = 0; i < plan->tally_count; i++) {
        plan->tallies[i].kind = plan_below(reader, ANALYZE_DISTINCT + 1);
        plan->tallies[i].of = plan_below(reader, plan->tallies[i].kind == ANALYZE_DISTINCT ? plan->slot_count
                                                                                           : plan->value_count);
    }
}

bool analyze_plan_unpack(analyze_plan *plan, pack_reader *reader)
{
    memset(plan, 0, sizeof(*plan));
    plan->format = plan_below(reader, ANALYZE_NDJSON + 1);
    pack_get(reader, &plan->delimiter, 1);
    plan->columns = plan_below(reader, ANALYZE_COLUMNS_MAX + 1);
    plan->row_max = pack_get_u64(reader);
    plan->malformed_max = pack_get_u32(reader);
    uint32_t slot_count = plan_below(reader, ANALYZE_SLOTS_MAX + 1);
    for (uint32_t i = 0; i < slot_count && !reader->failed; i++) {
        plan->slots[i].column = plan_below(reader, plan->format == ANALYZE_CSV ? plan->columns : UINT32_MAX);
        plan->slots[i].path = plan_text(reader, &plan->slots[i].path_size);
        plan->slot_count = i + 1;
    }
    plan_nodes(plan, reader);
    plan->group_count = plan_list(reader, plan->groups, slot_count);
    plan->value_count = plan_list(reader, plan->values, slot_count);
    plan_tallies(plan, reader);
    plan->rows = plan_below(reader, 2) != 0;
    plan->select_count = plan_list(reader, plan->select, slot_count);
    plan->sort_count = plan_below(reader, ANALYZE_SLOTS_MAX + 1);
    for (uint32_t i = 0; i < plan->sort_count; i++) {
        plan->sort[i].slot = plan_below(reader, slot_count);
        plan->sort[i].descending = plan_below(reader, 2) != 0;
    }
    plan->sorted = plan_below(reader, 2) != 0;
    plan->limit = pack_get_u64(reader);
    if (!reader->failed && plan->row_max != 0)
        return true;
    analyze_plan_done(plan);
    return false;
}

void analyze_plan_done(analyze_plan *plan)
{
    for (uint32_t i = 0; i < plan->slot_count; i++)
        free(plan->slots[i].path);
    for (uint32_t i = 0; i < plan->node_count; i++)
        free(plan->nodes[i].text);
    memset(plan, 0, sizeof(*plan));
}
