/* SPDX-License-Identifier: MIT */
/* Process workers, the owner's side: sending, and the end. See process.h. */
#include "worker/process.h"

#include <stdio.h>
#include <string.h>

#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/process.h"

#define PROCESS_TERM_NS BRG_MILLISECONDS(50) /* between SIGTERM and SIGKILL */

static brg__process *process_of(const brg_worker *worker) { return worker->process; }

int64_t brg__process_worker_id(const brg_worker *worker) { return brg_load_relaxed(&process_of(worker)->xpid); }

/* ---- to the worker ----------------------------------------------------------------------------------------- */

void brg__process_wake(brg__process *process)
{
    brg__gate *gate = &process->segment->request.consumer;
    brg_fence_seq_cst(); /* pairs with brg__gate_prepare in the worker */
    if (brg_load_relaxed(&gate->xsleeping) == BRG__SLEEPS_NOT)
        return;
    uint32_t how = brg_exchange_seq_cst(&gate->xsleeping, (uint32_t)BRG__SLEEPS_NOT);
    if (how == BRG__SLEEPS_IN_LOOP)
        brg__event_signal(process->bell);
    else if (how != BRG__SLEEPS_NOT)
        brg__futex_wake(&gate->xsleeping, 1, BRG__FUTEX_SHARED);
}

/* Takes a place among the messages that the worker has not received yet. */
static bool process_take_place(brg__process *process)
{
    uint64_t before = brg_add_relaxed(&process->xmessages_sent, (uint64_t)1);
    uint64_t taken = brg_load_acquire(&process->segment->xtaken); /* a lie only changes the worker's own bound */
    if (before - taken < process->worker->options.mailbox_max || taken > before)
        return true;
    brg_sub_relaxed(&process->xmessages_sent, (uint64_t)1);
    return false;
}

static brg_status process_try_post(brg__process *process, const brg_value *message, brg_error *error)
{
    brg_worker *worker = process->worker;
    brg__departures departures = {0};
    if (brg_load_acquire(&worker->xasked) != 0 || brg__worker_is_over(worker))
        return BRG_CLOSED;
    if (!process_take_place(process))
        return BRG_FULL;
    brg__frame head = {.kind = BRG__REQUEST_MESSAGE};
    brg_status status = brg__link_send(&process->link, &head, message, &departures, error);
    if (status != BRG_OK)
        brg_sub_relaxed(&process->xmessages_sent, (uint64_t)1);
    brg__departures_run(&departures);
    return status;
}

static brg_status process_post(brg_worker *worker, brg_value *message, uint64_t deadline_ns, brg_error *error)
{
    brg__process *process = process_of(worker);
    brg__gate *room = &process->segment->mail.producer;
    for (;;) {
        brg_status status = process_try_post(process, message, error);
        if (status == BRG_FULL && deadline_ns != 0) {
            brg__gate_prepare(room);
            status = process_try_post(process, message, error);
        }
        if (status == BRG_OK)
            brg_value_unref(message);
        if (status != BRG_FULL || deadline_ns == 0)
            return status;
        if (!brg__futex_wait(&room->xsleeping, 1, deadline_ns, BRG__FUTEX_SHARED))
            return BRG_TIMED_OUT;
    }
}

/* Whether anything in it has a number on the link: then it goes through the mail, where such numbers have their order.
 * */
bool brg__process_goes_by_mail(const brg_value *input)
{
    for (uint32_t i = 0; input != NULL && i < input->object_count; i++)
        if (input->objects[i].type != BRG_TYPE_BUFFER || brg_buffer_is_region(input->objects[i].xpointer))
            return true;
    return false;
}

static brg_status process_write_task_locked(brg__process *process, const brg_value *input, const brg__frame *given,
                                            const char *name, brg__departures *departures, brg__sent *sent)
{
    bool by_mail = brg__process_goes_by_mail(input);
    size_t name_bytes = strlen(name), name_room = brg__align_up(name_bytes, 8);
    brg__frame *frame = NULL;
    brg_status status = brg__ring_reserve(&process->request, name_room + (by_mail ? 0 : brg__wire_size(input, NULL)),
                                          &frame);
    if (status != BRG_OK)
        return status;
    const brg__frame head = {.kind = BRG__REQUEST_INPUT, .id = given->id};
    if (by_mail)
        status = brg__link_queue_locked(&process->link, &head, input, departures, NULL);
    if (status != BRG_OK) {
        frame->kind = BRG__REQUEST_NOTHING;
        brg__ring_publish(&process->request);
        brg__process_wake(process); /* else it would lie there until there is a task, for which there may be no room */
        return status;
    }
    frame->kind = BRG__REQUEST_TASK;
    frame->id = given->id;
    frame->word[0] = given->word[0];
    frame->word[1] = name_bytes;
    frame->word[2] = by_mail;
    frame->word[3] = given->word[3];
    memcpy(frame + 1, name, name_bytes);
    if (!by_mail)
        brg__wire_write(input, NULL, (char *)(frame + 1) + name_room);
    sent->position = process->request.next;
    /* What moves cannot be taken back. */
    sent->xclaim = input != NULL && brg__value_has_movables(input) ? NULL : &frame->xclaim;
    return BRG_OK;
}

brg_status brg__process_send_task(brg_worker *worker, uint64_t ticket, uint32_t attempt, uint32_t progress_max,
                                  const char *name, const brg_value *input, brg__sent *sent)
{
    brg__process *process = process_of(worker);
    brg__departures departures = {0};
    const brg__frame given = {.id = ticket, .word = {[0] = attempt, [3] = progress_max}};
    brg__lock_acquire(&process->link.send_lock);
    brg_status status = process_write_task_locked(process, input, &given, name, &departures, sent);
    brg__lock_release(&process->link.send_lock);
    brg__departures_run(&departures);
    return status;
}

void brg__process_publish(brg_worker *worker)
{
    brg__process *process = process_of(worker);
    brg__lock_acquire(&process->link.send_lock);
    brg__ring_publish(&process->request);
    brg__lock_release(&process->link.send_lock);
    brg__process_wake(process);
}

bool brg__process_recall(brg_worker *worker, const brg__sent *sent)
{
    brg__process *process = process_of(worker);
    if (sent->xclaim == NULL)
        return false;
    brg__lock_acquire(&process->link.send_lock);
    /* Past the checked head the frame's memory may be another's; before it the claim is still this frame's. */
    uint32_t free_claim = BRG__CLAIM_FREE;
    bool recalled = sent->position > process->request.head &&
                    brg_cas_acq_rel(sent->xclaim, &free_claim, (uint32_t)BRG__CLAIM_RECALLED);
    brg__lock_release(&process->link.send_lock);
    return recalled;
}

void brg__process_cancel(brg_worker *worker, uint64_t ticket)
{
    brg__process *process = process_of(worker);
    brg_store_release(&process->segment->xcancel, ticket);
    brg__event_signal(process->cancel_event);
    brg__process_wake(process); /* its task may wait for a port or a lock */
}

/* Senders that wait for room look again, and find the worker closed. */
static void process_closed(brg_worker *worker)
{
    brg__gate *room = &process_of(worker)->segment->mail.producer;
    brg_store_seq_cst(&room->xsleeping, 0u);
    brg__futex_wake(&room->xsleeping, INT32_MAX, BRG__FUTEX_SHARED);
}

static void process_ask(brg_worker *worker)
{
    brg__process *process = process_of(worker);
    brg_store_release(&process->segment->xstop, 1u);
    brg__process_cancel(worker, UINT64_MAX);
    brg__process_wake(process); /* it posts no more if it waits for room */
    process_closed(worker);
}

void brg__process_break(brg__process *process, brg_status status, const char *why)
{
    if (brg_exchange_acq_rel(&process->xbroken, true))
        return;
    char message[160];
    if (status == BRG_PROTOCOL)
        snprintf(message, sizeof(message), "worker %llu broke the protocol: %s",
                 (unsigned long long)process->worker->id, why);
    else
        snprintf(message, sizeof(message), "worker %llu was ended: %s", (unsigned long long)process->worker->id, why);
    brg__worker_end_now(process->worker, status, message);
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

void brg__process_sever(brg__process *process)
{
    brg__link_die(&process->link);
    if (process->has_client)
        brg__service_client_gone(&process->client);
}

static void process_describe_signal(brg__process *process, brg_exit *exit)
{
    brg_worker *worker = process->worker;
    brg_error *error = &exit->error;
    int reported = 0;
    uint64_t address = 0;
    char trace[sizeof(error->backtrace)];
    bool has_report = brg__crash_read(&process->segment->crash, &reported, &address, trace, sizeof(trace));
    exit->status = BRG_CRASHED;
    if (brg_load_relaxed(&process->segment->xmemory_failed) != 0) {
        exit->status = BRG_NO_MEMORY;
        brg_error_set(error, BRG_NO_MEMORY, "worker", "worker %llu ran out of memory and was ended by signal %d (%s)",
                      (unsigned long long)worker->id, exit->signal, brg__signal_name(exit->signal));
    } else {
        brg_error_set(error, BRG_CRASHED, "worker", "worker %llu was ended by signal %d (%s)%s",
                      (unsigned long long)worker->id, exit->signal, brg__signal_name(exit->signal),
                      has_report ? "" : ", without a report");
    }
    error->signal = exit->signal;
    if (has_report && reported == exit->signal)
        snprintf(error->backtrace, sizeof(error->backtrace), "%s", trace);
}

static void process_finish(brg__process *process, const brg__process_end *end)
{
    brg_worker *worker = process->worker;
    brg_exit exit;
    memset(&exit, 0, sizeof(exit));
    exit.exit_code = end->exit_code;
    exit.signal = end->signal;
    bool asked = brg_load_acquire(&worker->xasked) != 0;
    if (end->signal != 0 && !asked) {
        process_describe_signal(process, &exit);
    } else if (end->signal == 0 && end->exit_code != 0) {
        exit.status = BRG_EXITED;
        brg_error_set(&exit.error, BRG_EXITED, "worker", "worker %llu exited with code %d",
                      (unsigned long long)worker->id, end->exit_code);
        exit.error.exit_code = end->exit_code;
    }
    brg__worker_ended(worker, BRG__LIFE_ENDED, &exit);
}

/* Supervisor. */
void brg__process_exited(brg__poll_source *source)
{
    brg__process *process = brg__container_of(source, brg__process, pid_source);
    brg_worker *worker = process->worker;
    brg__process_end end;
    if (!brg__process_reap(process->xpidfd, &end))
        return;
    brg__process_unwatch(process);
    brg__supervisor_unwatch(&process->pid_source);
    brg__process_pump_rest(process); /* what it sent before it ended arrives before its exit */
    brg__process_sever(process);
    brg__template_release(&process->spawn);
    brg__usage_process_ended(worker, end.cpu_ns);
    process_finish(process, &end);
    brg__worker_unref(worker);
}

static bool process_end(brg_worker *worker)
{
    brg__process *process = process_of(worker);
    if (process->xpidfd < 0) { /* no process yet: when the answer comes it is killed at once */
        brg_exit exit;
        memset(&exit, 0, sizeof(exit));
        brg__template_hurry(&process->spawn);
        brg__process_sever(process);
        brg__worker_ended(worker, BRG__LIFE_ENDED, &exit);
        return true;
    }
    bool at_once = brg_load_relaxed(&worker->xasked) != 1 || process->signals == 1;
    if (process->signals == 0 && !at_once) {
        brg__process_signal(process->xpidfd, 15);
        process->signals = 1;
        process->kill_at = brg__deadline(PROCESS_TERM_NS);
        return false;
    }
    if (process->signals == 1 && brg__now() < process->kill_at)
        return false;
    brg__process_signal(process->xpidfd, 9);
    process->signals = 2;
    return true;
}

const brg__isolation_ops brg__isolation_process = {.start = brg__process_start,
                                                   .post = process_post,
                                                   .ask = process_ask,
                                                   .closed = process_closed,
                                                   .end = process_end,
                                                   .pump = brg__process_pump,
                                                   .unpump = brg__process_unpump,
                                                   .took = brg__process_took,
                                                   .free = brg__process_free};
