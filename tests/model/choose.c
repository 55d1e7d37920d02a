/* SPDX-License-Identifier: MIT */
/* What a seed chooses of a pool, at its start and while it runs. */
#include "model.h"

#include <brigade/policy.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- what the loop is told --------------------------------------------------------------------------------------- */

static void told_level(model_run *run, bool full)
{
    bool explained = full ? !run->is_full_told : run->is_full_told || atomic_load(&run->saw_full);
    MODEL_MUST(run, explained, "%s, after %u of them", full ? "full again" : "drained again", run->levels);
    run->is_full_told = full;
    run->levels++;
}

static void on_full(brg_pool *pool, uint64_t queued, void *user_data)
{
    (void)pool, (void)queued;
    told_level(user_data, true);
}

static void on_drain(brg_pool *pool, uint64_t queued, void *user_data)
{
    (void)pool, (void)queued;
    told_level(user_data, false);
}

static void on_worker_start(brg_pool *pool, uint64_t worker_id, const brg_exit *exit, void *user_data)
{
    model_run *run = user_data;
    (void)pool;
    MODEL_MUST(run, worker_id != 0 && exit == NULL, "worker %llu", (unsigned long long)worker_id);
    run->workers_started++;
}

static void on_worker_end(brg_pool *pool, uint64_t worker_id, const brg_exit *exit, void *user_data)
{
    model_run *run = user_data;
    (void)pool;
    MODEL_MUST(run, worker_id != 0 && exit != NULL, "worker %llu", (unsigned long long)worker_id);
    if (exit->status != BRG_OK && exit->status != BRG_CRASHED && exit->status != BRG_EXITED)
        snprintf(run->ended_badly, sizeof(run->ended_badly), "%s", exit->error.message);
    MODEL_MUST(run, ++run->workers_ended <= run->workers_started, "worker %llu ended before it started",
               (unsigned long long)worker_id);
}

static void release(void *user_data)
{
    model_run *run = user_data;
    atomic_fetch_add(&run->releases, 1u);
}

/* ---- the pool ---------------------------------------------------------------------------------------------------- */

static void choose_workers(model_run *run, uint64_t *random)
{
    brg_pool_options *options = &run->options;
    const brg_scaling_policy *scaling[] = {brg_scaling_fixed, brg_scaling_fixed, brg_scaling_backlog, brg_scaling_load,
                                           brg_scaling_adaptive};
    options->scaling = scaling[model_pick(random, COUNT(scaling))];
    options->workers_max = 1 + model_pick(random, 4);
    if (options->scaling != brg_scaling_fixed) {
        options->workers_min = model_chance(random, 3) ? BRG_NO_WORKERS : 1 + model_pick(random, options->workers_max);
        options->workers_start = model_pick(random, options->workers_max + 1);
        options->warm_spares = model_chance(random, 3) ? model_pick(random, 3) : 0;
        options->idle_timeout_ns = BRG_MICROSECONDS(100 + model_pick(random, 20000));
        options->scaling_interval_ns = BRG_MICROSECONDS(500 + model_pick(random, 5000));
    } else if (model_chance(random, 3)) {
        run->has_tags = true;
        options->worker_tags = run->tags;
        options->worker_tags_count = options->workers_max;
        for (uint32_t i = 0; i < options->workers_max; i++)
            run->tags[i] = model_pick(random, 8);
    }
    if (model_chance(random, 4))
        options->recycle_tasks = 1 + model_pick(random, 20);
    if (model_chance(random, 6))
        options->recycle_age_ns = BRG_MICROSECONDS(500 + model_pick(random, 20000));
    options->no_spin = model_chance(random, 3);
    options->spin_ns = model_chance(random, 3) ? BRG_MICROSECONDS(1 + model_pick(random, 200)) : 0;
}

static void choose_policies(model_run *run, uint64_t *random)
{
    brg_pool_options *options = &run->options;
    const brg_queue_policy *queues[] = {
        NULL,          brg_queue_fifo, brg_queue_lifo, brg_queue_priority, brg_queue_weighted, brg_queue_deadline,
        brg_queue_fair};
    const brg_placement_policy *placements[] = {NULL,
                                                brg_placement_pull,
                                                brg_placement_round_robin,
                                                brg_placement_least_busy,
                                                brg_placement_random,
                                                brg_placement_two_choices,
                                                brg_placement_sticky,
                                                brg_placement_stealing,
                                                brg_placement_stealing};
    options->queue = queues[model_pick(random, COUNT(queues))];
    options->placement = placements[model_pick(random, COUNT(placements))];
    options->seed = 1 + model_pick(random, 1000);
    if (model_chance(random, 2))
        options->ageing_ns = BRG_MICROSECONDS(1 + model_pick(random, 1000));
    if (model_chance(random, 2))
        for (int i = 0; i < 4; i++)
            options->shares[i] = model_pick(random, 100);
    options->admission = (brg_admission)model_pick(random, 5);
    options->admission_timeout_ns = BRG_MICROSECONDS(1 + model_pick(random, 3000));
    options->queue_max = model_chance(random, 3) ? 500 : 1 + model_pick(random, 60);
    if (model_chance(random, 6))
        options->queue_bytes_max = 200 + model_pick(random, 4000);
}

static void choose_ends(model_run *run, uint64_t *random)
{
    brg_pool_options *options = &run->options;
    bool is_process = options->isolation == BRG_ISOLATION_PROCESS;
    options->retry_on = model_pick(random, 32);
    if (options->retry_on == 0)
        options->retry_on = BRG_RETRY_CRASH;
    options->crash_limit = 1 + model_pick(random, 3);
    options->retry_backoff = model_chance(random, 2) ? BRG_BACKOFF_EXPONENTIAL : BRG_BACKOFF_FIXED;
    options->retry_delay_ns = model_chance(random, 2) ? 0 : BRG_MICROSECONDS(1 + model_pick(random, 500));
    options->retry_delay_max_ns = BRG_MILLISECONDS(1);
    options->retry_jitter_percent = model_pick(random, 101);
    options->grace_ns = is_process ? BRG_MICROSECONDS(1 + model_pick(random, 4000)) : BRG_SECONDS(300);
    options->start_timeout_ns = BRG_SECONDS(1000); /* none fails for want of a processor */
    options->timing = model_chance(random, 3);
    if (model_chance(random, 5)) {
        run->has_clocks = true;
        if (model_chance(random, 2))
            options->run_timeout_ns = BRG_MICROSECONDS(500 + model_pick(random, 5000));
        if (model_chance(random, 2))
            options->queue_timeout_ns = BRG_MICROSECONDS(100 + model_pick(random, 5000));
    }
    run->has_batches = model_chance(random, 3);
    if (run->has_batches) {
        options->batch_size = 1 + model_pick(random, 8);
        options->batch_delay_ns = model_chance(random, 3) ? 0 : BRG_MICROSECONDS(1 + model_pick(random, 2000));
    }
}

static void choose_listeners(model_run *run, uint64_t *random)
{
    brg_pool_options *options = &run->options;
    options->release = release;
    options->user_data = run;
    if (run->loop == NULL)
        return;
    options->loop = run->loop;
    if (model_chance(random, 2)) {
        options->on_full = on_full;
        options->on_drain = on_drain;
        options->queue_high = 1 + model_pick(random, options->queue_max);
        options->queue_low = options->queue_high > 1 ? model_pick(random, options->queue_high) : 0;
    }
    if (model_chance(random, 2)) {
        options->on_worker_start = on_worker_start;
        options->on_worker_end = on_worker_end;
    }
}

static void choose_in_words(model_run *run)
{
    const brg_pool_options *o = &run->options;
    snprintf(run->text, sizeof(run->text),
             "%s, workers %d..%u start %u spares %u %s, idle %llu us, queue %s, placement %s, admission %d, queue_max "
             "%u bytes %zu high %u low %u, retry_on %u crash_limit %u delay %llu us, grace %llu us, run %llu us queue "
             "%llu us, batch %u delay %llu us, recycle %llu tasks %llu us, tags %d, loop %d, events %d %d, prewarm %d, "
             "timing %d, no_spin %d, actors %d",
             o->isolation == BRG_ISOLATION_PROCESS ? "process" : "thread", (int)o->workers_min, o->workers_max,
             o->workers_start, o->warm_spares, o->scaling->name, (unsigned long long)o->idle_timeout_ns / 1000,
             o->queue == NULL ? "default" : o->queue->name, o->placement == NULL ? "default" : o->placement->name,
             (int)o->admission, o->queue_max, o->queue_bytes_max, o->queue_high, o->queue_low, o->retry_on,
             o->crash_limit, (unsigned long long)o->retry_delay_ns / 1000, (unsigned long long)o->grace_ns / 1000,
             (unsigned long long)o->run_timeout_ns / 1000, (unsigned long long)o->queue_timeout_ns / 1000,
             o->batch_size, (unsigned long long)o->batch_delay_ns / 1000, (unsigned long long)o->recycle_tasks,
             (unsigned long long)o->recycle_age_ns / 1000, run->has_tags, o->loop != NULL, o->on_full != NULL,
             o->on_worker_start != NULL, o->prewarm_task != NULL, o->timing, o->no_spin, run->actor_count);
}

void model_choose_pool(model_run *run, uint64_t *random)
{
    choose_workers(run, random);
    choose_policies(run, random);
    choose_ends(run, random);
    choose_listeners(run, random);
    run->actor_count = 1 + (int)model_pick(random, MODEL_ACTORS);
}

/* {"board": ...} */
brg_value *model_board_value(model_run *run)
{
    brg_builder *builder = NULL;
    brg_value *input = NULL;
    MODEL_MUST(run, brg_builder_create(&builder, NULL) == BRG_OK, "no memory");
    brg_builder_map(builder);
    brg_builder_key(builder, "board");
    brg_builder_shared(builder, run->shared);
    brg_builder_end(builder);
    MODEL_MUST(run, brg_builder_finish(builder, &input, NULL) == BRG_OK, "no memory");
    brg_builder_destroy(builder);
    return input;
}

void model_open(model_run *run, uint64_t *random)
{
    static char module[4096];
    brg_error error = {0};
    snprintf(module, sizeof(module), "%s/model.so", getenv("TEST_MODULE_DIR"));
    run->options.module = module;
    MODEL_MUST(run, brg_shared_create(&run->shared, brg_shared_opts(.size_bytes = sizeof(board)), NULL) == BRG_OK,
               "no shared memory");
    run->board = brg_shared_data(run->shared);
    run->board->has_batches = run->has_batches;
    if (model_chance(random, 4)) {
        run->options.prewarm_task = "warm";
        run->options.prewarm_input = model_board_value(run);
    }
    choose_in_words(run);
    MODEL_MUST(run, brg_pool_create(&run->pool, &run->options, &error) == BRG_OK, "create: %s", error.message);
    for (int i = 0; i < MODEL_TOKENS; i++)
        MODEL_MUST(run, brg_token_create(&run->tokens[i].token, NULL) == BRG_OK, "no memory");
    for (int i = 0; i < MODEL_GROUPS; i++)
        MODEL_MUST(run, brg_group_create(&run->groups[i].group, run->pool, &error) == BRG_OK, "%s", error.message);
}

/* ---- while it runs ----------------------------------------------------------------------------------------------- */

/* Where tags bind tasks to workers, these stay. */
static void tune_workers(model_run *run, uint64_t *random, brg_pool_options *changes)
{
    changes->workers_max = 1 + model_pick(random, 4);
    changes->workers_min = run->options.scaling == brg_scaling_fixed ? 0 : 1 + model_pick(random, changes->workers_max);
    changes->idle_timeout_ns = BRG_MICROSECONDS(100 + model_pick(random, 10000));
}

void model_tune(model_run *run, model_actor *actor)
{
    uint64_t *random = &actor->random;
    brg_pool_options changes = {.size = sizeof(changes)};
    brg_error error = {0};
    switch (model_pick(random, 7)) {
    case 0:
    case 1:
        if (!run->has_tags)
            tune_workers(run, random, &changes);
        break;
    case 2:
        changes.queue_max = 1 + model_pick(random, 100);
        break;
    case 3:
        for (int i = 0; i < 4; i++)
            changes.shares[i] = model_pick(random, 100);
        changes.ageing_ns = BRG_MICROSECONDS(1 + model_pick(random, 1000));
        break;
    case 4:
        changes.retry_delay_ns = BRG_MICROSECONDS(1 + model_pick(random, 500));
        changes.attempts_max = 1 + model_pick(random, 3); /* every order says its own */
        break;
    case 5:
        changes.recycle_tasks = 1 + model_pick(random, 30);
        break;
    default:
        changes.batch_size = run->has_batches ? 1 + model_pick(random, 8) : 0;
        changes.batch_delay_ns = BRG_MICROSECONDS(1 + model_pick(random, 1000));
    }
    model_note(actor, "tune workers %u..%u queue_max %u recycle %llu batch %u", changes.workers_min,
               changes.workers_max, changes.queue_max, (unsigned long long)changes.recycle_tasks, changes.batch_size);
    brg_status status = brg_pool_tune(run->pool, &changes, &error);
    MODEL_MUST(run, status == BRG_OK, "%s", error.message);
}
