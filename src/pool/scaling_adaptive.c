/* SPDX-License-Identifier: MIT */
/*
 * Adaptive: climbs to the count with the best throughput, tasks done per second.
 *
 * A hill climber in one dimension, the logarithm of the count, for a hill that is seen through noise and moves. As
 * .NET's thread pool (Hellerstein, Morrison, Eilebrecht: Applying control theory in the real world, 2009) it tries
 * counts above and below in turn, so that drift hits all alike; instead of a Fourier transform it compares means with
 * their standard errors, which also tells it how wide to try (a trust region).
 *
 *   seek    doubles as long as that brings much, or else halves as long as it costs little: to the right order of
 *           magnitude within seconds. Where workers mostly wait it leaps, see below.
 *   round   measures the base, above, the base, below; then moves there, or to the top of the parabola through the
 *           three, or stays. Evidence about the same three counts adds up over rounds and fades. Where they differ
 *           clearly it tries narrower, where they are alike wider.
 *   hold    two rounds stayed: keeps the base for a while, since trying costs throughput, then does another round. A
 *           rate that is suddenly another one means another kind of work: seeks again.
 *
 * What is compared is ln(rate) - ADAPTIVE_COST * ln(count): workers that bring next to nothing are not worth having,
 * and where all counts are alike it drifts to fewer.
 *
 * Leaps: where a busy worker uses a share s of a CPU, cpus / s of them use all (Goetz and others, Java concurrency in
 * practice, 2006, 8.2: cpus * (1 + wait / compute)). That is known after one interval, however long tasks are. It is no
 * more than a bound, since tasks may wait for something that is scarce; so far below it, seek goes eight or four times as
 * high instead of twice, and measures what that brings. Before the first leap, from no more workers than CPUs, nothing is
 * measured: those that it starts do not use them. A leap that brings less than most of its share went too far: seek halves
 * from there. Since so much more is expected of a leap fewer tasks will tell.
 *
 * Throughput says something about the count only while tasks wait, at both ends of an interval. Else it learns nothing
 * and goes down to what is busy, with room; when tasks wait again it goes back to where it was. After each change
 * one sample is thrown away. A sample is an interval, or several where tasks are long: too few of them say little. It
 * counts only if the workers are there, and those that are surplus are not busy any more.
 */
#include <math.h>

#include "pool/scaling.h"

#define ADAPTIVE_COST 0.02
#define ADAPTIVE_SEEK_GAIN 0.15 /* in ln(rate), that a doubling must bring for another one */
#define ADAPTIVE_SEEK_LOSS 0.05 /* that a halving may cost */
#define ADAPTIVE_SEEK_SAMPLES 2
#define ADAPTIVE_LEAP_SHARE 0.75 /* of ln(rate), that a leap must bring not to have gone too far */
#define ADAPTIVE_ROUND_SAMPLES 4 /* per visit */
#define ADAPTIVE_HOLD_SAMPLES 40
#define ADAPTIVE_WIDTH_START 0.35 /* of a round, in ln(count) */
#define ADAPTIVE_WIDTH_MIN 0.08
#define ADAPTIVE_WIDTH_MAX 0.69
#define ADAPTIVE_FADE 0.8      /* of evidence, per round */
#define ADAPTIVE_FADE_HOLD 0.2 /* ... over a hold, in which the hill may have moved */
#define ADAPTIVE_WORTH 0.05    /* more workers are worth it if they bring this part of their share */
#define ADAPTIVE_JUMP 0.25     /* in ln(rate), that is no noise */
#define ADAPTIVE_JUMPS 3       /* in a row: another kind of work */
#define ADAPTIVE_PATIENCE 30   /* intervals that a count may take to come about */
#define ADAPTIVE_SLOW 20       /* intervals that a sample may take, if half the workers have ended a task */
#define ADAPTIVE_SLOWEST 200   /* ... if not */
#define ADAPTIVE_TASKS 100     /* that are enough for a sample; or 4 for each worker */
#define ADAPTIVE_CALM 5        /* intervals of light load before each step down */
#define ADAPTIVE_ROOM 0.8      /* how busy the others may get by it */

typedef enum adaptive_phase { SEEK_START = 0, SEEK_UP, SEEK_DOWN, ROUND, HOLD } adaptive_phase;

/* A count and what is known of it. */
typedef struct adaptive_arm {
    uint32_t count;
    double weight, sum, squares;
} adaptive_arm;

typedef struct adaptive {
    brg__scale scale;
    adaptive_phase phase;
    bool had_backlog, is_resting, has_climbed;
    bool has_leapt;   /* in this seek, before anything was measured */
    bool fell_short;  /* a leap did, in this seek */
    bool is_waiting;  /* its workers mostly wait */
    double cpu, busy; /* CPUs that were used and workers that were busy, by seconds, in this visit */
    uint32_t impatience;
    /* The sample, and the visit of a count it belongs to. */
    uint64_t done;
    double seconds, visit_sum;
    uint32_t intervals, skip, samples;
    /* Seek, round, hold. */
    uint32_t base;
    double best, latest, width;
    adaptive_arm middle, above, below;
    uint32_t step, stays, held, jumps;
} adaptive;

static void adaptive_init(void *state, const brg_pool_options *options)
{
    ((adaptive *)state)->scale.options = options;
}

static double arm_mean(const adaptive_arm *arm) { return arm->sum / arm->weight; }

static void arm_fade(adaptive_arm *arm, double part)
{
    arm->weight *= part;
    arm->sum *= part;
    arm->squares *= part;
}

static void adaptive_visit(adaptive *self, uint32_t count)
{
    self->scale.target = count;
    self->skip = 1;
    self->samples = self->intervals = self->impatience = 0;
    self->visit_sum = self->seconds = self->cpu = self->busy = 0;
    self->done = 0;
}

/* ---- round ------------------------------------------------------------------------------------------------------- */

/* The count `distance` away in ln(count), at least one; the base itself if the pool's bounds are in between. */
static uint32_t adaptive_away(const adaptive *self, const brg_load *load, double distance)
{
    double count = self->base * exp(distance);
    uint32_t rounded = distance > 0 ? (uint32_t)fmax(round(count), self->base + 1.0)
                                    : (uint32_t)fmin(round(count), self->base - 1.0);
    return brg__scale_clamp(load, rounded);
}

static void round_start(adaptive *self, const brg_load *load)
{
    self->base = brg__scale_clamp(load, self->base);
    uint32_t above = adaptive_away(self, load, self->width), below = adaptive_away(self, load, -self->width);
    adaptive_arm *arms[] = {&self->middle, &self->above, &self->below};
    uint32_t counts[] = {self->base, above, below};
    bool is_same = true;
    for (int i = 0; i < 3; i++)
        is_same = is_same && arms[i]->count == counts[i];
    for (int i = 0; i < 3; i++)
        if (is_same)
            arm_fade(arms[i], self->phase == HOLD ? ADAPTIVE_FADE_HOLD : ADAPTIVE_FADE);
        else
            *arms[i] = (adaptive_arm){.count = counts[i]};
    self->phase = ROUND;
    self->step = 0;
    adaptive_visit(self, self->base);
}

/* What is known of a count against the middle: the difference and its standard error. */
typedef struct adaptive_difference {
    bool is_known;
    double distance, gain, error;
} adaptive_difference;

static adaptive_difference round_difference(const adaptive *self, const adaptive_arm *arm, double variance)
{
    if (arm->count == self->middle.count || arm->weight == 0 || self->middle.weight == 0)
        return (adaptive_difference){.is_known = false};
    return (adaptive_difference){.is_known = true,
                                 .distance = fabs(log((double)arm->count / self->middle.count)),
                                 .gain = arm_mean(arm) - arm_mean(&self->middle),
                                 .error = sqrt(variance / arm->weight + variance / self->middle.weight)};
}

/* Of one sample, from all three. */
static double round_variance(const adaptive *self)
{
    const adaptive_arm *arms[] = {&self->middle, &self->above, &self->below};
    double squares = 0, weight = 0;
    for (int i = 0; i < 3; i++)
        if (arms[i]->weight > 0) {
            squares += arms[i]->squares - arms[i]->sum * arm_mean(arms[i]);
            weight += arms[i]->weight - 1;
        }
    return fmax(weight > 1 ? squares / weight : 0, 1e-6);
}

/* How far away the top of the parabola through the three is, if there clearly is one; at most half way to the next. */
static double round_vertex(const adaptive_difference *above, const adaptive_difference *below)
{
    double up = above->gain / above->distance, down = below->gain / below->distance;
    double span = above->distance + below->distance;
    double curve = (up + down) / span, slope = up - curve * above->distance;
    double error = hypot(above->error / above->distance, below->error / below->distance) / span;
    if (curve > -2 * error)
        return 0;
    return fmax(fmin(-slope / (2 * curve), above->distance / 2), -below->distance / 2);
}

static bool is_worse(const adaptive_difference *difference)
{
    return difference->is_known && difference->gain < -difference->error;
}

/* Where to, and how wide next: the new base. */
static uint32_t round_decide(adaptive *self)
{
    double variance = round_variance(self);
    adaptive_difference above = round_difference(self, &self->above, variance);
    adaptive_difference below = round_difference(self, &self->below, variance);
    bool is_up = above.is_known && above.gain > 1.5 * above.error;
    bool is_down = below.is_known && below.gain > 1.5 * below.error;
    if (is_up || is_down) {
        self->width = fmin(self->width * 1.4, ADAPTIVE_WIDTH_MAX);
        return is_up && (!is_down || above.gain > below.gain) ? self->above.count : self->below.count;
    }
    bool above_is_worse = above.is_known && above.gain < -3 * above.error;
    bool below_is_worse = below.is_known && below.gain < -3 * below.error;
    if (above_is_worse || below_is_worse)
        self->width = fmax(self->width * 0.7, ADAPTIVE_WIDTH_MIN);
    else if (!is_worse(&above) && !is_worse(&below)) {
        if (below.is_known && below.gain - below.error > -ADAPTIVE_WORTH * below.distance)
            return self->below.count; /* they do the same */
        self->width = fmin(self->width * 1.3, ADAPTIVE_WIDTH_MAX);
    }
    if (!above.is_known || !below.is_known)
        return self->base;
    return (uint32_t)fmax(round(self->base * exp(round_vertex(&above, &below))), 1);
}

static void round_end(adaptive *self, const brg_load *load)
{
    uint32_t base = brg__scale_clamp(load, round_decide(self));
    self->stays = base == self->base ? self->stays + 1 : 0;
    self->base = base;
    if (self->stays < 2) {
        round_start(self, load);
        return;
    }
    self->stays = 1; /* one more round that stays, and it holds again */
    self->phase = HOLD;
    self->best = arm_mean(&self->middle);
    self->held = self->jumps = 0;
    adaptive_visit(self, base);
}

static adaptive_arm *round_arm(adaptive *self)
{
    return self->step == 1 ? &self->above : self->step == 3 ? &self->below : &self->middle;
}

static void round_next(adaptive *self, const brg_load *load)
{
    do
        self->step++;
    while (self->step < 4 && self->step % 2 == 1 && round_arm(self)->count == self->middle.count);
    if (self->step == 4)
        round_end(self, load);
    else
        adaptive_visit(self, round_arm(self)->count);
}

/* ---- seek -------------------------------------------------------------------------------------------------------- */

static void seek_end(adaptive *self, const brg_load *load)
{
    self->latest = self->best;
    self->width = ADAPTIVE_WIDTH_START;
    self->stays = 0;
    self->middle.count = 0; /* nothing is known */
    round_start(self, load);
}

/* How many times as high to go, by what is left of the CPUs. */
static uint32_t seek_factor(const adaptive *self, const brg_load *load)
{
    if (load->cpus == 0 || self->busy <= 0)
        return 2; /* nobody knows */
    double room = load->cpus / (fmax(self->cpu / self->busy, 1e-3) * self->scale.target);
    return room >= 16 ? 8 : room >= 8 ? 4 : 2;
}

static void seek_step(adaptive *self, const brg_load *load, adaptive_phase phase)
{
    uint32_t factor = self->fell_short ? 2 : seek_factor(self, load);
    uint32_t next = brg__scale_clamp(load, phase == SEEK_UP ? (uint64_t)self->base * factor : self->base / 2);
    self->phase = phase;
    if (next != self->base && next != 0)
        adaptive_visit(self, next);
    else if (phase == SEEK_UP && !self->has_climbed)
        seek_step(self, load, SEEK_DOWN);
    else
        seek_end(self, load);
}

/* What is to be gained by the step up that was made; a leap is as many doublings. */
static double seek_asked(const adaptive *self)
{
    return ADAPTIVE_SEEK_GAIN * fmax(log2((double)self->scale.target / self->base), 1);
}

/* The step up was worth it. */
static void seek_climbed(adaptive *self, const brg_load *load, double value)
{
    double distance = log((double)self->scale.target / self->base), gain = value - self->best;
    self->base = self->scale.target;
    self->best = value;
    self->has_climbed = true;
    bool is_too_far = distance > log(2) + 1e-6 && gain < ADAPTIVE_LEAP_SHARE * distance;
    seek_step(self, load, is_too_far ? SEEK_DOWN : SEEK_UP);
}

/* The visit is over, its mean is `value`. */
static void seek_next(adaptive *self, const brg_load *load, double value)
{
    bool was_leap = self->scale.target > 2 * (uint64_t)self->base;
    if (self->phase == SEEK_START) {
        self->base = self->scale.target;
        self->best = value;
        self->has_climbed = false;
        seek_step(self, load, SEEK_UP);
    } else if (self->phase == SEEK_UP && value > self->best + seek_asked(self)) {
        seek_climbed(self, load, value);
    } else if (self->phase == SEEK_UP && was_leap) {
        self->fell_short = true;
        seek_step(self, load, SEEK_UP);
    } else if (self->phase == SEEK_DOWN && value > self->best - ADAPTIVE_SEEK_LOSS) {
        self->base = self->scale.target;
        self->best = value;
        self->has_climbed = true;
        seek_step(self, load, SEEK_DOWN);
    } else if (self->phase == SEEK_UP && !self->has_climbed) {
        seek_step(self, load, SEEK_DOWN);
    } else {
        seek_end(self, load);
    }
}

static void seek_start(adaptive *self)
{
    bool is_there = self->scale.target == self->base;
    self->phase = SEEK_START;
    self->has_leapt = self->is_waiting = self->fell_short = false;
    adaptive_visit(self, self->base);
    self->skip = is_there ? 0 : 1;
}

/* An interval of the start has passed, of whatever many: leaps if its workers wait and there are no more than CPUs. */
static bool seek_leaps(adaptive *self, const brg_load *load)
{
    uint32_t factor = seek_factor(self, load);
    uint32_t next = brg__scale_clamp(load, (uint64_t)self->scale.target * factor);
    if (self->phase != SEEK_START || self->has_leapt || self->scale.target > load->cpus || factor == 2 ||
        next == self->scale.target)
        return false;
    self->has_leapt = self->is_waiting = true;
    self->base = next;
    adaptive_visit(self, next);
    return true;
}

/* ---- samples ----------------------------------------------------------------------------------------------------- */

/* Whether `value` is the third in a row that is no noise, or is one that by far is none. */
static bool adaptive_has_jumped(adaptive *self, double value, double known)
{
    double distance = fabs(value - known);
    self->jumps = distance > 4 * ADAPTIVE_JUMP ? ADAPTIVE_JUMPS : distance > ADAPTIVE_JUMP ? self->jumps + 1 : 0;
    if (self->jumps < ADAPTIVE_JUMPS)
        return false;
    self->jumps = 0;
    return true;
}

static void hold_sample(adaptive *self, const brg_load *load, double value)
{
    if (adaptive_has_jumped(self, value, self->best))
        seek_start(self);
    else if (++self->held == ADAPTIVE_HOLD_SAMPLES)
        round_start(self, load);
}

static void round_sample(adaptive *self, const brg_load *load, double value)
{
    adaptive_arm *arm = round_arm(self);
    /* Nothing is known of this count yet: its neighbours were not that far off. */
    double known = arm->weight > 1 ? arm_mean(arm) : self->latest;
    bool is_new = arm->weight <= 1 && fabs(value - known) < 4 * ADAPTIVE_JUMP;
    self->latest = value;
    if (!is_new && adaptive_has_jumped(self, value, known)) {
        seek_start(self);
        return;
    }
    arm->weight += 1;
    arm->sum += value;
    arm->squares += value * value;
    if (++self->samples == ADAPTIVE_ROUND_SAMPLES)
        round_next(self, load);
}

static void adaptive_sample(adaptive *self, const brg_load *load)
{
    double value = log((double)brg__max(self->done, 1) / self->seconds) - ADAPTIVE_COST * log(self->scale.target);
    self->done = 0;
    self->seconds = 0;
    self->intervals = 0;
    if (self->skip != 0) {
        self->skip--;
        self->cpu = self->busy = 0;
    } else if (self->phase == HOLD) {
        hold_sample(self, load, value);
    } else if (self->phase == ROUND) {
        round_sample(self, load, value);
    } else {
        self->visit_sum += value;
        if (++self->samples == ADAPTIVE_SEEK_SAMPLES)
            seek_next(self, load, self->visit_sum / self->samples);
    }
}

/* Whether the workers are as many as asked for, as far as one can see. */
static bool adaptive_is_there(const adaptive *self, const brg_load *load)
{
    uint32_t wanted = self->scale.target;
    return load->workers >= wanted && load->busy <= wanted + wanted / 16;
}

/* Whether what was seen since the last sample makes one. */
static bool adaptive_is_enough(const adaptive *self)
{
    uint64_t workers = self->scale.target, tasks = brg__min(4 * workers, ADAPTIVE_TASKS);
    if (self->is_waiting && self->phase <= SEEK_UP) /* each new worker has ended one, then as many */
        tasks = self->skip != 0 ? brg__min(workers, ADAPTIVE_TASKS) : brg__min(2 * workers + 2, ADAPTIVE_TASKS / 2);
    return self->done >= tasks || self->intervals >= ADAPTIVE_SLOWEST ||
           (self->intervals >= ADAPTIVE_SLOW && 2 * self->done >= workers);
}

/* It does not come about: goes on without. The base is taken as it is, there is nothing to go back to. */
static void adaptive_give_up(adaptive *self, const brg_load *load)
{
    self->impatience = 0;
    if (self->phase == ROUND && self->step % 2 == 1)
        round_next(self, load);
    else if (self->phase == SEEK_UP || self->phase == SEEK_DOWN)
        seek_end(self, load);
}

static void adaptive_learn(adaptive *self, const brg_load *load)
{
    if (self->phase == ROUND && self->scale.target != round_arm(self)->count) {
        round_start(self, load); /* the pool's bounds changed */
        return;
    }
    if (!adaptive_is_there(self, load) && self->impatience < ADAPTIVE_PATIENCE) {
        if (++self->impatience == ADAPTIVE_PATIENCE)
            adaptive_give_up(self, load);
        return;
    }
    self->done += self->scale.done;
    self->seconds += self->scale.seconds;
    self->cpu += self->scale.cpu * self->scale.seconds;
    self->busy += self->scale.busy * self->scale.seconds;
    self->intervals++;
    if (!seek_leaps(self, load) && adaptive_is_enough(self))
        adaptive_sample(self, load);
}

/* ---- no backlog -------------------------------------------------------------------------------------------------- */

static void adaptive_rest(adaptive *self, const brg_load *load)
{
    brg__scale *scale = &self->scale;
    self->done = 0;
    self->seconds = 0;
    self->intervals = 0;
    bool is_light = scale->target != 0 && load->queued == 0 && load->busy < scale->target &&
                    scale->busy <= ADAPTIVE_ROOM * (scale->target - 1);
    scale->calm = is_light ? scale->calm + 1 : 0;
    if (scale->calm < ADAPTIVE_CALM)
        return;
    uint32_t step = scale->target / 8 + 1, least = brg__scale_ceil(scale->busy / ADAPTIVE_ROOM);
    scale->calm = 0;
    scale->target = brg__scale_clamp(load, brg__max(scale->target - step, least));
    self->is_resting = true;
}

/* Tasks wait again: back to where it was. */
static void adaptive_return(adaptive *self, const brg_load *load)
{
    self->is_resting = false;
    if (self->phase == ROUND || self->phase == HOLD)
        adaptive_visit(self, brg__scale_clamp(load, brg__max(self->base, self->scale.target)));
    if (self->phase == ROUND)
        round_start(self, load);
    else if (self->phase != HOLD)
        seek_start(self);
}

static uint32_t adaptive_target(void *state, const brg_load *load)
{
    adaptive *self = state;
    bool is_measured = brg__scale_measure(&self->scale, load);
    /* After a rest: at once as many as there is work for. Whether there is more to learn shows later. */
    if (self->is_resting && self->scale.target < self->base && load->queued != 0)
        self->scale.target = (uint32_t)brg__max(
            self->scale.target, brg__scale_clamp(load, brg__min(self->base, load->busy + load->queued)));
    if (!is_measured)
        return self->scale.target;
    bool has_backlog = self->had_backlog && load->queued != 0;
    self->had_backlog = load->queued != 0;
    if (!has_backlog) {
        adaptive_rest(self, load);
        return self->scale.target;
    }
    self->scale.calm = 0;
    if (self->is_resting)
        adaptive_return(self, load);
    else
        adaptive_learn(self, load);
    return self->scale.target = brg__scale_clamp(load, self->scale.target);
}

static const brg_scaling_policy by_throughput = {.size = sizeof(brg_scaling_policy),
                                                 .name = "adaptive",
                                                 .state_bytes = sizeof(adaptive),
                                                 .parks = true,
                                                 .wants_cpu = true,
                                                 .init = adaptive_init,
                                                 .target = adaptive_target};
const brg_scaling_policy *const brg_scaling_adaptive = &by_throughput;
