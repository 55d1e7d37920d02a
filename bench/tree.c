/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include "harness.h"

#define TREE_SECTIONS 10
#define TREE_GROUPS 10
#define TREE_LEAVES 10

/* The leaves of a group: a string, a flag, a double, and integers. */
static void tree_build_group(brg_builder *builder, int64_t number)
{
    static const char *const keys[TREE_LEAVES] = {"surname", "enabled", "average",  "byteSize",  "position",
                                                  "counted", "topEdge", "leftEdge", "rightEdge", "lowest"};
    brg_builder_map(builder);
    for (int64_t leaf = 0; leaf < TREE_LEAVES; leaf++) {
        brg_builder_key(builder, keys[leaf]);
        if (leaf == 0)
            brg_builder_string(builder, "a name");
        else if (leaf == 1)
            brg_builder_bool(builder, true);
        else if (leaf == 2)
            brg_builder_double(builder, (double)number + 0.5);
        else
            brg_builder_int(builder, number * TREE_LEAVES + leaf);
    }
    brg_builder_end(builder);
}

brg_value *bench_tree_encode(brg_builder *builder)
{
    brg_error error;
    brg_value *value = NULL;
    brg_builder_list(builder);
    for (int64_t section = 0; section < TREE_SECTIONS; section++) {
        brg_builder_map(builder);
        brg_builder_key(builder, "groups");
        brg_builder_list(builder);
        for (int64_t group = 0; group < TREE_GROUPS; group++)
            tree_build_group(builder, section * TREE_GROUPS + group);
        brg_builder_end(builder);
        brg_builder_end(builder);
    }
    brg_builder_end(builder);
    if (brg_builder_finish(builder, &value, &error) != BRG_OK)
        bench_fail("brg_builder_finish: %s", error.message);
    return value;
}

static int64_t tree_read_leaf(brg_view leaf)
{
    int64_t number = 0;
    double real = 0;
    size_t size_bytes = 0;
    bool flag = false;
    switch (brg_view_type(leaf)) {
    case BRG_TYPE_STRING:
        return brg_view_string(leaf, &size_bytes) != NULL ? (int64_t)size_bytes : 0;
    case BRG_TYPE_BOOL:
        return brg_view_bool(leaf, &flag) == BRG_OK && flag;
    case BRG_TYPE_DOUBLE:
        return brg_view_double(leaf, &real) == BRG_OK ? (int64_t)real : 0;
    default:
        return brg_view_int(leaf, &number) == BRG_OK ? number : 0;
    }
}

int64_t bench_tree_read(brg_view node)
{
    int64_t sum = 0;
    brg_type type = brg_view_type(node);
    if (type != BRG_TYPE_LIST && type != BRG_TYPE_MAP)
        return tree_read_leaf(node);
    size_t count = brg_view_count(node);
    for (size_t i = 0; i < count; i++) {
        int64_t part = -1;
        if (type == BRG_TYPE_LIST || brg_view_key_at(node, i, NULL) != NULL)
            part = bench_tree_read(brg_view_at(node, i));
        if (part < 0)
            return -1;
        sum += part;
    }
    return sum;
}
