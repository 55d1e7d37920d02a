/* SPDX-License-Identifier: MIT */
/* Tasks of flows: submitted past admission, and their hooks called outside of all locks. */
#include "pool/hooked.h"

#include <string.h>

#include "base/options.h"
#include "pool/extras.h"
#include "pool/pool.h"
#include "pool/submit.h"
#include "worker/supervisor.h"

/* ---- hooks ------------------------------------------------------------------------------------------------------- */

/* Those this thread has to call, while it calls one. */
static _Thread_local struct hooked_due {
    brg_task *first, *last;
    bool is_calling;
} hooked_due;

static void hooked_call(brg_task *task, brg__slot *slot)
{
    task->hook(task, task->user_data);
    brg__task_drop(task, slot);
}

static void hooked_call_due(void)
{
    struct hooked_due *due = &hooked_due;
    while (due->first != NULL) {
        brg_task *task = due->first;
        brg_pool *pool = task->pool;
        due->first = task->next;
        hooked_call(task, NULL);
        brg__pool_unref(pool);
    }
}

void brg__hooked_run(brg_task *first)
{
    struct hooked_due *due = &hooked_due;
    brg_task *last = first;
    while (last->next != NULL)
        last = last->next;
    if (due->first == NULL)
        due->first = first;
    else
        due->last->next = first;
    due->last = last;
    if (due->is_calling)
        return;
    due->is_calling = true;
    hooked_call_due();
    due->is_calling = false;
}

void brg__hooked_settled(brg_task *task, brg__slot *slot)
{
    brg_pool *pool = task->pool;
    if (slot == NULL) {
        task->next = NULL;
        if (pool->hooked_first == NULL)
            pool->hooked_first = task;
        else
            pool->hooked_last->next = task;
        pool->hooked_last = task;
        pool->has_chores = true;
        brg__pool_ref(pool); /* its tasks have all settled then: it may be destroyed before the hook has run */
        return;
    }
    struct hooked_due *due = &hooked_due;
    bool is_outer = !due->is_calling;
    due->is_calling = true;
    hooked_call(task, slot);
    if (is_outer) {
        hooked_call_due();
        due->is_calling = false;
    }
}

brg_value *brg__hooked_take_output(brg_task *task)
{
    brg_value *output = task->result.output;
    task->result.output = NULL;
    return output;
}

brg_value *brg__hooked_take_detail(brg_task *task)
{
    brg_value *detail = task->result.detail;
    task->result.detail = NULL;
    return detail;
}

brg_error *brg__hooked_take_error(brg_task *task)
{
    brg_error *error = task->error;
    task->error = NULL;
    return error;
}

/* ---- submitting -------------------------------------------------------------------------------------------------- */

static brg_status hooked_check(const brg_submit_options *options, brg_error *error)
{
    const char *what = options->done != NULL                                        ? "done"
                       : options->token != NULL                                     ? "token"
                       : options->group != NULL                                     ? "group"
                       : options->after_count != 0                                  ? "after"
                       : options->on_progress != NULL || options->progress_max != 0 ? "progress"
                                                                                    : NULL;
    if (what == NULL)
        return BRG_OK;
    return brg_error_set(error, BRG_INVALID, "flow", "tasks of a flow cannot have the submit option %s", what);
}

brg_status brg__hooked_init(brg__hooked *hooked, const brg_submit_options *options, brg_error *error)
{
    brg_pool *pool = hooked->pool;
    hooked->pool = NULL;
    brg_submit_options given;
    memset(&given, 0, sizeof(given));
    given.size = sizeof(given);
    brg_status status = options == NULL
                            ? BRG_OK
                            : brg__options_read(&given, sizeof(given), options, "brg_submit_options", error);
    if (status == BRG_OK)
        status = hooked_check(&given, error);
    if (status != BRG_OK)
        return status;
    given.size = sizeof(given);
    given.error = error;
    brg__work work;
    if (hooked->run == NULL)
        status = brg__submit_read_named(pool, hooked->name, NULL, &given, &hooked->options, &work);
    else if (brg__pool_has_processes(pool))
        status = brg_error_set(error, BRG_UNSUPPORTED, "flow",
                               "process workers cannot see this program's functions: put the task into a module");
    else
        status = brg__submit_read_options(pool, &given, &hooked->options);
    if (status != BRG_OK)
        return status;
    hooked->options.error = NULL;
    hooked->pool = pool;
    brg__pool_ref(pool);
    return BRG_OK;
}

void brg__hooked_done(brg__hooked *hooked)
{
    if (hooked->pool != NULL)
        brg__pool_unref(hooked->pool);
    hooked->pool = NULL;
}

static void hooked_fill_locked(const brg__hooked *hooked, brg_task *task, const brg__work *work, void *user_data)
{
    brg__submit_fill_locked(hooked->pool, task, work, &hooked->options, false);
    task->kind |= BRG__TASK_HANDLE; /* it may be cancelled in a worker's hand */
    task->xreferences = 1;
    task->id = hooked->pool->submitted + 1;
    task->ticket = 0;
    task->hook = hooked->hook;
    task->user_data = user_data;
}

static brg_status hooked_refuse(const brg__hooked *hooked, brg_status status, brg_error *error)
{
    brg_submit_options options = hooked->options;
    options.error = error;
    brg__submit_error(hooked->pool, &options, status);
    return status == BRG_RANGE ? BRG_INVALID : status;
}

static brg_status hooked_submit_locked(const brg__hooked *hooked, const brg__work *work, void *user_data,
                                       brg_task **xtask, brg_error *error)
{
    brg_pool *pool = hooked->pool;
    if (pool->mode != BRG__POOL_OPEN || pool->breaker_until != 0)
        return hooked_refuse(hooked, pool->mode != BRG__POOL_OPEN ? BRG_CLOSED : BRG_UNAVAILABLE, error);
    brg_task *task = brg__task_new_locked(pool);
    if (task == NULL)
        return hooked_refuse(hooked, BRG_NO_MEMORY, error);
    hooked_fill_locked(hooked, task, work, user_data);
    brg_status status = brg__submit_prepare_locked(pool, task, &hooked->options);
    if (status != BRG_OK) {
        brg__task_discard(task);
        return hooked_refuse(hooked, status, error);
    }
    brg__submit_accept_locked(pool, task, &hooked->options);
    brg_store_release(xtask, task); /* pairs with who cancels it */
    brg__pool_count_locked(pool, task);
    if (BRG__UNLIKELY(hooked->options.delay_ns != 0))
        brg__task_delay_locked(pool, task, brg__add_saturated(task->submitted_ns, hooked->options.delay_ns));
    else
        brg__task_ready_locked(pool, task);
    return BRG_OK;
}

brg_status brg__hooked_submit(const brg__hooked *hooked, brg_value *input, void *user_data, brg_task **xtask,
                              brg_error *error)
{
    brg_pool *pool = hooked->pool;
    brg__work work = {.name = hooked->name,
                      .stage = hooked->run,
                      .argument = hooked->state,
                      .input = input,
                      .kind = BRG__TASK_HOOKED};
    if (hooked->run == NULL && brg_load_relaxed(&pool->options.batch_size) > 1)
        work.kind |= BRG__TASK_BATCHED;
    if (input != NULL) {
        brg_status status = brg__submit_check_input(pool, input, &work.input_bytes, error);
        if (status != BRG_OK)
            return status;
    }
    brg__pool_lock(pool);
    brg_status status = hooked_submit_locked(hooked, &work, user_data, xtask, error);
    brg__pool_unlock(pool);
    return status;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

brg_loop *brg__hooked_loop(const brg_pool *pool) { return pool->options.loop; }
uint64_t brg__hooked_spin_ns(const brg_pool *pool) { return pool->options.no_spin ? 0 : pool->options.spin_ns; }
bool brg__hooked_is_own_task(const brg_pool *pool) { return brg__pool_own_slot(pool) != NULL; }

uint64_t brg__hooked_least(const brg__hooked *hooked)
{
    const brg_pool_options *options = &hooked->pool->options;
    uint64_t batch = hooked->run != NULL ? 1 : brg__max(brg_load_relaxed(&options->batch_size), 1);
    return 2 * batch * brg_load_relaxed(&options->workers_max);
}

_Static_assert(sizeof(brg__later) == sizeof(brg__call) && offsetof(brg__later, run) == offsetof(brg__call, run),
               "a brg__call under a name that flows may know");

void brg__hooked_later(brg__later *later) { brg__supervisor_call((brg__call *)(void *)later); }
