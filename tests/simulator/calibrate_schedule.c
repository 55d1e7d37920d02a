/* SPDX-License-Identifier: MIT */
/* What the policies cost: the schedule alone, in one thread, with two seats and with many. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "costs.h"
#include "harness.h"
#include "pool/schedule.h"

#define SCHEDULE_SEATS 256
#define SCHEDULE_ITEMS 1024 /* queued all the while */
#define SCHEDULE_TURNS 4096
#define SCHEDULE_ROUNDS 9

typedef struct bed {
    brg_pool_options options;
    brg__schedule schedule;
    brg__seat store[SCHEDULE_SEATS];
    brg_seat *seats[SCHEDULE_SEATS];
    brg_item items[SCHEDULE_ITEMS];
} bed;

static void bed_fill(brg_item *item, uint32_t i)
{
    *item = (brg_item){.key = 1 + i % 16, .due_ns = i * 7919 % 65536, .since_ns = i, .cost = 1, .band = i % 4};
}

static void bed_open(bed *self, const brg_queue_policy *queue, const brg_placement_policy *placement, uint32_t seats)
{
    memset(self, 0, sizeof(*self));
    self->options = (brg_pool_options){.queue = queue, .placement = placement, .seed = 7, .shares = {0, 50, 40, 10}};
    if (brg__schedule_init(&self->schedule, &self->options) != BRG_OK)
        bench_fail("out of memory");
    for (uint32_t i = 0; i < seats; i++) {
        if (brg__seat_init(&self->schedule, &self->store[i], i, 0) != BRG_OK)
            bench_fail("out of memory");
        self->seats[i] = &self->store[i].seen;
        self->schedule.seats = self->seats;
        self->schedule.seat_count = i + 1;
        brg__seat_open(&self->schedule, &self->store[i], 0);
    }
}

static void bed_close(bed *self)
{
    while (brg__schedule_take_any(&self->schedule) != NULL)
        ;
    for (uint32_t i = 0; i < self->schedule.seat_count; i++)
        brg__seat_done(&self->schedule, &self->store[i]);
    brg__schedule_done(&self->schedule);
}

/* Nanoseconds of a put and a take. */
static double bed_pair(bed *self)
{
    brg__seat *seats[SCHEDULE_ITEMS];
    double least = 1e9;
    for (uint32_t i = 0; i < SCHEDULE_ITEMS; i++) {
        bed_fill(&self->items[i], i);
        seats[i] = brg__schedule_put(&self->schedule, &self->items[i], 0, BRG_SEAT_ANY, i);
    }
    for (int round = 0; round < SCHEDULE_ROUNDS; round++) {
        uint64_t before = bench_now_ns();
        for (uint32_t i = 0; i < SCHEDULE_TURNS; i++) {
            brg__seat *seat = seats[i % SCHEDULE_ITEMS];
            brg_item *item = brg__schedule_take(&self->schedule, seat != NULL ? seat : &self->store[0], i);
            seats[i % SCHEDULE_ITEMS] = brg__schedule_put(&self->schedule, item, 0, BRG_SEAT_ANY, i);
        }
        double ns = (double)(bench_now_ns() - before) / SCHEDULE_TURNS;
        least = ns < least ? ns : least;
    }
    return least;
}

static double schedule_pair(const brg_queue_policy *queue, const brg_placement_policy *placement, uint32_t seats)
{
    bed *self = malloc(sizeof(*self));
    if (self == NULL)
        bench_fail("out of memory");
    bed_open(self, queue, placement, seats);
    double ns = bed_pair(self);
    bed_close(self);
    free(self);
    return ns;
}

static double schedule_positive(double ns) { return ns > 0 ? ns : 0; }

static void schedule_placement(const brg_placement_policy *placement, double pull_ns, double *once, double *seat)
{
    double few = schedule_pair(brg_queue_fifo, placement, 2);
    double many = schedule_pair(brg_queue_fifo, placement, SCHEDULE_SEATS);
    *seat = schedule_positive((many - few) / (SCHEDULE_SEATS - 2));
    *once = schedule_positive(few - pull_ns - 2 * *seat);
}

/* A worker with nothing looks for one that has something. */
static double schedule_victim(void)
{
    double least = 1e9;
    bed *self = malloc(sizeof(*self));
    if (self == NULL)
        bench_fail("out of memory");
    bed_open(self, brg_queue_fifo, brg_placement_stealing, SCHEDULE_SEATS);
    bed_fill(&self->items[0], 0);
    brg__seat *seat = brg__schedule_put(&self->schedule, &self->items[0], 0, BRG_SEAT_ANY, 0);
    const brg__seat *thief = seat == &self->store[0] ? &self->store[1] : &self->store[0];
    for (int round = 0; round < SCHEDULE_ROUNDS; round++) {
        uint32_t found = 0;
        uint64_t before = bench_now_ns();
        for (uint32_t i = 0; i < SCHEDULE_TURNS; i++) {
            found += brg__schedule_has_work(&self->schedule, thief);
            __asm__ volatile("" : : "r"(found) : "memory");
        }
        double ns = (double)(bench_now_ns() - before) / SCHEDULE_TURNS / SCHEDULE_SEATS;
        least = ns < least ? ns : least;
    }
    bed_close(self);
    free(self);
    return least;
}

void sim_calibrate_schedule(sim_costs *costs);

void sim_calibrate_schedule(sim_costs *costs)
{
    costs->fifo_ns = schedule_pair(brg_queue_fifo, brg_placement_pull, 2);
    costs->lifo_ns = schedule_pair(brg_queue_lifo, brg_placement_pull, 2);
    costs->priority_ns = schedule_pair(brg_queue_priority, brg_placement_pull, 2);
    costs->weighted_ns = schedule_pair(brg_queue_weighted, brg_placement_pull, 2);
    costs->deadline_ns = schedule_pair(brg_queue_deadline, brg_placement_pull, 2);
    costs->fair_ns = schedule_pair(brg_queue_fair, brg_placement_pull, 2);
    double pull = costs->fifo_ns;
    schedule_placement(brg_placement_round_robin, pull, &costs->round_robin_ns, &costs->round_robin_seat_ns);
    schedule_placement(brg_placement_least_busy, pull, &costs->least_busy_ns, &costs->least_busy_seat_ns);
    schedule_placement(brg_placement_random, pull, &costs->random_ns, &costs->random_seat_ns);
    schedule_placement(brg_placement_two_choices, pull, &costs->two_choices_ns, &costs->two_choices_seat_ns);
    schedule_placement(brg_placement_sticky, pull, &costs->sticky_ns, &costs->sticky_seat_ns);
    schedule_placement(brg_placement_stealing, pull, &costs->stealing_ns, &costs->stealing_seat_ns);
    costs->victim_seat_ns = schedule_victim();
}
