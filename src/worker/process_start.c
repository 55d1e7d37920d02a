/* SPDX-License-Identifier: MIT */
/* Process workers, the owner's side: segment, link and process. See process.h. */
#include <stdio.h>
#include <string.h>

#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/process.h"
#include "worker/process.h"

#define PROCESS_NAME_ROOM 256 /* a task frame's name and padding */

/* ---- the link's side of us ------------------------------------------------------------------------------------- */

static brg__process *process_of_link(brg__link *link) { return brg__container_of(link, brg__process, link); }

static void process_link_wake(brg__link *link) { brg__process_wake(process_of_link(link)); }

static void process_flush_call(brg__call *call)
{
    brg__process *process = brg__container_of(call, brg__process, flush_call);
    brg_worker *worker = process->worker;
    brg_store_seq_cst(&process->xflush_posted, 0u);
    brg__link_flush(&process->link);
    brg__worker_unref(worker);
}

static void process_link_later(brg__link *link)
{
    brg__process *process = process_of_link(link);
    if (brg_exchange_seq_cst(&process->xflush_posted, 1u) != 0)
        return;
    brg__worker_ref(process->worker);
    process->flush_call.run = process_flush_call;
    brg__supervisor_call(&process->flush_call);
}

static void process_link_want_room(brg__link *link)
{
    brg__process *process = process_of_link(link);
    brg__ring_shared *mail = &process->segment->mail;
    brg_store_seq_cst(&process->segment->xwants_room, 1u); /* pairs with child_tell_room */
    brg_fence_seq_cst();
    /* It took all there was before it could see that: it will not tell us. */
    if (brg_load_acquire(&mail->xhead) == brg_load_relaxed(&mail->xtail))
        process_link_later(link);
}

static void process_link_broken(brg__link *link, brg_status status, const char *why)
{
    brg__process_break(process_of_link(link), status, why);
}

static bool process_link_pump(brg__link *link) { return brg__process_pump(process_of_link(link)->worker); }
static void process_link_unpump(brg__link *link) { brg__process_unpump(process_of_link(link)->worker); }
static void process_link_ref(brg__link *link) { brg__worker_ref(process_of_link(link)->worker); }
static void process_link_unref(brg__link *link) { brg__worker_unref(process_of_link(link)->worker); }

static brg_status process_link_service(brg__link *link, const brg__frame *frame, const brg_value *value,
                                       const brg_error *error)
{
    brg__process *process = process_of_link(link);
    if (frame->kind != BRG__LINK_CALL)
        return BRG_PROTOCOL;
    if (error == NULL)
        return brg__service_call(&process->client, (uint32_t)frame->word[0], frame->id, frame->word + 1, value);
    if (frame->id != 0) /* the request could not be read, for want of memory here */
        brg__service_answer_error(&process->client, frame->id, error);
    return BRG_OK;
}

static const brg__link_ops process_link_ops = {.wake = process_link_wake,
                                               .want_room = process_link_want_room,
                                               .later = process_link_later,
                                               .broken = process_link_broken,
                                               .pump = process_link_pump,
                                               .unpump = process_link_unpump,
                                               .service = process_link_service,
                                               .ref = process_link_ref,
                                               .unref = process_link_unref};

/* ---- services ---------------------------------------------------------------------------------------------------- */

static void process_client_answer(brg__service_client *client, uint64_t number, brg_status status, brg_value *value)
{
    brg__process *process = brg__container_of(client, brg__process, client);
    brg__frame head = {.kind = BRG__LINK_ANSWER, .id = number, .status = status};
    brg__departures departures = {0};
    brg_status sent = brg__link_queue(&process->link, &head, value, &departures, NULL);
    brg_value_unref(value);
    if (sent != BRG_OK && sent != BRG_CLOSED) {
        head.status = sent;
        if (brg__link_queue(&process->link, &head, NULL, &departures, NULL) != BRG_OK)
            brg__process_break(process, BRG_NO_MEMORY, "an answer to it could not be sent");
    }
    brg__departures_run(&departures);
}

static brg_status process_client_event(brg__service_client *client, uint32_t service,
                                       const uint64_t words[BRG__SERVICE_WORDS], brg_value *value, brg_error *error)
{
    brg__process *process = brg__container_of(client, brg__process, client);
    brg__frame head = {.kind = BRG__LINK_EVENT, .word = {service, words[0], words[1]}};
    brg__departures departures = {0};
    brg_status status = brg__link_queue(&process->link, &head, value, &departures, error);
    if (status == BRG_OK)
        brg_value_unref(value);
    brg__departures_run(&departures);
    return status;
}

static const brg__service_client_ops process_client_ops = {.answer = process_client_answer,
                                                           .event = process_client_event};

/* ---- the process ------------------------------------------------------------------------------------------------- */

static void process_never_started(brg__process *process, const brg_error *error)
{
    brg_worker *worker = process->worker;
    brg__process_unwatch(process);
    brg__process_sever(process);
    brg_exit exit = {.status = BRG_START_FAILED, .error = *error};
    brg__worker_ended(worker, BRG__LIFE_ENDED, &exit);
    brg__worker_unref(worker);
}

/* The new process has its own copies now. */
static void process_close_gifts(brg__process *process)
{
    brg__fd_close(&process->worker_socket);
    brg__streams_given(process->worker);
}

static void process_spawned(brg__spawn *spawn, int64_t pid, int pidfd)
{
    brg__process *process = brg__container_of(spawn, brg__process, spawn);
    brg_worker *worker = process->worker;
    process->xpidfd = pidfd;
    brg_store_release(&process->xpid, pid);
    process_close_gifts(process);
    process->pid_source = (brg__poll_source){.fd = pidfd, .ready = brg__process_exited};
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (brg__worker_is_over(worker))
        brg__process_signal(pidfd, 9);
    if (brg__supervisor_watch(&process->pid_source, &error) == BRG_OK)
        return;
    brg__process_end end; /* it cannot be watched: end it here */
    brg__process_signal(pidfd, 9);
    brg__fd_wait_readable(pidfd, UINT64_MAX);
    brg__process_reap(pidfd, &end);
    brg__template_release(spawn);
    process_never_started(process, &error);
}

static void process_spawn_failed(brg__spawn *spawn, const brg_error *error)
{
    brg__process *process = brg__container_of(spawn, brg__process, spawn);
    brg_store_release(&process->segment->xstop, 1u); /* if it was started all the same, it ends by itself */
    process_close_gifts(process);
    process_never_started(process, error);
}

static void process_start_call(brg__call *call)
{
    brg__process *process = brg__container_of(call, brg__process, start_call);
    brg_worker *worker = process->worker;
    brg_error error;
    memset(&error, 0, sizeof(error));
    process->event_source = (brg__poll_source){.fd = process->event, .ready = brg__process_event};
    if (brg__supervisor_watch(&process->event_source, &error) != BRG_OK) {
        process_spawn_failed(&process->spawn, &error);
        return;
    }
    process->event_watched = true;
    brg__template_spawn(&process->spawn, worker->options.module, worker->options.helper);
}

static uint64_t process_area_bytes(size_t message_bytes_max)
{
    uint64_t capacity = (uint64_t)1 << 20;
    while (brg__ring_payload_max(capacity) <
           message_bytes_max + message_bytes_max / 8 + PROCESS_NAME_ROOM + sizeof(brg__wire_error))
        capacity *= 2;
    return capacity;
}

static void process_fill_segment(brg__process *process, uint64_t area)
{
    const brg_worker_options *options = &process->worker->options;
    brg__segment *segment = process->segment;
    segment->magic = BRG__SEGMENT_MAGIC;
    segment->version = BRG__PROTOCOL_VERSION;
    segment->worker_id = process->worker->id;
    segment->area_bytes = area;
    segment->request_offset = BRG__SEGMENT_HEAD_BYTES;
    segment->mail_offset = BRG__SEGMENT_HEAD_BYTES + area;
    segment->reply_offset = BRG__SEGMENT_HEAD_BYTES + 2 * area;
    segment->message_bytes_max = options->message_bytes_max;
    segment->mailbox_max = options->mailbox_max;
    segment->owner_pid = brg__process_id();
    segment->spin_ns = options->spin_ns;
    segment->is_pooled = process->worker->source != NULL;
    segment->pool_index = process->worker->pool_index;
    segment->pool_tags = process->worker->pool_tags;
    segment->limits = (brg__segment_limits){.arena_bytes_max = options->limits.arena_bytes_max,
                                            .memory_bytes_max = options->limits.memory_bytes_max,
                                            .address_bytes_max = options->limits.address_bytes_max,
                                            .stack_bytes = options->limits.stack_bytes,
                                            .files_max = options->limits.files_max,
                                            .cpu_seconds_max = options->limits.cpu_seconds_max};
    snprintf(segment->name, sizeof(segment->name), "%s", process->worker->name);
    segment->xwatch = 1;
}

static brg_status process_segment(brg__process *process, brg_error *error)
{
    uint64_t area = process_area_bytes(process->worker->options.message_bytes_max);
    void *memory = NULL;
    process->segment_bytes = (size_t)(BRG__SEGMENT_HEAD_BYTES + 3 * area);
    brg_status status = brg__memfd_create(&process->memfd, "brigade-worker", process->segment_bytes, error);
    if (status == BRG_OK)
        status = brg__memfd_reserve(process->memfd, 0, BRG__SEGMENT_HEAD_BYTES, error);
    if (status == BRG_OK)
        status = brg__map_shared(&memory, process->memfd, process->segment_bytes, error);
    if (status != BRG_OK)
        return status;
    brg__segment *segment = process->segment = memory;
    process_fill_segment(process, area);
    process->worker->usage = &segment->usage;
    char *base = memory;
    brg__ring_producer_init(&process->request, &segment->request, base + segment->request_offset, area, process->memfd,
                            segment->request_offset);
    brg__ring_producer_init(&process->mail, &segment->mail, base + segment->mail_offset, area, process->memfd,
                            segment->mail_offset);
    brg__ring_consumer_init(&process->reply, &segment->reply, base + segment->reply_offset, area);
    return BRG_OK;
}

void brg__process_free(brg_worker *worker)
{
    brg__process *process = brg__process_of(worker);
    if (process == NULL)
        return;
    brg__link_done(&process->link);
    if (process->has_client)
        brg__service_client_gone(&process->client);
    if (process->segment != NULL)
        brg__unmap(process->segment, process->segment_bytes);
    brg__fd_close(&process->memfd);
    brg__fd_close(&process->event);
    brg__fd_close(&process->cancel_event);
    brg__fd_close(&process->bell);
    brg__fd_close(&process->socket);
    brg__fd_close(&process->worker_socket);
    brg__fd_close(&process->xpidfd);
    brg__mfree_aligned(process);
    worker->process = NULL;
}

static brg_status process_descriptors(brg__process *process, brg_error *error)
{
    int pair[2];
    brg_status status = brg__event_create(&process->event, error);
    if (status == BRG_OK)
        status = brg__event_create(&process->cancel_event, error);
    if (status == BRG_OK)
        status = brg__event_create(&process->bell, error);
    if (status == BRG_OK && (status = brg__socket_pair(pair, error)) == BRG_OK) {
        process->socket = pair[0];
        process->worker_socket = pair[1];
    }
    return status;
}

/* What the worker finds first. */
static brg_status process_first_mail(brg__process *process, brg__request_kind kind, const brg_value *value,
                                     const char *what, brg_error *error)
{
    if (value == NULL)
        return BRG_OK;
    brg__departures departures = {0};
    brg__frame head = {.kind = kind};
    brg_status status = brg__link_send(&process->link, &head, value, &departures, error);
    if (status == BRG_FULL || status == BRG_TOO_LARGE)
        brg_error_set(error, status, "worker", "%s of %zu bytes: %s", what, brg__value_copied_bytes(value),
                      brg_status_text(status));
    brg__departures_run(&departures);
    return status;
}

static brg_status process_world(brg__process *process, brg_error *error)
{
    brg_value *world = NULL;
    brg_status status = brg__world_pack(process->worker, &world, error);
    if (status == BRG_OK)
        status = process_first_mail(process, BRG__REQUEST_WORLD, world, "the environment", error);
    brg_value_unref(world);
    if (status == BRG_OK)
        status = process_first_mail(process, BRG__REQUEST_INIT, process->worker->options.init_data, "init_data", error);
    return status;
}

static void process_fill_spawn(brg__process *process)
{
    brg__spawn *spawn = &process->spawn;
    for (int i = 0; i < BRG__FD_COUNT; i++)
        spawn->fds[i] = -1;
    spawn->fds[BRG__FD_SEGMENT] = process->memfd;
    spawn->fds[BRG__FD_EVENT] = process->event;
    spawn->fds[BRG__FD_CANCEL] = process->cancel_event;
    spawn->fds[BRG__FD_BELL] = process->bell;
    spawn->fds[BRG__FD_SOCKET] = process->worker_socket;
    brg__streams_child_fds(process->worker, &spawn->fds[BRG__FD_STDIN]);
    spawn->segment_bytes = process->segment_bytes;
    spawn->spawned = process_spawned;
    spawn->failed = process_spawn_failed;
}

brg_status brg__process_start(brg_worker *worker, brg_error *error)
{
    brg__process *process = brg__calloc_aligned(sizeof(*process));
    if (process == NULL)
        return brg__error_memory(error, "a worker");
    worker->process = process; /* process_free runs with the worker's own, also when the rest fails */
    process->worker = worker;
    process->memfd = process->event = process->cancel_event = process->xpidfd = -1;
    process->bell = process->socket = process->worker_socket = -1;
    brg__lock_init(&process->pump_lock, BRG__RANK_WORKER, "worker pump");
    worker->inbox.capacity = INT32_MAX; /* the worker counts, and what it had sent arrives */
    brg_status status = process_descriptors(process, error);
    if (status == BRG_OK)
        status = process_segment(process, error);
    if (status != BRG_OK)
        return status;
    brg__link_init(&process->link, &process_link_ops, true, &process->mail, process->socket);
    status = brg__service_client_init(&process->client, &process_client_ops, worker->id, error);
    if (status != BRG_OK)
        return status;
    process->has_client = true;
    status = process_world(process, error);
    if (status != BRG_OK) {
        brg__process_sever(process);
        return status;
    }
    process_fill_spawn(process);
    process->start_call.run = process_start_call;
    brg__supervisor_call(&process->start_call);
    return BRG_OK;
}
