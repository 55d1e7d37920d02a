/* SPDX-License-Identifier: MIT */
/* How tasks ended, against what is known of them. */
#include "model.h"

#include <signal.h>
#include <stdio.h>

/* A set of statuses. */
#define END(status_) ((uint64_t)1 << -(int)(BRG_##status_))
#define END_OF(status_) ((uint64_t)1 << -(int)(status_))

#define CHECK(order_, condition_, ...)                                                                                 \
    do {                                                                                                               \
        if (!(condition_)) {                                                                                           \
            model_print_order(order_);                                                                                 \
            model_fail((order_)->run, __FILE__, __LINE__, #condition_ ": " __VA_ARGS__);                               \
        }                                                                                                              \
    } while (0)

/* ---- what a result says ------------------------------------------------------------------------------------------ */

static brg_task_state check_state_of(brg_status status)
{
    return status == BRG_OK          ? BRG_TASK_DONE
           : status == BRG_CANCELLED ? BRG_TASK_CANCELLED
           : status == BRG_TIMED_OUT ? BRG_TASK_TIMED_OUT
           : status == BRG_LOST      ? BRG_TASK_LOST
                                     : BRG_TASK_FAILED;
}

static int check_exit_code(const model_order *order) { return (int)(order->id % 100 + 1); }

void model_check_result(const model_order *order, const brg_result *result)
{
    const brg_error *error = result->error;
    brg_status status = result->status;
    CHECK(order, (status == BRG_OK) == (error == NULL), "%s", brg_status_name(status));
    CHECK(order, error == NULL || error->status == status, "%s", brg_status_name(error->status));
    CHECK(order, result->state == check_state_of(status), "%s", brg_task_state_name(result->state));
    CHECK(order, result->attempts <= order->attempts_max, "%u", result->attempts);
    CHECK(order, status != BRG_OK || result->attempts != 0, "it never ran");
    bool has_output = status == BRG_OK && order->kind < MODEL_CALL;
    CHECK(order, (result->output != NULL) == has_output, "%s", brg_status_name(status));
    if (has_output)
        CHECK(order, brg_view_get_int(brg_value_root(result->output), "id", -1) == order->id, "another's output");
    if (status == BRG_FAILED)
        CHECK(order, error->code == order->id, "code %lld", (long long)error->code);
    if (status == BRG_FAILED && (order->kind == MODEL_FAIL || order->kind == MODEL_FLAKY))
        CHECK(order, brg_view_get_int(brg_value_root(result->detail), "id", -1) == order->id, "another's detail");
    if (status == BRG_CRASHED)
        CHECK(order, error->signal == SIGABRT, "signal %d", error->signal);
    if (status == BRG_EXITED && !order->run->has_batches)
        CHECK(order, error->exit_code == check_exit_code(order), "code %d", error->exit_code);
}

/* Parts come in order, from the first again in each attempt. */
void model_check_part(model_order *order, const brg_value *value)
{
    brg_view root = brg_value_root(value);
    int64_t part = brg_view_get_int(root, "part", -1);
    CHECK(order, brg_view_get_int(root, "id", -1) == order->id, "another's part");
    CHECK(order, part == 0 || part == order->parts_seen, "part %lld after %lld", (long long)part,
          (long long)order->parts_seen);
    order->parts_seen = part + 1;
}

/* ---- how it may end ---------------------------------------------------------------------------------------------- */

static bool order_retries(const model_order *order, uint32_t class)
{
    return (order->run->options.retry_on & class) != 0;
}

/* What it does by itself, if nobody interferes; and after how many attempts. */
static uint64_t order_own_end(const model_order *order, uint32_t *attempts)
{
    uint32_t max = order->attempts_max, limit = order->run->options.crash_limit;
    *attempts = 1;
    switch (order->kind) {
    case MODEL_FAIL:
    case MODEL_CALL_FAIL:
        *attempts = order_retries(order, BRG_RETRY_FAILED) ? max : 1;
        return END(FAILED);
    case MODEL_FLAKY:
        *attempts = order_retries(order, BRG_RETRY_FAILED) ? (order->until < max ? order->until : max) : 1;
        return *attempts == order->until ? END(OK) : END(FAILED);
    case MODEL_CRASH:
    case MODEL_EXIT:
        if (order->run->has_batches) { /* a batch dies of one of them */
            *attempts = 0;
            return END(CRASHED) | END(EXITED) | END(POISONED);
        }
        if (order_retries(order, BRG_RETRY_CRASH))
            *attempts = max <= limit ? max : limit;
        return *attempts >= limit && *attempts < max ? END(POISONED)
               : order->kind == MODEL_CRASH          ? END(CRASHED)
                                                     : END(EXITED);
    case MODEL_BATCH:
        *attempts = order->fails && order_retries(order, BRG_RETRY_FAILED) ? max : 1;
        return order->fails ? END(FAILED) : END(OK);
    case MODEL_MISSING:
        return END(NOT_FOUND);
    case MODEL_POLITE:
        *attempts = 0;
        return END(TIMED_OUT);
    default:
        return END(OK);
    }
}

/* Beside that: where its attempts may have been cut short. */
static uint64_t order_cut_ends(const model_order *order)
{
    switch (order->kind) {
    case MODEL_FLAKY:
        return END(FAILED) | END(OK);
    case MODEL_CRASH:
        return END(CRASHED) | END(POISONED);
    case MODEL_EXIT:
        return END(EXITED) | END(POISONED);
    default:
        return 0;
    }
}

static bool order_may_be_cancelled(const model_order *order)
{
    model_run *run = order->run;
    return atomic_load(&order->may_cancel) || atomic_load(&run->is_closing) ||
           (order->token >= 0 && atomic_load(&run->tokens[order->token].is_cancelled)) ||
           (order->group >= 0 && atomic_load(&run->groups[order->group].is_cancelled));
}

/* One that it was to run after did not end well: it must not run. */
static bool order_is_doomed(const model_order *order)
{
    if (order->must_cancel)
        return true;
    for (uint32_t i = 0; i < order->after_count && !order->after_any; i++)
        if (brg_task_result(order->run->orders[order->after[i]].task)->status != BRG_OK)
            return true;
    return false;
}

static bool run_may_be_inline(const model_run *run)
{
    return run->options.admission == BRG_ADMISSION_CALLER_RUNS && run->options.isolation == BRG_ISOLATION_THREAD;
}

static uint64_t order_allowed(const model_order *order, uint32_t *attempts)
{
    const brg_pool_options *options = &order->run->options;
    bool doomed = order_is_doomed(order), cancelled = order_may_be_cancelled(order);
    uint64_t ends = doomed ? END(CANCELLED) : order_own_end(order, attempts);
    bool drops = options->admission == BRG_ADMISSION_DROP_OLDEST || options->admission == BRG_ADMISSION_DROP_NEWEST;
    if (cancelled)
        ends |= END(CANCELLED);
    if (order->has_clock)
        ends |= END(TIMED_OUT);
    if (drops)
        ends |= END(FULL);
    if (!doomed && (cancelled || order->has_clock))
        ends |= order_cut_ends(order);
    if (!doomed && order->kind == MODEL_POLITE && run_may_be_inline(order->run))
        ends |= END(OK) | END(FAILED); /* it lost its patience; nobody enforced its timeout */
    if (doomed || cancelled || order->has_clock)
        *attempts = 0; /* not known */
    return ends;
}

static void check_end(const model_order *order)
{
    uint32_t attempts = 0, starts = atomic_load(&order->run->board->lines[order->id].starts);
    uint64_t ends = order_allowed(order, &attempts);
    CHECK(order, (END_OF(order->status) & ends) != 0, "it must not end so: %s", brg_status_name(order->status));
    CHECK(order, starts <= order->attempts + order->run->has_batches, "more starts than attempts");
    if (attempts != 0 && order->status != BRG_FULL)
        CHECK(order, order->attempts == attempts, "%u attempts expected", attempts);
    if (attempts != 0 && order->status != BRG_FULL && order->kind != MODEL_MISSING && !order->run->has_batches)
        CHECK(order, starts == attempts, "%u starts expected", attempts);
    if (order_is_doomed(order))
        CHECK(order, starts == 0, "it was not to run");
}

/* What it was to run after had ended before it began. */
static void check_after(const model_order *order)
{
    board_line *line = &order->run->board->lines[order->id];
    uint64_t first = atomic_load(&line->first_start);
    for (uint32_t i = 0; i < order->after_count && first != 0; i++) {
        board_line *other = &order->run->board->lines[order->after[i]];
        CHECK(order, atomic_load(&other->last_start) < first && atomic_load(&other->last_end) < first,
              "it began before %u had ended", order->after[i]);
    }
}

static void check_config(const model_order *order)
{
    uint64_t seen = atomic_load(&order->run->board->lines[order->id].config);
    if (order->status == BRG_OK && order->kind < MODEL_CALL && order->parent == 0 && !run_may_be_inline(order->run) &&
        !(order->run->has_batches && order->run->options.isolation == BRG_ISOLATION_THREAD))
        CHECK(order, seen >= order->config, "it saw configuration %llu, not %llu", (unsigned long long)seen,
              (unsigned long long)order->config);
}

/* As many parts as it says. */
static void check_parts(model_order *order, const brg_result *result)
{
    brg_value *value = NULL;
    brg_status status = BRG_CLOSED;
    while (order->pulls && (status = brg_task_progress(order->task, &value, 0)) == BRG_OK) {
        model_check_part(order, value);
        brg_value_unref(value);
    }
    CHECK(order, status == BRG_CLOSED, "%s", brg_status_name(status));
    if (result->status == BRG_OK && result->attempts == 1 && (order->listens || order->pulls) &&
        order->kind < MODEL_CALL)
        CHECK(order, order->parts_seen == brg_view_get_int(brg_value_root(result->output), "sent", -1), "%lld parts",
              (long long)order->parts_seen);
}

static void check_order(model_order *order)
{
    const brg_result *result = order->task == NULL ? NULL : brg_task_result(order->task);
    if (!atomic_load(&order->is_accepted)) {
        CHECK(order, atomic_load(&order->run->board->lines[order->id].starts) == 0, "it ran though it was refused");
        CHECK(order, atomic_load(&order->dones) == 0, "it was done though it was refused");
        return;
    }
    CHECK(order, atomic_load(&order->dones) == (order->has_done ? 1u : 0u), "calls of done");
    CHECK(order, order->task == NULL || result != NULL, "it has not settled");
    order->is_known = result != NULL || order->has_done;
    if (result != NULL) {
        CHECK(order, !order->has_done || (order->status == result->status && order->attempts == result->attempts),
              "done said %s", brg_status_name(order->status));
        order->status = result->status;
        order->attempts = result->attempts;
        model_check_result(order, result);
        check_parts(order, result);
    }
    if (!order->is_known)
        return;
    check_end(order);
    check_after(order);
    check_config(order);
}

static uint32_t check_count(model_run *run) { return atomic_load(&run->order_count); }

void model_check_orders(model_run *run)
{
    board *all = run->board;
    if (atomic_load(&all->wrong) != 0 && atomic_load(&all->wrong_id) <= check_count(run))
        model_print_order(&run->orders[atomic_load(&all->wrong_id)]);
    MODEL_MUST(run, atomic_load(&all->wrong) == 0, "order %u saw wrong %u", atomic_load(&all->wrong_id),
               atomic_load(&all->wrong_what));
    for (uint32_t i = 1; i <= check_count(run); i++)
        check_order(&run->orders[i]);
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

void model_check_stats(model_run *run)
{
    brg_pool_stats stats;
    do /* what new workers run first may show as running for a moment */
        stats = scenario_stats(run->pool);
    while (stats.running != 0);
    uint64_t known[BRG_TASK_LOST + 1] = {0}, unknown = 0, dropped = 0, retried = 0;
    uint64_t submitted = atomic_load(&run->accepted) + atomic_load(&run->all_accepted);
    for (uint32_t i = 1; i <= check_count(run); i++) {
        const model_order *order = &run->orders[i];
        if (!atomic_load(&order->is_accepted))
            continue;
        unknown += !order->is_known;
        if (!order->is_known)
            continue;
        known[check_state_of(order->status)]++;
        dropped += order->status == BRG_FULL;
        retried += order->attempts > 1 ? order->attempts - 1 : 0;
    }
    unknown += atomic_load(&run->all_accepted);
    const uint64_t counts[] = {stats.done, stats.failed, stats.cancelled, stats.timed_out, stats.lost};
    uint64_t sum = 0, over = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t there = known[BRG_TASK_DONE + i];
        MODEL_MUST(run, counts[i] >= there, "state %d: counted %llu of %llu", i, (unsigned long long)counts[i],
                   (unsigned long long)there);
        sum += counts[i];
        over += counts[i] - there;
    }
    MODEL_MUST(run, stats.submitted == submitted, "submitted %llu of %llu", (unsigned long long)stats.submitted,
               (unsigned long long)submitted);
    MODEL_MUST(run, sum == submitted && over == unknown, "settled %llu of %llu", (unsigned long long)sum,
               (unsigned long long)submitted);
    MODEL_MUST(run, stats.queued == 0 && stats.running == 0, "queued %llu running %llu",
               (unsigned long long)stats.queued, (unsigned long long)stats.running);
    MODEL_MUST(run, stats.rejected == atomic_load(&run->refused), "rejected %llu of %u",
               (unsigned long long)stats.rejected, atomic_load(&run->refused));
    MODEL_MUST(run, stats.dropped >= dropped && stats.dropped <= dropped + unknown, "dropped %llu of %llu",
               (unsigned long long)stats.dropped, (unsigned long long)dropped);
    MODEL_MUST(run, stats.retried >= retried, "retried %llu of %llu", (unsigned long long)stats.retried,
               (unsigned long long)retried);
    MODEL_MUST(run, stats.workers_start_failed == 0, "%llu starts failed: %s",
               (unsigned long long)stats.workers_start_failed, run->ended_badly);
}

void model_check_groups(model_run *run)
{
    for (int g = 0; g < MODEL_GROUPS; g++) {
        brg_group_counts counts = {.size = sizeof(counts)};
        uint64_t known[BRG_TASK_LOST + 1] = {0}, accepted = atomic_load(&run->groups[g].accepted), unknown = 0;
        MODEL_MUST(run, brg_group_get_counts(run->groups[g].group, &counts) == BRG_OK, "counts");
        for (uint32_t i = 1; i <= check_count(run); i++) {
            const model_order *order = &run->orders[i];
            if (order->group != g || !atomic_load(&order->is_accepted))
                continue;
            unknown += !order->is_known;
            if (order->is_known)
                known[check_state_of(order->status)]++;
        }
        MODEL_MUST(run, counts.submitted == accepted && counts.pending == 0, "group %d: %llu of %llu, %llu pending", g,
                   (unsigned long long)counts.submitted, (unsigned long long)accepted,
                   (unsigned long long)counts.pending);
        uint64_t over = counts.done - known[BRG_TASK_DONE] + counts.failed - known[BRG_TASK_FAILED] + counts.cancelled -
                        known[BRG_TASK_CANCELLED] + counts.timed_out - known[BRG_TASK_TIMED_OUT] + counts.lost -
                        known[BRG_TASK_LOST];
        MODEL_MUST(run,
                   counts.done >= known[BRG_TASK_DONE] && counts.failed >= known[BRG_TASK_FAILED] && over == unknown,
                   "group %d: done %llu of %llu", g, (unsigned long long)counts.done,
                   (unsigned long long)known[BRG_TASK_DONE]);
        MODEL_MUST(run, atomic_load(&run->groups[g].whens) == atomic_load(&run->groups[g].calls), "group %d: when done",
                   g);
    }
}
