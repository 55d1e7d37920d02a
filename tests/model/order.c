/* SPDX-License-Identifier: MIT */
/* New tasks: what they are, how they are submitted, and what functions among them do. */
#include "model.h"

#include <time.h>

#define DEPTH_MAX 3

static const struct {
    const char *name;
    uint32_t thread, process; /* how often */
} kinds[MODEL_KINDS] = {
    [MODEL_WORK] = {"work", 24, 40},         [MODEL_FAIL] = {"fail", 8, 8},
    [MODEL_FLAKY] = {"flaky", 8, 8},         [MODEL_POLITE] = {"polite", 5, 3},
    [MODEL_CRASH] = {"crash", 0, 2},         [MODEL_EXIT] = {"exit", 0, 2},
    [MODEL_PROGRESS] = {"progress", 6, 8},   [MODEL_BATCH] = {"batch", 8, 8},
    [MODEL_MISSING] = {"missing", 2, 2},     [MODEL_HOLD] = {"hold", 0, 0},
    [MODEL_CALL] = {"(call)", 16, 0},        [MODEL_CALL_FAIL] = {"(failing call)", 5, 0},
    [MODEL_CALL_CHILD] = {"(parent)", 8, 0}, [MODEL_CALL_GROUP] = {"(parent of a group)", 3, 0},
    [MODEL_CALL_FORK] = {"(forks)", 5, 0},
};

const char *model_kind_name(model_kind kind) { return kinds[kind].name; }

static uint32_t kind_weight(const model_actor *actor, int kind)
{
    if (actor->depth >= DEPTH_MAX && (kind == MODEL_CALL_CHILD || kind == MODEL_CALL_GROUP))
        return 0;
    return actor->run->options.isolation == BRG_ISOLATION_THREAD ? kinds[kind].thread : kinds[kind].process;
}

static model_kind choose_kind(model_actor *actor)
{
    uint32_t total = 0;
    for (int i = 0; i < MODEL_KINDS; i++)
        total += kind_weight(actor, i);
    uint32_t at = model_pick(&actor->random, total);
    for (int i = 0; i < MODEL_KINDS; i++) {
        uint32_t weight = kind_weight(actor, i);
        if (at < weight)
            return (model_kind)i;
        at -= weight;
    }
    return MODEL_WORK;
}

/* ---- what it is given -------------------------------------------------------------------------------------------- */

static brg_value *order_input(const model_order *order, uint32_t parts)
{
    const brg_pool_options *options = &order->run->options;
    bool may_run_here = options->admission == BRG_ADMISSION_CALLER_RUNS && options->isolation == BRG_ISOLATION_THREAD;
    brg_builder *builder = NULL;
    brg_value *input = NULL;
    MODEL_MUST(order->run, brg_builder_create(&builder, NULL) == BRG_OK, "no memory");
    brg_builder_map(builder);
    brg_builder_key(builder, "board");
    brg_builder_shared(builder, order->run->shared);
    brg_builder_key(builder, "id");
    brg_builder_int(builder, order->id);
    brg_builder_key(builder, "spin_us");
    brg_builder_int(builder, order->spin_us);
    brg_builder_key(builder, "until");
    brg_builder_int(builder, order->until);
    brg_builder_key(builder, "patience_ms"); /* nobody times what runs in its submitter */
    brg_builder_int(builder, may_run_here ? 10 : 1000000);
    brg_builder_key(builder, "parts");
    brg_builder_int(builder, parts);
    brg_builder_key(builder, "fails");
    brg_builder_bool(builder, order->fails);
    brg_builder_end(builder);
    MODEL_MUST(order->run, brg_builder_finish(builder, &input, NULL) == BRG_OK, "no memory");
    brg_builder_destroy(builder);
    return input;
}

static void order_done(const brg_result *result, void *user_data)
{
    model_order *order = user_data;
    MODEL_MUST(order->run, atomic_fetch_add(&order->dones, 1u) == 0, "order %u was done twice", order->id);
    MODEL_MUST(order->run, pthread_equal(pthread_self(), order->run->owner), "order %u was done elsewhere", order->id);
    order->status = result->status;
    order->attempts = result->attempts;
    model_check_result(order, result);
}

static void order_part(const brg_value *value, void *user_data)
{
    model_order *order = user_data;
    MODEL_MUST(order->run, atomic_load(&order->dones) == 0, "order %u: a part after its end", order->id);
    model_check_part(order, value);
}

static void choose_clocks(model_order *order, model_actor *actor, brg_submit_options *options)
{
    uint64_t *random = &actor->random;
    order->has_clock = order->run->has_clocks;
    if (model_chance(random, 10))
        options->deadline_ns = BRG_MICROSECONDS(50 + model_pick(random, 8000));
    if (model_chance(random, 10))
        options->queue_timeout_ns = BRG_MICROSECONDS(50 + model_pick(random, 5000));
    if (order->kind == MODEL_POLITE || model_chance(random, 10))
        options->run_timeout_ns = BRG_MICROSECONDS(100 + model_pick(random, 2000));
    if (model_chance(random, 8))
        options->delay_ns = BRG_MICROSECONDS(1 + model_pick(random, 1500));
    if ((options->deadline_ns | options->queue_timeout_ns | options->run_timeout_ns) != 0)
        order->has_clock = true;
}

/* Children run after their siblings only: nobody waits for who waits for him. */
static void choose_after(model_order *order, model_actor *actor, brg_submit_options *options,
                         brg_task *awaited[MODEL_AFTER])
{
    uint64_t *random = &actor->random;
    if (order->id < 2 || !model_chance(random, 6))
        return;
    uint32_t wanted = 1 + model_pick(random, MODEL_AFTER);
    for (uint32_t i = 0; i < wanted; i++) {
        uint32_t id = 1 + model_pick(random, order->id - 1);
        model_order *other = &order->run->orders[id];
        if (!atomic_load(&other->is_shared) || (order->parent != 0 && other->family != order->family))
            continue;
        order->after[order->after_count] = id;
        awaited[order->after_count++] = other->task;
    }
    order->after_any = model_chance(random, 3);
    options->after = awaited;
    options->after_count = order->after_count;
    options->after_any = order->after_any;
}

static void choose_bonds(model_order *order, model_actor *actor, brg_submit_options *options)
{
    model_run *run = order->run;
    uint64_t *random = &actor->random;
    if (model_chance(random, 6)) {
        order->token = (int)(model_chance(random, 4) ? model_pick(random, MODEL_TOKENS)
                                                     : atomic_load(&run->token_now) % MODEL_TOKENS);
        options->token = run->tokens[order->token].token;
        order->must_cancel = atomic_load(&run->tokens[order->token].was_cancelled);
    }
    if (options->group == NULL && model_chance(random, 5)) {
        order->group = (int)model_pick(random, MODEL_GROUPS);
        options->group = run->groups[order->group].group;
    }
    if (run->has_tags && order->parent == 0 && model_chance(random, 2))
        options->tags = run->tags[model_pick(random, run->options.workers_max)] & model_pick(random, 8);
}

static void choose_listening(model_order *order, model_actor *actor, brg_submit_options *options, bool has_handle)
{
    uint64_t *random = &actor->random;
    options->user_data = order;
    order->has_done = order->run->loop != NULL && model_chance(random, 2);
    if (order->has_done)
        options->done = order_done;
    if (order->kind != MODEL_PROGRESS && !model_chance(random, 20))
        return;
    if (order->run->loop != NULL && model_chance(random, 2)) {
        options->on_progress = order_part;
        order->listens = true;
        options->progress_max = model_pick(random, 4);
    } else if (has_handle) {
        options->progress_max = 1 + model_pick(random, 4);
        order->pulls = true;
    }
}

static void choose_work(model_order *order, model_actor *actor)
{
    uint64_t *random = &actor->random;
    order->kind = choose_kind(actor);
    order->fails = order->kind == MODEL_BATCH && model_chance(random, 4);
    order->attempts_max = 1 + model_pick(random, 3);
    order->until = 1 + model_pick(random, 4);
    order->spin_us = !model_chance(random, 6)   ? 0
                     : model_chance(random, 10) ? model_pick(random, 3000)
                                                : model_pick(random, 200);
}

/* ---- submitting -------------------------------------------------------------------------------------------------- */

static model_order *order_new(model_actor *actor)
{
    model_run *run = actor->run;
    uint32_t id = atomic_fetch_add(&run->order_count, 1u) + 1;
    if (id >= MODEL_ORDERS) {
        atomic_fetch_sub(&run->order_count, 1u);
        return NULL;
    }
    model_order *order = &run->orders[id];
    order->run = run;
    order->id = id;
    order->parent = actor->parent;
    order->family = actor->family;
    order->depth = actor->depth;
    order->token = order->group = -1;
    order->random = ((uint64_t)model_pick(&actor->random, UINT32_MAX) << 32) | id;
    return order;
}

static void order_refused(model_order *order, brg_status status, const brg_error *error)
{
    model_run *run = order->run;
    const brg_pool_options *options = &run->options;
    bool explained = (status == BRG_FULL && options->admission != BRG_ADMISSION_BLOCK) ||
                     (status == BRG_TIMED_OUT &&
                      (options->admission == BRG_ADMISSION_BLOCK || options->admission == BRG_ADMISSION_CALLER_RUNS)) ||
                     (status == BRG_CLOSED && atomic_load(&run->is_closed)) ||
                     (status == BRG_DEADLOCK && order->parent != 0 && options->admission == BRG_ADMISSION_BLOCK) ||
                     (status == BRG_DEADLOCK && order->parent != 0 && options->admission == BRG_ADMISSION_CALLER_RUNS);
    MODEL_MUST(run, explained, "%s: %s", brg_status_name(status), error->message);
    if (status == BRG_FULL || status == BRG_TIMED_OUT)
        atomic_fetch_add(&run->refused, 1u);
}

static brg_status order_submit(model_order *order, const brg_submit_options *options, uint32_t parts, brg_task **task)
{
    model_run *run = order->run;
    if (order->kind >= MODEL_CALL)
        return brg_pool_submit_call(run->pool, model_call, order, options, task);
    brg_value *input = order_input(order, parts);
    brg_status status = brg_pool_submit(run->pool, kinds[order->kind].name, input, options, task);
    if (status != BRG_OK)
        brg_value_unref(input);
    return status;
}

model_order *model_submit(model_actor *actor, brg_group *group)
{
    model_run *run = actor->run;
    model_order *order = order_new(actor);
    brg_task *awaited[MODEL_AFTER], *task = NULL;
    brg_error error = {0};
    brg_submit_options options = {.size = sizeof(options), .error = &error, .group = group};
    if (order == NULL)
        return NULL;
    bool has_handle = order->parent != 0 || !model_chance(&actor->random, 3);
    choose_work(order, actor);
    choose_clocks(order, actor, &options);
    choose_after(order, actor, &options, awaited);
    choose_bonds(order, actor, &options);
    choose_listening(order, actor, &options, has_handle);
    options.priority = (brg_priority)model_pick(&actor->random, 4);
    options.key = model_pick(&actor->random, 5);
    options.attempts_max = order->attempts_max;
    order->config = atomic_load(&run->config_told);
    atomic_fetch_add(&run->with_done, order->has_done);
    uint32_t parts = model_pick(&actor->random, 20);
    brg_status status = order_submit(order, &options, parts, has_handle ? &task : NULL);
    model_note(actor, "submit %u %s%s prio %d: %s", order->id, kinds[order->kind].name,
               order->after_count != 0 ? " after" : "", (int)options.priority, brg_status_name(status));
    if (status != BRG_OK) {
        atomic_fetch_sub(&run->with_done, order->has_done);
        order_refused(order, status, &error);
        return NULL;
    }
    MODEL_MUST(run, (task != NULL) == has_handle, "order %u", order->id);
    atomic_fetch_add(&run->accepted, 1u);
    if (order->group >= 0)
        atomic_fetch_add(&run->groups[order->group].accepted, 1u);
    order->task = task;
    atomic_store(&order->is_accepted, true);
    atomic_store(&order->is_shared, has_handle);
    return order;
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

static void call_spin(const model_order *order)
{
    struct timespec now, start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000 + (now.tv_nsec - start.tv_nsec) / 1000 < (long)order->spin_us);
}

/* It may be cancelled while it waits; nothing else ends a wait for a child. */
static void call_check_wait(const model_order *order, brg_context *context, brg_status status, const char *what)
{
    MODEL_MUST(order->run, status == BRG_OK || (status == BRG_CANCELLED && brg_context_cancelled(context)),
               "order %u waited for %s: %s", order->id, what, brg_status_name(status));
}

static void call_children(model_order *order, brg_context *context, model_actor *actor)
{
    uint32_t count = 1 + model_pick(&actor->random, 3);
    model_order *children[3];
    for (uint32_t i = 0; i < count; i++)
        children[i] = model_submit(actor, NULL);
    for (uint32_t i = 0; i < count; i++) {
        if (children[i] == NULL || model_chance(&actor->random, 5))
            continue;
        brg_status status = brg_task_wait(children[i]->task, BRG_FOREVER);
        call_check_wait(order, context, status, "a child");
        MODEL_MUST(order->run, status != BRG_OK || brg_task_result(children[i]->task) != NULL, "child %u",
                   children[i]->id);
    }
}

static void call_group(model_order *order, brg_context *context, model_actor *actor)
{
    brg_group *group = NULL;
    brg_group_counts counts = {.size = sizeof(counts)};
    model_order *children[4];
    uint64_t accepted = 0;
    MODEL_MUST(order->run, brg_group_create(&group, order->run->pool, NULL) == BRG_OK, "no memory");
    for (uint32_t i = 1 + model_pick(&actor->random, 4); i > 0; i--)
        if ((children[accepted] = model_submit(actor, group)) != NULL)
            accepted++;
    if (model_chance(&actor->random, 6)) {
        for (uint64_t i = 0; i < accepted; i++)
            atomic_store(&children[i]->may_cancel, true);
        brg_group_cancel(group);
    }
    brg_status status = brg_group_wait(group, BRG_FOREVER);
    call_check_wait(order, context, status, "a group");
    MODEL_MUST(order->run, brg_group_get_counts(group, &counts) == BRG_OK, "counts");
    MODEL_MUST(order->run, counts.submitted == accepted, "%llu of %llu", (unsigned long long)counts.submitted,
               (unsigned long long)accepted);
    MODEL_MUST(order->run,
               counts.done + counts.failed + counts.cancelled + counts.timed_out + counts.lost + counts.pending ==
                       accepted &&
                   (status != BRG_OK || counts.pending == 0),
               "order %u: %llu pending", order->id, (unsigned long long)counts.pending);
    brg_group_unref(group);
}

typedef struct call_range {
    uint32_t first, end;
    uint64_t sum;
} call_range;

static void call_sum(brg_context *context, void *argument)
{
    call_range *range = argument;
    if (range->end - range->first <= 8) {
        for (uint32_t i = range->first; i < range->end; i++)
            range->sum += i;
        return;
    }
    uint32_t middle = range->first + (range->end - range->first) / 2;
    call_range left = {range->first, middle, 0}, right = {middle, range->end, 0};
    brg_fork fork;
    brg_fork_start(context, &fork, call_sum, &left);
    call_sum(context, &right);
    brg_fork_join(context, &fork);
    range->sum = left.sum + right.sum;
}

brg_status model_call(brg_context *context, void *argument)
{
    model_order *order = argument;
    uint32_t attempt = brg_context_attempt(context);
    board_line *line = board_begin(order->run->board, order->id, attempt);
    model_actor actor = {.run = order->run,
                         .random = order->random + attempt,
                         .name = 't',
                         .parent = order->id,
                         .family = order->id * 8 + attempt,
                         .depth = order->depth + 1};
    call_spin(order);
    if (order->kind == MODEL_CALL_CHILD)
        call_children(order, context, &actor);
    else if (order->kind == MODEL_CALL_GROUP)
        call_group(order, context, &actor);
    if (order->kind == MODEL_CALL_FORK) {
        call_range range = {0, 500, 0};
        call_sum(context, &range);
        if (range.sum != 500 * 499 / 2)
            board_say_wrong(order->run->board, order->id, BOARD_FORK);
    }
    board_end(order->run->board, line);
    return order->kind == MODEL_CALL_FAIL ? brg_context_fail(context, order->id, "task %u fails", order->id) : BRG_OK;
}
