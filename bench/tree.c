/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include "harness.h"

#define TREE_SECTIONS 10
#define TREE_GROUPS 10
#define TREE_LEAVES 10

/* The leaves of a group: a string, a flag, a double, and integers. */
static void tree_build_group(brg_builder *builder, int64_t number)
{
    brg_builder_map(builder);
    brg_builder_key(builder, "surname");
    brg_builder_string(builder, "a name");
    brg_builder_key(builder, "enabled");
    brg_builder_bool(builder, true);
    brg_builder_key(builder, "average");
    brg_builder_double(builder, (double)number + 0.5);
    brg_builder_key(builder, "byteSize");
    brg_builder_int(builder, number * TREE_LEAVES + 3);
    brg_builder_key(builder, "position");
    brg_builder_int(builder, number * TREE_LEAVES + 4);
    brg_builder_key(builder, "counted");
    brg_builder_int(builder, number * TREE_LEAVES + 5);
    brg_builder_key(builder, "topEdge");
    brg_builder_int(builder, number * TREE_LEAVES + 6);
    brg_builder_key(builder, "leftEdge");
    brg_builder_int(builder, number * TREE_LEAVES + 7);
    brg_builder_key(builder, "rightEdge");
    brg_builder_int(builder, number * TREE_LEAVES + 8);
    brg_builder_key(builder, "lowest");
    brg_builder_int(builder, number * TREE_LEAVES + 9);
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

static bool tree_is_container(brg_view node)
{
    brg_type type = brg_view_type(node);
    return type == BRG_TYPE_LIST || type == BRG_TYPE_MAP;
}

int64_t bench_tree_read(brg_view node)
{
    int64_t sum = 0;
    if (!tree_is_container(node))
        return tree_read_leaf(node);
    bool is_map = brg_view_type(node) == BRG_TYPE_MAP;
    size_t count = brg_view_count(node);
    for (size_t i = 0; i < count; i++) {
        if (is_map && brg_view_key_at(node, i, NULL) == NULL)
            return -1;
        brg_view child = brg_view_at(node, i);
        int64_t part = tree_is_container(child) ? bench_tree_read(child) : tree_read_leaf(child);
        if (part < 0)
            return -1;
        sum += part;
    }
    return sum;
}
