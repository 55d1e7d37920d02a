/* SPDX-License-Identifier: MIT */
#include "flow/results.h"

#include <string.h>

#include "base/util.h"
#include "os/memory.h"

brg_status brg__results_init(brg__results *results, uint64_t count)
{
    *results = (brg__results){.count = count};
    brg__lock_init(&results->lock, BRG__RANK_LEAF, "results");
    results->views = brg__calloc((size_t)brg__max(1, count), sizeof(*results->views));
    return results->views == NULL ? BRG_NO_MEMORY : BRG_OK;
}

void brg__results_done(brg__results *results)
{
    for (size_t i = 0; i < results->kept_count; i++)
        brg_value_unref(results->kept[i]);
    brg__mfree(results->kept);
    brg__mfree(results->views);
}

/* Takes the value on success. */
static bool results_keep(brg__results *results, brg_value *value)
{
    brg__lock_acquire(&results->lock);
    bool has_room = results->kept_count < results->kept_capacity;
    if (!has_room) {
        size_t capacity = results->kept_capacity == 0 ? 64 : results->kept_capacity * 2;
        brg_value **kept = brg__realloc(results->kept, capacity * sizeof(*kept));
        has_room = kept != NULL;
        if (has_room) {
            results->kept = kept;
            results->kept_capacity = capacity;
        }
    }
    if (has_room)
        results->kept[results->kept_count++] = value;
    brg__lock_release(&results->lock);
    return has_room;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* How many elements it tells of; SIZE_MAX: it is no answer. It may come from a process that lies. */
static size_t answer_count(const brg__answer *answer, uint64_t *run_ns)
{
    brg_view root = {0};
    if (answer->value != NULL)
        root = brg_value_root(answer->value);
    size_t count = brg_view_count(root);
    int64_t ns;
    if (brg_view_type(root) != BRG_TYPE_LIST || count == 0 || count - 1 > answer->end - answer->first ||
        brg_view_int(brg_view_at(root, count - 1), &ns) != BRG_OK)
        return SIZE_MAX;
    for (size_t i = 0; i + 1 < count; i++) {
        brg_view one = brg_view_at(root, i);
        bool is_output = brg_view_type(one) == BRG_TYPE_LIST && brg_view_count(one) == 1;
        if (!is_output && brg_view_type(one) != BRG_TYPE_ERROR)
            return SIZE_MAX;
    }
    *run_ns = ns < 0 ? 0 : (uint64_t)ns;
    return count - 1;
}

/* Sorts out the errors; whether the last one is one. */
static bool answer_tell(const brg__answer *answer, brg_view root, size_t count)
{
    bool failed = false;
    for (size_t i = 0; i < count; i++) {
        brg_error error;
        brg_view one = brg_view_at(root, i);
        failed = brg_view_type(one) == BRG_TYPE_ERROR;
        if (!failed)
            continue;
        memset(&error, 0, sizeof(error));
        (void)brg_view_error(one, &error);
        if (error.status >= BRG_OK)
            error.status = BRG_FAILED;
        answer->failed(answer->argument, answer->first + i, &error);
    }
    return failed;
}

brg_status brg__results_take(brg__results *results, brg__answer *answer)
{
    brg_value *value = answer->value;
    size_t count = answer_count(answer, &answer->run_ns);
    brg_status status = count == SIZE_MAX ? BRG_PROTOCOL : results_keep(results, value) ? BRG_OK : BRG_NO_MEMORY;
    if (status != BRG_OK) {
        brg_value_unref(value);
        return status;
    }
    brg_view root = brg_value_root(value);
    for (size_t i = 0; i < count; i++)
        results->views[answer->first + i] = brg_view_at(root, i);
    bool failed = answer_tell(answer, root, count);
    answer->was_stopped = answer->first + count < answer->end && !(answer->stops && failed);
    return BRG_OK;
}

bool brg__results_put_error(brg__results *results, uint64_t index, const brg_error *error)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    if (brg_builder_create(&builder, NULL) != BRG_OK)
        return false;
    brg_builder_error(builder, error);
    bool put = brg_builder_finish(builder, &value, NULL) == BRG_OK && results_keep(results, value);
    if (put)
        results->views[index] = brg_value_root(value);
    else
        brg_value_unref(value);
    brg_builder_destroy(builder);
    return put;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

brg_status brg__results_list(const brg__results *results, brg_flow_errors errors, brg_value **out, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_list(builder);
    for (uint64_t i = 0; i < results->count; i++) {
        brg_view view = results->views[i];
        if (brg_view_type(view) == BRG_TYPE_LIST)
            brg_builder_view(builder, brg_view_at(view, 0));
        else if (errors == BRG_FLOW_COLLECT && brg_view_type(view) == BRG_TYPE_ERROR)
            brg_builder_view(builder, view);
    }
    brg_builder_end(builder);
    status = brg_builder_finish(builder, out, error);
    brg_builder_destroy(builder);
    return status;
}
