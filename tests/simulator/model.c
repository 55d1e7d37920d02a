/* SPDX-License-Identifier: MIT */
/*
 * Workers and submitters, step by step. What a section of the lock does happens at its start, all at once; then it
 * takes its time with the lock held. Costs that the library's functions have in common are in submit_ns
 * (brg_pool_call), hand_ns and take_ns (take, hand_fill_locked), run_ns and cold_ns (brg__run_one, brg__task_settle).
 */
#include "model.h"

#include "base/util.h"

#define MODEL_OUTSIDE 0.3       /* of a submit, before it takes the lock: an estimate */
#define MODEL_LOOKS 2           /* lines that go to a spinning worker before it knows */
#define MODEL_SPIN_LEAST_NS 500 /* park.c */
#define MODEL_SPIN_PROBE 32

static sim_worker *worker_of(sim_thread *thread) { return brg__container_of(thread, sim_worker, thread); }
static sim_worker *worker_at(brg__seat *seat) { return brg__container_of(seat, sim_worker, seat); }
static sim_task *task_of(brg_item *item) { return item == NULL ? NULL : brg__container_of(item, sim_task, item); }
static uint64_t model_now(const sim_pool *pool) { return pool->machine.now_ns; }
static uint64_t model_since(const sim_pool *pool) { return pool->machine.now_ns - pool->zero_ns; }

static double model_steal_ns(const sim_pool *pool)
{
    bool steals = pool->options.placement->steals && pool->schedule.xassigned != 0;
    return steals ? pool->costs->victim_seat_ns * pool->schedule.seat_count : 0;
}

static double model_positive(double value) { return value > 0 ? value : 0; }

static double model_submit_ns(const sim_pool *pool)
{
    bool is_own = pool->load->arrival == SIM_CHAINS;
    return model_positive((is_own ? pool->costs->submit_own_ns : pool->costs->submit_ns) - pool->costs->lock_ns);
}

/* ---- waking: ready.c --------------------------------------------------------------------------------------------- */

/* ready_unlock_and_wake */
static void unlock_wake(sim_thread *thread)
{
    brg__node *node = brg__list_pop_front(&thread->to_wake);
    if (node == NULL) {
        sim_use(thread, 0, thread->after_unlock);
        return;
    }
    sim_wake(&brg__container_of(node, sim_worker, wake_node)->thread);
    sim_use(thread, thread->machine->costs.wake_call_ns, unlock_wake);
}

/* brg__pool_unlock */
void sim_pool_unlock(sim_thread *thread, sim_pool *pool, sim_step next)
{
    thread->after_unlock = next;
    brg__list_init(&thread->to_wake);
    brg__list_splice_back(&thread->to_wake, &pool->wakes);
    sim_release(thread, &pool->lock, unlock_wake);
}

/* brg__pool_wake_slot_locked */
static void pool_wake_worker(sim_pool *pool, sim_worker *worker)
{
    if (!worker->seat.seen.is_idle)
        return;
    brg__list_push_back(&pool->wakes, &worker->wake_node);
    sim_worker_set_idle(worker, false);
}

/* brg__pool_wake_next_locked */
static void pool_wake_next(sim_pool *pool)
{
    if (brg__list_is_empty(&pool->schedule.idle)) {
        if (pool->may_hint)
            sim_scale_hint(pool);
        return;
    }
    if (pool->searching != 0)
        return;
    brg__seat *seat = brg__schedule_idle_for(&pool->schedule);
    if (seat != NULL)
        pool_wake_worker(pool, worker_at(seat));
}

/* ready_wake_for_locked */
static void pool_wake_for(sim_pool *pool, brg__seat *seat)
{
    if (seat == NULL) {
        pool_wake_next(pool);
        return;
    }
    bool was_idle = seat->seen.is_idle;
    pool_wake_worker(pool, worker_at(seat));
    if (was_idle)
        return;
    if (pool->options.placement->steals && seat->count != 0)
        pool_wake_next(pool);
    else if (pool->may_hint && brg__list_is_empty(&pool->schedule.idle))
        sim_scale_hint(pool);
}

/* brg__pool_dispatch_locked */
void sim_pool_dispatch(sim_pool *pool)
{
    if (pool->schedule.xready == 0)
        return;
    brg__list_for_each(node, &pool->schedule.idle) {
        brg__seat *seat = brg__container_of(node, brg__seat, idle_node);
        if (seat->xready != 0)
            pool_wake_worker(pool, worker_at(seat));
    }
    pool_wake_next(pool);
}

/* thread_ready */
static bool worker_sees_work(const sim_worker *worker)
{
    const brg__schedule *schedule = &worker->pool->schedule;
    return worker->seat.xready != 0 || schedule->xshared != 0 ||
           (worker->pool->options.placement->steals && schedule->xassigned != 0);
}

/* Who spins sees what is new in the queues. */
static void pool_show(sim_pool *pool)
{
    brg__list_for_each(node, &pool->spinning) {
        sim_worker *worker = brg__container_of(node, sim_worker, spin_node);
        if (worker_sees_work(worker))
            sim_find(&worker->thread, MODEL_LOOKS * pool->costs->miss_ns);
    }
}

/* ---- in: submit.c ------------------------------------------------------------------------------------------------ */

/* submit_task, its section; what it takes. */
static double pool_put(sim_pool *pool, const sim_thread *by, sim_task *task, uint32_t from)
{
    double ns = (1 - MODEL_OUTSIDE) * model_submit_ns(pool) + pool->queue_ns / 2 + pool->place_ns +
                pool->place_seat_ns * pool->schedule.seat_count;
    const sim_record *record = task->record;
    task->by = by;
    task->item = (brg_item){.key = record->key, .band = record->band, .cost = 1, .since_ns = model_now(pool)};
    task->item.due_ns = brg__add_saturated(model_now(pool), record->due_ns);
    if (++pool->waiting > pool->waiting_peak)
        pool->waiting_peak = pool->waiting;
    brg__seat *seat = brg__schedule_put(&pool->schedule, &task->item, 0, from, model_now(pool));
    pool_wake_for(pool, seat);
    pool_show(pool);
    return ns;
}

static void submitter_next(sim_thread *thread);

static void submitter_unlock(sim_thread *thread)
{
    sim_submitter *self = brg__container_of(thread, sim_submitter, thread);
    sim_pool_unlock(thread, self->pool, submitter_next);
}

static void submitter_again(sim_thread *thread);

static void submitter_waits(sim_thread *thread) { sim_block(thread, submitter_again); }

static void submitter_goes_to_sleep(sim_thread *thread)
{
    sim_use(thread, thread->machine->costs.sleep_call_ns, submitter_waits);
}

/* brg__pool_admit_locked with BRG_ADMISSION_BLOCK, and the rest of submit_task */
static void submitter_put(sim_thread *thread)
{
    sim_submitter *self = brg__container_of(thread, sim_submitter, thread);
    sim_pool *pool = self->pool;
    if (pool->waiting >= pool->options.queue_max) {
        self->is_waiting = true;
        sim_prepare(thread);
        sim_pool_unlock(thread, pool, submitter_goes_to_sleep);
        return;
    }
    sim_use(thread, pool_put(pool, thread, &pool->tasks[self->next++], BRG_SEAT_ANY), submitter_unlock);
}

static void submitter_again(sim_thread *thread)
{
    sim_submitter *self = brg__container_of(thread, sim_submitter, thread);
    sim_acquire(thread, &self->pool->lock, submitter_put);
}

static void submitter_submit(sim_thread *thread)
{
    sim_submitter *self = brg__container_of(thread, sim_submitter, thread);
    sim_pool *pool = self->pool;
    pool->tasks[self->next].record->came_ns = model_since(pool);
    sim_use(thread, MODEL_OUTSIDE * model_submit_ns(pool), submitter_again);
}

static void submitter_next(sim_thread *thread)
{
    sim_submitter *self = brg__container_of(thread, sim_submitter, thread);
    sim_pool *pool = self->pool;
    uint32_t count = pool->load->arrival == SIM_CHAINS ? pool->chains : pool->run->count;
    if (self->next >= count) {
        sim_prepare(thread);
        sim_block(thread, submitter_next);
        return;
    }
    uint64_t wanted = pool->zero_ns + pool->run->records[self->next].wanted_ns;
    double clock_ns = pool->load->mean_ns != 0 ? pool->costs->clock_ns : 0; /* real runs note when tasks came */
    if (wanted > model_now(pool))
        sim_sleep(thread, (double)(wanted - model_now(pool)), submitter_submit);
    else
        sim_use(thread, clock_ns, submitter_submit);
}

/* ---- out: run_thread.c ------------------------------------------------------------------------------------------- */

/* search_begin */
static bool search_begin(sim_worker *worker)
{
    sim_pool *pool = worker->pool;
    if (worker->is_searching)
        return true;
    if (pool->searching >= pool->searching_max)
        return false;
    pool->searching++;
    return worker->is_searching = true;
}

/* search_end */
static void search_end(sim_worker *worker)
{
    worker->pool->searching -= worker->is_searching;
    worker->is_searching = false;
}

/* hand_reclaim_but_locked, from who runs nothing all but one */
static void hand_reclaim(sim_worker *worker)
{
    sim_pool *pool = worker->pool;
    uint32_t first = (uint32_t)brg__min(worker->hand_next + (worker->running == NULL), worker->hand_end);
    for (uint32_t i = worker->hand_end; i > first; i--) {
        brg__schedule_put_back(&pool->schedule, &worker->hand[i - 1]->item);
        pool->waiting++;
    }
    worker->hand_end = first;
}

/* take_from_others_locked */
static void take_from_others(sim_worker *self)
{
    sim_pool *pool = self->pool;
    if (pool->options.placement->choose != NULL && !pool->options.placement->steals)
        return;
    for (uint32_t i = 0; i < pool->worker_count && pool->schedule.xready == 0; i++)
        if (pool->workers[i] != self)
            hand_reclaim(pool->workers[i]);
}

/* hand_fill_locked */
static uint32_t hand_fill(sim_worker *worker, uint32_t count)
{
    sim_pool *pool = worker->pool;
    for (uint32_t i = 0; i < count; i++) {
        worker->hand[i] = task_of(brg__schedule_take(&pool->schedule, &worker->seat, model_now(pool)));
        if (worker->hand[i] == NULL)
            count = i;
        else
            pool->waiting--;
    }
    worker->hand_next = 0;
    worker->hand_end = count;
    brg__seat_hold(&worker->seat, count);
    return count;
}

/* brg__pool_room_locked; what it takes */
static double pool_room(sim_pool *pool)
{
    if (!pool->submitter.is_waiting)
        return 0;
    pool->submitter.is_waiting = false;
    sim_wake(&pool->submitter.thread);
    return pool->costs->wake_call_ns;
}

static void worker_begin(sim_thread *thread);
static void worker_idle(sim_thread *thread);

static void worker_taken(sim_thread *thread) { sim_pool_unlock(thread, worker_of(thread)->pool, worker_begin); }

/* take */
static void worker_take(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    sim_pool *pool = worker->pool;
    const sim_costs *costs = pool->costs;
    uint32_t count = 0;
    double ns = model_positive(costs->hand_ns - costs->lock_ns - 2 * costs->clock_ns);
    brg__seat_hold(&worker->seat, 0);
    if (worker->seat.count == 0 && pool->schedule.xshared == 0)
        ns += model_steal_ns(pool);
    if (!worker->is_ending) {
        if (pool->schedule.xready == 0)
            take_from_others(worker);
        count = brg__hand_count(&pool->schedule, &worker->seat, worker->run_ewma_ns, BRG__HAND_MAX);
        if (count != 0)
            count = hand_fill(worker, count);
    }
    worker->took = count != 0;
    if (worker->took) {
        ns += pool_room(pool) + count * (costs->take_ns + pool->queue_ns / 2);
        search_end(worker);
        if (pool->schedule.xready != 0)
            pool_wake_next(pool);
    } else {
        ns /= 2;
    }
    sim_use(thread, ns, worker_taken);
}

/* thread_run */
static void worker_run(sim_thread *thread) { sim_acquire(thread, &worker_of(thread)->pool->lock, worker_take); }

static void worker_next(sim_thread *thread);

static void worker_settled(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    worker->running->record->times++;
    worker->running = NULL;
    worker->pool->settled++;
    worker_next(thread);
}

static void worker_settle(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    if (worker->hand_next == worker->hand_end)
        search_begin(worker);
    sim_use(thread, worker->pool->costs->run_ns / 2, worker_settled);
}

static void worker_chained(sim_thread *thread) { sim_pool_unlock(thread, worker_of(thread)->pool, worker_settle); }

static void worker_chain(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    uint32_t from = worker->pool->options.placement->steals ? worker->seat.seen.index : BRG_SEAT_ANY; /* ready_from */
    sim_use(thread, pool_put(worker->pool, thread, worker->next_of_chain, from), worker_chained);
}

static void worker_submits(sim_thread *thread) { sim_acquire(thread, &worker_of(thread)->pool->lock, worker_chain); }

/* The end of the task's function. */
static void worker_end(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    sim_pool *pool = worker->pool;
    worker->running->record->ended_ns = model_since(pool);
    if (pool->load->arrival != SIM_CHAINS || pool->chained == pool->run->count) {
        worker_settle(thread);
        return;
    }
    worker->next_of_chain = &pool->tasks[pool->chained++];
    worker->next_of_chain->record->came_ns = model_since(pool);
    sim_use(thread, MODEL_OUTSIDE * model_submit_ns(pool), worker_submits);
}

static void worker_off(sim_thread *thread)
{
    double off_ns = worker_of(thread)->running->record->off_ns;
    if (off_ns > 0)
        sim_sleep(thread, off_ns, worker_end);
    else
        worker_end(thread);
}

static void worker_work(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    sim_record *record = worker->running->record;
    record->began_ns = model_since(worker->pool);
    record->worker = worker->seat.seen.index;
    double clocks = worker->pool->load->mean_ns != 0 ? 2 * worker->pool->costs->clock_ns : 0;
    sim_use(thread, record->work_ns + clocks, worker_off);
}

/* hand_pop and run_learn */
static void worker_next(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    if (worker->hand_next < worker->hand_end) {
        worker->running = worker->hand[worker->hand_next++];
        worker->hand_done++;
        double cold_ns = worker->running->by != thread ? worker->pool->costs->cold_ns : 0;
        sim_use(thread, worker->pool->costs->run_ns / 2 + cold_ns, worker_work);
        return;
    }
    if (worker->hand_done != 0)
        worker->run_ewma_ns = brg__run_learn(worker->run_ewma_ns, model_now(worker->pool) - worker->hand_since_ns,
                                             worker->hand_done);
    worker_run(thread);
}

static void worker_begin(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    if (!worker->took) {
        worker_idle(thread);
        return;
    }
    worker->hand_since_ns = model_now(worker->pool);
    worker->hand_done = 0;
    sim_use(thread, 2 * worker->pool->costs->clock_ns, worker_next);
}

/* ---- idle: worker/thread.c, run_thread.c ------------------------------------------------------------------------- */

static void worker_born(sim_thread *thread);

static void worker_end_unlock(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    worker->pool->started_count--;
    worker->is_there = worker->is_ending = false;
    sim_prepare(thread);
    sim_release(thread, &worker->pool->lock, worker_born);
}

static void worker_awake(sim_thread *thread) { sim_pool_unlock(thread, worker_of(thread)->pool, worker_run); }

/* thread_wake */
static void worker_wake(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    sim_worker_set_idle(worker, false);
    if (worker->is_ending)
        worker_end_unlock(thread);
    else
        sim_use(thread, 0, worker_awake);
}

static void worker_woken(sim_thread *thread) { sim_acquire(thread, &worker_of(thread)->pool->lock, worker_wake); }
static void worker_blocks(sim_thread *thread) { sim_block(thread, worker_woken); }

static void worker_slept(sim_thread *thread)
{
    if (worker_of(thread)->has_work)
        worker_woken(thread);
    else
        sim_use(thread, thread->machine->costs.sleep_call_ns, worker_blocks);
}

static void worker_sleep_unlock(sim_thread *thread) { sim_pool_unlock(thread, worker_of(thread)->pool, worker_slept); }

/* thread_sleep of run_thread.c */
static void worker_sleep(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    sim_pool *pool = worker->pool;
    double ns = pool->costs->clock_ns + model_steal_ns(pool);
    if (pool->schedule.xready == 0)
        take_from_others(worker);
    worker->has_work = worker->is_ending || brg__schedule_has_work(&pool->schedule, &worker->seat);
    if (!worker->has_work)
        sim_worker_set_idle(worker, true);
    if (pool->schedule.xready != 0)
        pool_wake_next(pool);
    sim_use(thread, ns, worker_sleep_unlock);
}

static void worker_goes_to_sleep(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    sim_prepare(thread);
    search_end(worker);
    sim_acquire(thread, &worker->pool->lock, worker_sleep);
}

/* brg__spinner_spin in vain */
static void worker_spun(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    if (brg__node_is_linked(&worker->spin_node))
        brg__list_remove(&worker->spin_node);
    worker->spin_misses++;
    worker->spin_budget_ns = worker->spin_budget_ns / 2 < MODEL_SPIN_LEAST_NS ? 0 : worker->spin_budget_ns / 2;
    worker_goes_to_sleep(thread);
}

static void worker_found(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    double twice = 2 * worker->spin_budget_ns + MODEL_SPIN_LEAST_NS, most = (double)worker->pool->options.spin_ns;
    brg__list_remove(&worker->spin_node);
    worker->spin_misses = 0;
    worker->spin_budget_ns = twice < most ? twice : most;
    worker_run(thread);
}

/* thread_idle of worker/thread.c, with brg__spinner_spin */
static void worker_idle(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    sim_pool *pool = worker->pool;
    if (worker_sees_work(worker)) {
        worker_run(thread);
        return;
    }
    if (!search_begin(worker)) {
        worker_goes_to_sleep(thread);
        return;
    }
    if (worker->spin_budget_ns == 0 && worker->spin_misses % MODEL_SPIN_PROBE == 0)
        worker->spin_budget_ns = (double)pool->options.spin_ns;
    if (pool->options.spin_ns == 0 || worker->spin_budget_ns == 0) {
        worker_spun(thread);
        return;
    }
    brg__list_push_back(&pool->spinning, &worker->spin_node);
    sim_spin(thread, worker->spin_budget_ns, worker_spun, worker_found);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* brg__pool_started, brg__slot_online_locked */
static void worker_online(sim_thread *thread)
{
    sim_worker *worker = worker_of(thread);
    sim_pool *pool = worker->pool;
    sim_scale_account(pool);
    worker->is_online = true;
    pool->online_count++;
    brg__seat_open(&pool->schedule, &worker->seat, model_now(pool));
    sim_pool_dispatch(pool);
    sim_use(thread, 0, worker_awake);
}

static void worker_comes(sim_thread *thread) { sim_acquire(thread, &worker_of(thread)->pool->lock, worker_online); }

static void worker_starts(sim_thread *thread) { sim_sleep(thread, thread->machine->costs.start_ns, worker_comes); }

/* There is no worker until somebody starts it. */
static void worker_born(sim_thread *thread) { sim_block(thread, worker_starts); }

void sim_worker_start(sim_pool *pool, uint32_t index)
{
    sim_worker *worker = pool->workers[index];
    pool->started_count++;
    worker->is_there = true;
    worker->run_ewma_ns = BRG__RUN_UNKNOWN_NS;
    worker->spin_budget_ns = (double)pool->options.spin_ns;
    worker->spin_misses = 0;
    if (worker->thread.machine == NULL)
        sim_thread_start(&pool->machine, &worker->thread, worker_starts);
    else
        sim_wake(&worker->thread);
}

/* The one thread that submits, and what it submits first. */
void sim_submitter_start(sim_pool *pool)
{
    pool->submitter.pool = pool;
    pool->zero_ns = model_now(pool);
    pool->chains = pool->chained = (uint32_t)brg__min(pool->load->chains, pool->run->count);
    sim_thread_start(&pool->machine, &pool->submitter.thread, submitter_next);
}
