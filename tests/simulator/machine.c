/* SPDX-License-Identifier: MIT */
/*
 * Threads beyond the cores take turns as under Linux: the one that had least so far is next, each for a slice; one that
 * wakes up gets a core at once if some thread had more than a slice in excess of it. There is one queue for all cores,
 * as if the kernel balanced them all the time.
 */
#include "machine.h"

#include <stdlib.h>

#define MACHINE_SPINNERS 4
#define MACHINE_SLICE_NS 1000000 /* where the costs say nothing */

/* ---- events ------------------------------------------------------------------------------------------------------ */

static bool machine_event_before(const brg__heap_item *a, const brg__heap_item *b)
{
    return a->key != b->key ? a->key < b->key
                            : brg__container_of(a, const sim_thread, event)->order <
                                  brg__container_of(b, const sim_thread, event)->order;
}

static bool machine_turn_before(const brg__heap_item *a, const brg__heap_item *b)
{
    return a->key != b->key ? a->key < b->key
                            : brg__container_of(a, const sim_thread, turn)->order <
                                  brg__container_of(b, const sim_thread, turn)->order;
}

static void machine_at(sim_thread *thread, uint64_t at_ns)
{
    sim_machine *machine = thread->machine;
    if (brg__heap_is_linked(&thread->event))
        brg__heap_remove(&machine->events, &thread->event);
    thread->order = ++machine->order;
    brg__heap_insert(&machine->events, &thread->event, brg__max(at_ns, machine->now_ns));
}

void sim_machine_init(sim_machine *machine, uint32_t cores, const sim_costs *costs)
{
    *machine = (sim_machine){.costs = *costs, .cores = cores, .free_cores = cores};
    if (machine->costs.slice_ns < 1)
        machine->costs.slice_ns = MACHINE_SLICE_NS;
    machine->events.is_before = machine_event_before;
    machine->ready.is_before = machine_turn_before;
}

void sim_machine_done(sim_machine *machine) { free(machine->threads); }

/* ---- cores ------------------------------------------------------------------------------------------------------- */

static uint64_t machine_end(const sim_thread *thread)
{
    return thread->since_ns + (uint64_t)(thread->left_ns < 0 ? 0 : thread->left_ns + 0.5);
}

/* The running thread's event: the end of what it does, or of its slice while others wait. */
static void machine_plan(sim_thread *thread)
{
    uint64_t end = machine_end(thread);
    bool others = brg__heap_peek(&thread->machine->ready) != NULL;
    machine_at(thread, others ? brg__min(end, brg__max(thread->slice_end_ns, thread->machine->now_ns)) : end);
}

/* Up to now. */
static void machine_account(sim_thread *thread)
{
    sim_machine *machine = thread->machine;
    uint64_t ran = machine->now_ns - thread->since_ns;
    thread->left_ns = machine->now_ns >= machine_end(thread) ? 0 : thread->left_ns - (double)ran;
    thread->since_ns = machine->now_ns;
    thread->vruntime_ns += ran;
    thread->used_ns += ran;
    if (machine->vruntime_ns < thread->vruntime_ns && brg__heap_peek(&machine->ready) == NULL)
        machine->vruntime_ns = thread->vruntime_ns;
}

/* The thread has a core, and is there after `ns`. */
static void machine_arrive(sim_thread *thread, double ns)
{
    thread->state = SIM_ARRIVING;
    machine_at(thread, thread->machine->now_ns + (uint64_t)ns);
}

/* A core is free: for the one that had least. */
static void machine_next(sim_machine *machine)
{
    brg__heap_item *item = brg__heap_peek(&machine->ready);
    if (item == NULL) {
        machine->free_cores++;
        return;
    }
    sim_thread *thread = brg__container_of(item, sim_thread, turn);
    brg__heap_remove(&machine->ready, item);
    machine->vruntime_ns = brg__max(machine->vruntime_ns, thread->vruntime_ns);
    machine_arrive(thread, machine->costs.switch_ns);
}

static void machine_queue(sim_thread *thread)
{
    sim_machine *machine = thread->machine;
    bool was_empty = brg__heap_peek(&machine->ready) == NULL;
    thread->state = SIM_READY;
    thread->order = ++machine->order;
    brg__heap_insert(&machine->ready, &thread->turn, thread->vruntime_ns);
    for (uint32_t i = 0; was_empty && i < machine->thread_count; i++) {
        sim_thread *other = machine->threads[i];
        if (other->state == SIM_RUNNING && brg__heap_is_linked(&other->event))
            machine_plan(other);
    }
}

static void machine_preempt(sim_thread *thread)
{
    machine_account(thread);
    if (brg__heap_is_linked(&thread->event))
        brg__heap_remove(&thread->machine->events, &thread->event);
    machine_queue(thread);
    machine_next(thread->machine);
}

/* Runnable again. What it slept through it does not get back, but for a slice. */
static void machine_ready(sim_thread *thread, double latency_ns)
{
    sim_machine *machine = thread->machine;
    uint64_t slice = (uint64_t)machine->costs.slice_ns;
    uint64_t least = machine->vruntime_ns > slice ? machine->vruntime_ns - slice : 0;
    thread->vruntime_ns = brg__max(thread->vruntime_ns, least);
    if (machine->free_cores != 0) {
        machine->free_cores--;
        machine_arrive(thread, latency_ns);
        return;
    }
    machine_queue(thread);
    sim_thread *most = NULL;
    for (uint32_t i = 0; i < machine->thread_count; i++) {
        sim_thread *other = machine->threads[i];
        if (other->state != SIM_RUNNING || !brg__heap_is_linked(&other->event))
            continue;
        machine_account(other);
        if (most == NULL || other->vruntime_ns > most->vruntime_ns)
            most = other;
    }
    if (most != NULL && most->vruntime_ns > thread->vruntime_ns + slice / 2)
        machine_preempt(most);
}

/* Runs steps until one takes time. */
static void machine_go(sim_thread *thread)
{
    while (thread->state == SIM_RUNNING && thread->left_ns <= 0) {
        sim_step next = thread->next;
        thread->is_spinning = false;
        next(thread);
    }
    if (thread->state == SIM_RUNNING) {
        thread->since_ns = thread->machine->now_ns;
        machine_plan(thread);
    } else {
        machine_next(thread->machine);
    }
}

static void machine_run(sim_thread *thread)
{
    sim_machine *machine = thread->machine;
    machine_account(thread);
    if (thread->left_ns <= 0) {
        machine_go(thread);
        return;
    }
    if (brg__heap_peek(&machine->ready) != NULL && brg__heap_peek(&machine->ready)->key < thread->vruntime_ns) {
        machine_preempt(thread);
        return;
    }
    thread->slice_end_ns = machine->now_ns + (uint64_t)machine->costs.slice_ns;
    machine_plan(thread);
}

bool sim_machine_step(sim_machine *machine)
{
    brg__heap_item *item = brg__heap_peek(&machine->events);
    if (item == NULL)
        return false;
    sim_thread *thread = brg__container_of(item, sim_thread, event);
    machine->now_ns = item->key;
    machine->events_count++;
    brg__heap_remove(&machine->events, item);
    switch (thread->state) {
    case SIM_ASLEEP:
        machine_ready(thread, 0); /* its lateness is in the sleep */
        break;
    case SIM_ARRIVING:
        thread->state = SIM_RUNNING;
        thread->since_ns = machine->now_ns;
        thread->slice_end_ns = machine->now_ns + (uint64_t)machine->costs.slice_ns;
        machine_go(thread);
        break;
    default:
        machine_run(thread);
    }
    return true;
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

void sim_thread_start(sim_machine *machine, sim_thread *thread, sim_step first)
{
    if (machine->thread_count == machine->thread_capacity) {
        machine->thread_capacity = 2 * machine->thread_capacity + 16;
        machine->threads = realloc(machine->threads, machine->thread_capacity * sizeof(sim_thread *));
        if (machine->threads == NULL)
            abort();
    }
    machine->threads[machine->thread_count++] = thread;
    thread->machine = machine;
    thread->next = first;
    thread->left_ns = 0;
    machine_ready(thread, 0);
}

void sim_use(sim_thread *thread, double ns, sim_step next)
{
    thread->left_ns = ns;
    thread->next = next;
}

void sim_spin(sim_thread *thread, double ns, sim_step next, sim_step found)
{
    sim_use(thread, ns, next);
    thread->found = found;
    thread->is_spinning = true;
}

void sim_find(sim_thread *thread, double ns)
{
    if (!thread->is_spinning)
        return;
    thread->is_spinning = false;
    thread->next = thread->found;
    if (thread->state == SIM_RUNNING && brg__heap_is_linked(&thread->event)) {
        machine_account(thread);
        thread->left_ns = ns;
        machine_plan(thread);
    } else {
        thread->left_ns = ns;
    }
}

void sim_sleep(sim_thread *thread, double ns, sim_step next)
{
    sim_use(thread, 0, next);
    thread->state = SIM_ASLEEP;
    machine_at(thread, thread->machine->now_ns + (uint64_t)(ns + thread->machine->costs.late_ns));
}

void sim_block(sim_thread *thread, sim_step next)
{
    sim_use(thread, 0, next);
    if (!thread->is_woken)
        thread->state = SIM_BLOCKED;
    thread->is_woken = false;
}

void sim_wake(sim_thread *thread)
{
    if (thread->state == SIM_ASLEEP)
        brg__heap_remove(&thread->machine->events, &thread->event);
    if (thread->state == SIM_BLOCKED || thread->state == SIM_ASLEEP)
        machine_ready(thread, thread->machine->costs.wake_ns);
    else
        thread->is_woken = true;
}

/* ---- locks ------------------------------------------------------------------------------------------------------- */

/* brg__lock_acquire: it is this thread's. */
static void lock_take(sim_thread *thread, sim_lock *lock)
{
    const sim_costs *costs = &thread->machine->costs;
    double ns = costs->lock_ns + (lock->last != NULL && lock->last != thread ? costs->transfer_ns : 0);
    lock->holder = thread;
    lock->last = thread;
    lock->since_ns = thread->machine->now_ns;
    lock->takes++;
    lock->waited_ns += thread->machine->now_ns - thread->asked_ns;
    sim_use(thread, ns, thread->after_lock);
}

/* Marks it contended: takes it, or sleeps until whoever releases it wakes us. */
static void lock_commit(sim_thread *thread)
{
    sim_lock *lock = thread->lock;
    lock->is_contended = true;
    if (lock->holder == NULL) {
        lock_take(thread, lock);
        return;
    }
    brg__list_push_back(&lock->sleepers, &thread->lock_node);
    sim_prepare(thread);
    sim_block(thread, lock_commit);
}

static void lock_sleeps(sim_thread *thread) { sim_use(thread, thread->machine->costs.sleep_call_ns, lock_commit); }

static void lock_spun(sim_thread *thread)
{
    brg__list_remove(&thread->lock_node);
    lock_sleeps(thread);
}

/* lock_spin sees that it is free; another one may have been faster. */
static void lock_seen(sim_thread *thread)
{
    sim_lock *lock = thread->lock;
    uint64_t now = thread->machine->now_ns;
    if (lock->holder != NULL && !lock->is_contended && now < thread->spin_until_ns) {
        brg__list_remove(&thread->lock_node); /* behind those that have not looked */
        brg__list_push_back(&lock->spinners, &thread->lock_node);
        sim_spin(thread, (double)(thread->spin_until_ns - now), lock_spun, lock_seen);
        return;
    }
    brg__list_remove(&thread->lock_node);
    if (lock->holder == NULL)
        lock_take(thread, lock);
    else
        lock_sleeps(thread);
}

void sim_acquire(sim_thread *thread, sim_lock *lock, sim_step next)
{
    thread->lock = lock;
    thread->after_lock = next;
    thread->asked_ns = thread->machine->now_ns;
    if (lock->holder == NULL) {
        lock_take(thread, lock);
    } else if (lock->is_contended) {
        lock_sleeps(thread);
    } else {
        thread->spin_until_ns = thread->machine->now_ns + (uint64_t)thread->machine->costs.lock_spin_ns;
        brg__list_push_back(&lock->spinners, &thread->lock_node);
        sim_spin(thread, thread->machine->costs.lock_spin_ns, lock_spun, lock_seen);
    }
}

/* Who spins looks about every pause; it has to fetch the line to look and again to write: it may find it taken. One
 * line goes from core to core: the fifth would not have it before it is taken. */
static void lock_show(const sim_machine *machine, sim_lock *lock)
{
    double ns = 2 * machine->costs.miss_ns + machine->costs.lock_spin_ns / 100 / 2;
    int count = 0;
    brg__list_for_each(node, &lock->spinners) {
        if (count++ == MACHINE_SPINNERS)
            break;
        sim_find(brg__container_of(node, sim_thread, lock_node), ns);
        ns += machine->costs.miss_ns;
    }
}

void sim_release(sim_thread *thread, sim_lock *lock, sim_step next)
{
    const sim_costs *costs = &thread->machine->costs;
    bool was_contended = lock->is_contended;
    lock->held_ns += thread->machine->now_ns - lock->since_ns;
    lock->holder = NULL;
    lock->is_contended = false;
    lock_show(thread->machine, lock);
    if (!was_contended) {
        sim_use(thread, 0, next);
        return;
    }
    brg__node *node = brg__list_pop_front(&lock->sleepers);
    if (node != NULL)
        sim_wake(brg__container_of(node, sim_thread, lock_node));
    sim_use(thread, node == NULL ? costs->call_ns : costs->wake_call_ns, next);
}
