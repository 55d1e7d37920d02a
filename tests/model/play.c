/* SPDX-License-Identifier: MIT */
/* One run: a pool from its start to its end, and what is done with it meanwhile, by its owner and by others. */
#include "model.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>

#include "watch.h"

#define OPERATIONS_MAX (WATCH_SANITIZED ? 60 : 120)

/* ---- operations -------------------------------------------------------------------------------------------------- */

/* Any that somebody may wait for or cancel; NULL: this time none. */
static model_order *play_pick(model_actor *actor)
{
    uint32_t count = atomic_load(&actor->run->order_count);
    if (count == 0)
        return NULL;
    uint32_t back = model_chance(&actor->random, 3) ? count : (count < 12 ? count : 12);
    model_order *order = &actor->run->orders[count - model_pick(&actor->random, back)];
    return atomic_load(&order->is_shared) ? order : NULL;
}

static void play_cancel(model_actor *actor)
{
    model_order *order = play_pick(actor);
    if (order == NULL)
        return;
    atomic_store(&order->may_cancel, true);
    brg_status status = brg_task_cancel(order->task);
    model_note(actor, "cancel %u: %s", order->id, brg_status_name(status));
    MODEL_MUST(actor->run, status == BRG_OK || (status == BRG_STATE && brg_task_result(order->task) != NULL), "%s",
               brg_status_name(status));
}

static void play_wait(model_actor *actor)
{
    model_order *order = play_pick(actor);
    if (order == NULL)
        return;
    brg_status status = brg_task_wait(order->task, BRG_MICROSECONDS(model_pick(&actor->random, 1500)));
    MODEL_MUST(actor->run, status == BRG_OK || status == BRG_TIMED_OUT, "%s", brg_status_name(status));
    MODEL_MUST(actor->run, status != BRG_OK || brg_task_result(order->task) != NULL, "order %u", order->id);
    if (model_chance(&actor->random, 3))
        brg_task_unref(brg_task_ref(order->task));
}

static void play_cancel_token(model_actor *actor)
{
    uint32_t now = atomic_load(&actor->run->token_now);
    if (now + 1 >= MODEL_TOKENS || !model_chance(&actor->random, 3) ||
        !atomic_compare_exchange_strong(&actor->run->token_now, &now, now + 1))
        return;
    model_token *token = &actor->run->tokens[now];
    model_note(actor, "cancel token %u", now);
    atomic_store(&token->is_cancelled, true);
    brg_token_cancel(token->token);
    atomic_store(&token->was_cancelled, true);
}

static void play_when_done(brg_group *group, void *user_data)
{
    model_group *own = user_data;
    (void)group;
    atomic_fetch_add(&own->calls, 1u);
}

static void play_group(model_actor *actor)
{
    model_run *run = actor->run;
    int index = (int)model_pick(&actor->random, MODEL_GROUPS);
    model_group *group = &run->groups[index];
    uint32_t what = model_pick(&actor->random, 8);
    if (what < 4) {
        brg_status status = brg_group_wait(group->group, BRG_MICROSECONDS(model_pick(&actor->random, 1000)));
        MODEL_MUST(run, status == BRG_OK || status == BRG_TIMED_OUT, "%s", brg_status_name(status));
    } else if (what < 6 && run->loop != NULL) {
        atomic_fetch_add(&group->whens, 1u); /* it may be called before we hear of it */
        brg_status status = brg_group_when_done(group->group, play_when_done, group, NULL);
        model_note(actor, "when group %d is done: %s", index, brg_status_name(status));
        MODEL_MUST(run,
                   status == BRG_OK || status == BRG_INVALID || (status == BRG_CLOSED && atomic_load(&run->is_closed)),
                   "%s", brg_status_name(status));
        if (status != BRG_OK)
            atomic_fetch_sub(&group->whens, 1u);
    } else if (model_chance(&actor->random, 6)) {
        model_note(actor, "cancel group %d", index);
        atomic_store(&group->is_cancelled, true);
        brg_group_cancel(group->group);
    }
}

static void play_all_done(const brg_result *result, void *user_data)
{
    model_run *run = user_data;
    MODEL_MUST(run,
               result->status == BRG_OK || result->status == BRG_CANCELLED || result->status == BRG_TIMED_OUT ||
                   result->status == BRG_FULL,
               "a task for all: %s", brg_status_name(result->status));
    atomic_fetch_add(&run->all_done, 1u);
}

static void play_submit_all(model_actor *actor)
{
    model_run *run = actor->run;
    brg_value *input = model_board_value(run);
    brg_error error = {0};
    brg_submit_options options = {.size = sizeof(options), .error = &error, .user_data = run};
    uint32_t count = 0;
    if (run->loop != NULL)
        options.done = play_all_done;
    brg_status status = brg_pool_submit_all(run->pool, "warm", input, &options, &count);
    model_note(actor, "submit to all: %s, %u", brg_status_name(status), count);
    if (status == BRG_OK) {
        atomic_fetch_add(&run->all_accepted, count);
        return;
    }
    brg_value_unref(input);
    MODEL_MUST(run,
               status == BRG_FULL || status == BRG_TIMED_OUT || (status == BRG_CLOSED && atomic_load(&run->is_closed)),
               "%s: %s", brg_status_name(status), error.message);
    if (status != BRG_CLOSED)
        atomic_fetch_add(&run->refused, 1u);
}

static void play_configure(model_actor *actor)
{
    model_run *run = actor->run;
    brg_error error = {0};
    brg_value *config = NULL;
    pthread_mutex_lock(&run->configuring);
    uint64_t version = atomic_load(&run->config_told) + 1;
    MODEL_MUST(run, brg_value_map(&config, NULL, brg_field_int("version", (int64_t)version)) == BRG_OK, "no memory");
    brg_status status = brg_pool_configure(run->pool, config, &error);
    model_note(actor, "configure %llu: %s", (unsigned long long)version, brg_status_name(status));
    if (status == BRG_OK)
        atomic_store(&run->config_told, version);
    pthread_mutex_unlock(&run->configuring);
    if (status == BRG_OK)
        return;
    brg_value_unref(config);
    MODEL_MUST(run, status == BRG_CLOSED && atomic_load(&run->is_closed), "%s: %s", brg_status_name(status),
               error.message);
}

static void play_look(model_actor *actor)
{
    brg_pool_stats stats = scenario_stats(actor->run->pool);
    MODEL_MUST(actor->run, stats.queued <= stats.queue_peak && stats.workers_online <= stats.workers_started,
               "queued %llu online %u", (unsigned long long)stats.queued, stats.workers_online);
    if (model_chance(&actor->random, 2))
        return;
    bool before = atomic_exchange(&actor->run->saw_full, true); /* its event may come before we hear of it */
    if (!brg_pool_is_full(actor->run->pool) && !before && actor->run->actor_count == 1)
        atomic_store(&actor->run->saw_full, false);
}

static void play_wait_idle(model_actor *actor)
{
    brg_status status = brg_pool_wait_idle(actor->run->pool, BRG_MICROSECONDS(model_pick(&actor->random, 1000)));
    MODEL_MUST(actor->run, status == BRG_OK || status == BRG_TIMED_OUT, "%s", brg_status_name(status));
}

static void play_breathe(model_actor *actor)
{
    if (actor->name == 'o' && actor->run->loop != NULL)
        brg_loop_dispatch(actor->run->loop);
    else
        sched_yield();
}

static void play_step(model_actor *actor)
{
    static const struct {
        uint32_t weight;
        void (*act)(model_actor *actor);
    } others[] = {{10, play_cancel},   {10, play_wait}, {3, play_cancel_token}, {5, play_group},   {2, play_submit_all},
                  {2, play_configure}, {4, play_look},  {2, play_wait_idle},    {12, play_breathe}};
    uint32_t what = model_pick(&actor->random, 100);
    if (what >= 98) {
        model_tune(actor->run, actor);
        return;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (what < others[i].weight) {
            others[i].act(actor);
            return;
        }
        what -= others[i].weight;
    }
    for (uint32_t i = model_chance(&actor->random, 8) ? 8 : 1; i > 0; i--)
        (void)model_submit(actor, NULL);
}

static void *play_main(void *argument)
{
    model_actor *actor = argument;
    for (int i = 0; i < actor->operations; i++)
        play_step(actor);
    atomic_fetch_sub(&actor->run->acting, 1);
    return NULL;
}

/* ---- its end ----------------------------------------------------------------------------------------------------- */

typedef brg_status (*play_end_fn)(brg_pool *pool, uint64_t timeout_ns);

static play_end_fn play_choose_end(model_run *run, uint64_t *random, const model_actor *owner)
{
    static const play_end_fn ends[] = {brg_pool_drain, brg_pool_drain, brg_pool_stop, brg_pool_kill, NULL};
    static const char *const names[] = {"drain", "drain", "stop", "kill", "destroy"};
    uint32_t which = model_pick(random, 5);
    model_note(owner, "%s", names[which]);
    atomic_store(&run->is_closed, true);
    if (which > 1)
        atomic_store(&run->is_closing, true);
    return ends[which];
}

/* The owner's thread does what a loop does, until the others have come to their end. */
static void play_await_others(model_run *run)
{
    while (atomic_load(&run->acting) > 0) {
        if (run->loop == NULL) {
            sched_yield();
            continue;
        }
        struct pollfd poller = {.fd = brg_loop_fd(run->loop), .events = POLLIN};
        poll(&poller, 1, 1); /* they may end without a callback to come */
        brg_loop_dispatch(run->loop);
    }
    for (int i = 1; i < run->actor_count; i++)
        pthread_join(run->actors[i].thread, NULL);
}

static void play_end(model_run *run, uint64_t *random)
{
    bool early = model_chance(random, 3);
    model_actor *owner = &run->actors[0];
    play_end_fn end = NULL;
    if (early && (end = play_choose_end(run, random, owner)) != NULL)
        (void)end(run->pool, model_chance(random, 2) ? 0 : BRG_MILLISECONDS(2));
    play_await_others(run);
    if (end == NULL)
        end = play_choose_end(run, random, owner);
    if (end != NULL) {
        brg_status status = end(run->pool, MODEL_BOUND);
        if (status != BRG_OK)
            model_print_unsettled(run);
        MODEL_MUST(run, status == BRG_OK, "the end: %s", brg_status_name(status));
        model_check_orders(run);
        model_check_stats(run);
        model_check_groups(run);
        MODEL_MUST(run, run->loop == NULL || atomic_load(&run->all_done) == atomic_load(&run->all_accepted),
                   "done for all %u of %u", atomic_load(&run->all_done), atomic_load(&run->all_accepted));
    }
    atomic_store(&run->is_closing, true);
    brg_pool_destroy(run->pool);
    run->pool = NULL;
}

static void play_after_end(model_run *run)
{
    MODEL_MUST(run, atomic_load(&run->releases) == 1, "released %u times", atomic_load(&run->releases));
    MODEL_MUST(run, run->workers_ended == run->workers_started, "of %u workers %u ended", run->workers_started,
               run->workers_ended);
    MODEL_MUST(run, run->loop == NULL || brg_loop_pending(run->loop) == 0, "%zu callbacks left",
               brg_loop_pending(run->loop));
    model_check_orders(run);
    model_check_groups(run);
    for (uint32_t i = 1; i <= atomic_load(&run->order_count); i++)
        brg_task_unref(run->orders[i].task);
    model_close(run);
    MODEL_MUST(run, brg_loop_destroy(run->loop) == BRG_OK, "the loop");
}

void model_close(model_run *run)
{
    for (int i = 0; i < MODEL_TOKENS; i++)
        brg_token_unref(run->tokens[i].token);
    for (int i = 0; i < MODEL_GROUPS; i++)
        brg_group_unref(run->groups[i].group);
    brg_shared_unref(run->shared);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static void play_act(model_run *run, uint64_t *random)
{
    atomic_store(&run->acting, run->actor_count - 1);
    for (int i = 0; i < run->actor_count; i++) {
        run->actors[i] = (model_actor){.run = run,
                                       .name = i == 0 ? 'o' : (char)('a' + i - 1),
                                       .random = (uint64_t)model_pick(random, UINT32_MAX) << 20,
                                       .operations = 1 + (int)model_pick(random, OPERATIONS_MAX)};
        if (i != 0)
            MODEL_MUST(run, pthread_create(&run->actors[i].thread, NULL, play_main, &run->actors[i]) == 0, "no thread");
    }
    for (int i = 0; i < run->actors[0].operations; i++)
        play_step(&run->actors[0]);
}

void model_play(uint64_t seed, bool is_process)
{
    static model_run run;
    uint64_t random = seed * 2 + is_process;
    memset(&run, 0, sizeof(run));
    run.seed = seed;
    run.owner = pthread_self();
    run.options.size = sizeof(run.options);
    run.options.isolation = is_process ? BRG_ISOLATION_PROCESS : BRG_ISOLATION_THREAD;
    pthread_mutex_init(&run.configuring, NULL);
    if (model_chance(&random, 3) == 0)
        MODEL_MUST(&run,
                   brg_loop_create(
                       &run.loop,
                       brg_loop_opts(.external = model_chance(&random, 2), .batch_max = 1 + model_pick(&random, 100)),
                       NULL) == BRG_OK,
                   "no loop");
    model_choose_pool(&run, &random);
    model_open(&run, &random);
    model_watch(&run);
    play_act(&run, &random);
    play_end(&run, &random);
    play_after_end(&run);
    model_watch(NULL);
    pthread_mutex_destroy(&run.configuring);
}
