/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "worker/streams.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/atomic.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/pipe.h"
#include "os/thread.h"
#include "worker/worker.h"

#define STREAMS_BYTES_DEFAULT ((size_t)256 << 10)
#define STREAMS_BYTES_MIN ((size_t)4 << 10)
#define STREAMS_PIECE ((size_t)16 << 10)
#define STREAMS_PIECES 4                    /* delivered of one stream before others have their turn */
#define STREAMS_DRAIN_MAX ((size_t)1 << 20) /* what can be left in a pipe: children of the worker may go on writing */

static brg_stdio streams_mode(const brg_worker *worker, int stream)
{
    const brg_worker_options *options = &worker->options;
    return stream == 0 ? options->stdin_mode : stream == 1 ? options->stdout_mode : options->stderr_mode;
}

static bool streams_are_process(const brg_worker *worker) { return worker->options.isolation == BRG_ISOLATION_PROCESS; }

/* ---- making ------------------------------------------------------------------------------------------------------ */

static brg_status streams_check_output(const brg_worker_options *options, const char *name, brg_stdio mode, bool called,
                                       brg_error *error)
{
    if ((unsigned)mode > BRG_STDIO_PIPE)
        return brg_error_set(error, BRG_INVALID, "worker", "%s_mode %d is unknown", name, (int)mode);
    if (called && mode != BRG_STDIO_PIPE)
        return brg_error_set(error, BRG_INVALID, "worker", "on_%s needs .%s_mode = BRG_STDIO_PIPE", name, name);
    if (mode == BRG_STDIO_PIPE && options->loop != NULL && !called)
        return brg_error_set(error, BRG_INVALID, "worker", "with a loop a captured %s needs on_%s", name, name);
    return BRG_OK;
}

brg_status brg__streams_check(const brg_worker_options *options, brg_error *error)
{
    if ((unsigned)options->stdin_mode > BRG_STDIO_PIPE)
        return brg_error_set(error, BRG_INVALID, "worker", "stdin_mode %d is unknown", (int)options->stdin_mode);
    if (options->stdio_bytes_max != 0 && options->stdio_bytes_max < STREAMS_BYTES_MIN)
        return brg_error_set(error, BRG_INVALID, "worker", "stdio_bytes_max %zu is below %zu", options->stdio_bytes_max,
                             STREAMS_BYTES_MIN);
    if (options->loop == NULL && (options->on_stdout != NULL || options->on_stderr != NULL))
        return brg_error_set(error, BRG_INVALID, "worker",
                             "callbacks need a loop; without one use brg_worker_read_output");
    brg_status status = streams_check_output(options, "stdout", options->stdout_mode, options->on_stdout != NULL,
                                             error);
    if (status == BRG_OK)
        status = streams_check_output(options, "stderr", options->stderr_mode, options->on_stderr != NULL, error);
    return status;
}

static void streams_readable(brg__poll_source *source);

static brg_status streams_make_process(brg__streams *streams, int stream, brg_stdio mode, brg_error *error)
{
    if (mode == BRG_STDIO_INHERIT)
        return BRG_OK;
    if (mode == BRG_STDIO_NULL)
        return brg__null_open(&streams->theirs[stream], error);
    int fds[2], ours = stream == 0 ? 1 : 0;
    brg_status status = brg__pipe_create(fds, ours, error);
    if (status == BRG_OK) {
        streams->ours[stream] = fds[ours];
        streams->theirs[stream] = fds[1 - ours];
    }
    return status;
}

brg_status brg__streams_make(brg_worker *worker, brg_error *error)
{
    const brg_worker_options *options = &worker->options;
    if (options->stdin_mode == BRG_STDIO_INHERIT && options->stdout_mode == BRG_STDIO_INHERIT &&
        options->stderr_mode == BRG_STDIO_INHERIT)
        return BRG_OK;
    brg__streams *streams = brg__calloc(1, sizeof(*streams));
    if (streams == NULL)
        return brg__error_memory(error, "a worker");
    worker->streams = streams; /* freed with the worker, also when the rest fails */
    size_t bytes_max = options->stdio_bytes_max == 0 ? STREAMS_BYTES_DEFAULT : options->stdio_bytes_max;
    brg_status status = BRG_OK;
    for (int i = 0; i < 3; i++) {
        brg__flow_init(&streams->flows[i], bytes_max);
        streams->ours[i] = streams->theirs[i] = -1;
        streams->sources[i] = (brg__stream_source){.worker = worker, .flow = &streams->flows[i]};
    }
    for (int i = 0; i < 3 && status == BRG_OK && streams_are_process(worker); i++)
        status = streams_make_process(streams, i, streams_mode(worker, i), error);
    return status;
}

void brg__streams_free(brg_worker *worker)
{
    brg__streams *streams = worker->streams;
    if (streams == NULL)
        return;
    for (int i = 0; i < 3; i++) {
        brg__flow_done(&streams->flows[i]);
        brg__fd_close(&streams->ours[i]);
        brg__fd_close(&streams->theirs[i]);
    }
    brg__mfree(streams);
    worker->streams = NULL;
}

/* ---- the worker's ends of pipes ---------------------------------------------------------------------------------- */

void brg__streams_child_fds(const brg_worker *worker, int fds[3])
{
    for (int i = 0; i < 3; i++)
        fds[i] = worker->streams == NULL ? -1 : worker->streams->theirs[i];
}

void brg__streams_given(brg_worker *worker)
{
    for (int i = 0; worker->streams != NULL && i < 3; i++)
        brg__fd_close(&worker->streams->theirs[i]);
}

void brg__streams_become(int fds[3])
{
    bool captured = fds[1] >= 0;
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            brg__pipe_become(fds[i], i);
    for (int i = 0; i < 3; i++)
        if (fds[i] > 2)
            brg__fd_close(&fds[i]);
    if (captured)
        setvbuf(stdout, NULL, _IOLBF, 0); /* as in a thread worker: a line is seen when it is written */
}

/* ---- the supervisor reads ---------------------------------------------------------------------------------------- */

static void streams_unwatch(brg__stream_source *source)
{
    if (source->is_watched)
        brg__supervisor_unwatch(&source->source);
    source->is_watched = false;
}

static void streams_pause(brg__stream_source *source, int stream)
{
    brg__streams *streams = source->worker->streams;
    streams_unwatch(source);
    source->is_paused = true;
    brg_or_acq_rel(&streams->xpaused, 1u << stream); /* pairs with streams_took */
}

static int streams_index(const brg__stream_source *source) { return (int)(source - source->worker->streams->sources); }

/* Moves up to `bytes` into the flow; false when the pipe is at its end. */
static bool streams_move(brg__stream_source *source, int fd, size_t bytes)
{
    unsigned char piece[STREAMS_PIECE];
    while (bytes != 0) {
        size_t got = 0;
        brg_status status = brg__pipe_read(fd, piece, (size_t)brg__min(bytes, sizeof(piece)), &got);
        if (status == BRG_EMPTY)
            return true;
        if (status != BRG_OK)
            return false;
        if (brg__flow_force(source->flow, piece, got) != BRG_OK) /* no memory: the end comes early, and is told */
            return false;
        bytes -= got;
    }
    return true;
}

static void streams_readable(brg__poll_source *poll_source)
{
    brg__stream_source *source = brg__container_of(poll_source, brg__stream_source, source);
    size_t room = brg__flow_room(source->flow);
    if (room != 0) {
        if (!streams_move(source, poll_source->fd, (size_t)brg__min(room, STREAMS_PIECE)))
            streams_unwatch(source);
        brg__worker_deliver(source->worker);
        return;
    }
    streams_pause(source, streams_index(source));
    if (brg__flow_room(source->flow) != 0) /* made before the pause was seen */
        brg__streams_started(source->worker);
}

/* Watches what is not watched and has room. Supervisor. */
static void streams_watch(brg__call *call)
{
    brg__streams *streams = brg__container_of(call, brg__streams, call);
    brg_worker *worker = streams->sources[0].worker;
    brg_store_seq_cst(&streams->xcall_posted, 0u);
    for (int i = 1; i < 3; i++) {
        brg__stream_source *source = &streams->sources[i];
        bool fresh = source->source.ready == NULL;
        if (streams->ours[i] < 0 || !(fresh || source->is_paused) || brg__flow_room(source->flow) == 0 ||
            brg__worker_is_over(worker))
            continue;
        source->source = (brg__poll_source){.fd = streams->ours[i], .ready = streams_readable};
        source->is_paused = false;
        source->is_watched = brg__supervisor_watch(&source->source, NULL) == BRG_OK;
        if (!source->is_watched)
            streams_pause(source, i); /* the next read, or the end, tries again */
    }
    brg__worker_unref(worker);
}

void brg__streams_started(brg_worker *worker)
{
    brg__streams *streams = worker->streams;
    if (streams == NULL || !streams_are_process(worker) || brg_exchange_seq_cst(&streams->xcall_posted, 1u) != 0)
        return;
    brg__worker_ref(worker);
    streams->call.run = streams_watch;
    brg__supervisor_call(&streams->call);
}

/* The reader made room. */
static void streams_took(brg_worker *worker, int stream)
{
    brg__streams *streams = worker->streams;
    uint32_t bit = 1u << stream;
    if ((brg_load_acquire(&streams->xpaused) & bit) == 0)
        return;
    __atomic_fetch_and(&streams->xpaused, ~bit, __ATOMIC_ACQ_REL);
    brg__streams_started(worker);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

void brg__streams_hurry(brg_worker *worker)
{
    if (worker->streams == NULL || streams_are_process(worker))
        return;
    brg__flow_close(&worker->streams->flows[0]); /* its reader sees the end */
    brg__flow_hurry(&worker->streams->flows[1]);
    brg__flow_hurry(&worker->streams->flows[2]);
}

void brg__streams_ended(brg_worker *worker)
{
    brg__streams *streams = worker->streams;
    if (streams == NULL)
        return;
    for (int i = 0; i < 3; i++) {
        streams_unwatch(&streams->sources[i]);
        if (i != 0 && streams->ours[i] >= 0) {
            streams_move(&streams->sources[i], streams->ours[i], STREAMS_DRAIN_MAX);
            brg__fd_close(&streams->ours[i]);
        }
        brg__flow_close(&streams->flows[i]);
    }
    brg__streams_given(worker);
}

void brg__streams_drop(brg_worker *worker)
{
    for (int i = 1; worker->streams != NULL && i < 3; i++) {
        brg__flow_drop(&worker->streams->flows[i]);
        streams_took(worker, i);
    }
}

/* ---- the owner --------------------------------------------------------------------------------------------------- */

static bool streams_deliver_one(brg_worker *worker, int stream)
{
    unsigned char piece[STREAMS_PIECE];
    for (int i = 0; i < STREAMS_PIECES; i++) {
        size_t got = 0;
        if (brg_load_relaxed(&worker->xdestroyed) != 0 ||
            brg__flow_read(&worker->streams->flows[stream], piece, sizeof(piece), &got, 0) != BRG_OK)
            return false;
        streams_took(worker, stream);
        void (*callback)(brg_worker *, const void *, size_t, void *) = stream == 1 ? worker->options.on_stdout
                                                                                   : worker->options.on_stderr;
        callback(worker, piece, got, worker->options.user_data);
    }
    return brg_load_relaxed(&worker->xdestroyed) == 0;
}

bool brg__streams_deliver(brg_worker *worker)
{
    bool more = false;
    for (int i = 1; worker->streams != NULL && i < 3; i++)
        if (streams_mode(worker, i) == BRG_STDIO_PIPE)
            more = streams_deliver_one(worker, i) || more;
    return more;
}

brg_status brg_worker_read_output(brg_worker *worker, brg_output stream, void *buffer, size_t capacity,
                                  size_t *size_bytes, uint64_t timeout_ns)
{
    if (worker == NULL || buffer == NULL || capacity == 0 || size_bytes == NULL ||
        (stream != BRG_OUTPUT_STDOUT && stream != BRG_OUTPUT_STDERR))
        return BRG_INVALID;
    if (worker->options.loop != NULL || streams_mode(worker, (int)stream) != BRG_STDIO_PIPE)
        return BRG_STATE;
    if (worker->generation != brg__fork_generation())
        return BRG_FORKED;
    uint64_t deadline = timeout_ns == 0 ? 0 : brg__deadline(timeout_ns);
    brg_status status = brg__flow_read(&worker->streams->flows[stream], buffer, capacity, size_bytes, deadline);
    if (status == BRG_OK)
        streams_took(worker, (int)stream);
    return status;
}

static brg_status streams_write_pipe(int fd, const char *bytes, size_t size, size_t *written, uint64_t deadline_ns)
{
    size_t done = 0;
    brg_status status = BRG_OK;
    while (status == BRG_OK && done < size) {
        size_t part = 0;
        status = brg__pipe_write(fd, bytes + done, size - done, &part);
        done += part;
        if (status != BRG_FULL || deadline_ns == 0)
            continue;
        status = brg__pipe_wait_writable(fd, deadline_ns) ? BRG_OK : BRG_TIMED_OUT;
    }
    *written = done;
    return status;
}

brg_status brg_worker_write_stdin(brg_worker *worker, const void *bytes, size_t size_bytes, size_t *written,
                                  uint64_t timeout_ns, brg_error *error)
{
    size_t done = 0;
    if (worker == NULL || (bytes == NULL && size_bytes != 0))
        return brg_error_set(error, BRG_INVALID, "worker", "worker and bytes must not be NULL");
    if (worker->generation != brg__fork_generation())
        return brg_error_set(error, BRG_FORKED, "worker", "the worker belongs to the parent of this forked process");
    if (streams_mode(worker, 0) != BRG_STDIO_PIPE)
        return brg_error_set(error, BRG_STATE, "worker", "writing to stdin needs .stdin_mode = BRG_STDIO_PIPE");
    brg__streams *streams = worker->streams;
    uint64_t deadline = timeout_ns == 0 ? 0 : brg__deadline(timeout_ns);
    brg_status status;
    if (streams->xstdin_closed || brg__worker_is_over(worker))
        status = BRG_CLOSED;
    else if (streams_are_process(worker))
        status = streams_write_pipe(streams->ours[0], bytes, size_bytes, &done, deadline);
    else
        status = brg__flow_write(&streams->flows[0], bytes, size_bytes, &done, deadline);
    if (written != NULL)
        *written = done;
    if (status != BRG_OK)
        brg_error_set(error, status, "worker", "writing to stdin: %s", brg_status_text(status));
    return status;
}

void brg_worker_close_stdin(brg_worker *worker)
{
    if (worker == NULL || worker->streams == NULL || streams_mode(worker, 0) != BRG_STDIO_PIPE ||
        worker->generation != brg__fork_generation())
        return;
    worker->streams->xstdin_closed = true;
    brg__fd_close(&worker->streams->ours[0]);
    brg__flow_close(&worker->streams->flows[0]);
}

/* ---- a thread worker's FILEs ------------------------------------------------------------------------------------- */

static ssize_t streams_cookie_read(void *cookie, char *bytes, size_t size)
{
    brg__stream_source *source = cookie;
    size_t got = 0;
    brg_status status = brg__flow_read(source->flow, bytes, size, &got, UINT64_MAX);
    return status == BRG_OK ? (ssize_t)got : 0;
}

static ssize_t streams_cookie_write(void *cookie, const char *bytes, size_t size)
{
    brg__stream_source *source = cookie;
    size_t written = 0;
    brg_status status;
    if (source->is_closing) {
        status = brg__flow_force(source->flow, bytes, size);
        written = status == BRG_OK ? size : 0;
    } else {
        status = BRG_OK;
        while (status == BRG_OK && written < size) { /* in parts, so that the reader hears of each before we wait */
            size_t part = 0;
            status = brg__flow_write(source->flow, bytes + written, size - written, &part, 0);
            written += part;
            if (part != 0)
                brg__worker_deliver(source->worker);
            if (status != BRG_FULL)
                continue;
            status = brg__flow_write(source->flow, bytes + written, 1, &part, UINT64_MAX);
            written += part;
        }
    }
    if (written != 0)
        brg__worker_deliver(source->worker);
    if (status != BRG_OK)
        errno = status == BRG_CLOSED ? EPIPE : ENOMEM;
    return (ssize_t)written;
}

/* Of BRG_STDIO_NULL. Without functions of their own glibc would call both an error. */
static ssize_t streams_empty_read(void *cookie, char *bytes, size_t size)
{
    (void)cookie, (void)bytes, (void)size;
    return 0;
}

static ssize_t streams_drop_write(void *cookie, const char *bytes, size_t size)
{
    (void)cookie, (void)bytes;
    return (ssize_t)size;
}

FILE *brg__streams_open(brg_worker *worker, int stream)
{
    static FILE *const *const inherited[] = {&stdin, &stdout, &stderr};
    brg_stdio mode = streams_mode(worker, stream);
    if (mode == BRG_STDIO_INHERIT)
        return *inherited[stream];
    cookie_io_functions_t functions = {.read = streams_empty_read, .write = streams_drop_write};
    if (mode == BRG_STDIO_PIPE && stream == 0)
        functions.read = streams_cookie_read;
    else if (mode == BRG_STDIO_PIPE)
        functions.write = streams_cookie_write;
    FILE *file = fopencookie(&worker->streams->sources[stream], stream == 0 ? "r" : "w", functions);
    if (file != NULL && stream != 0)
        setvbuf(file, NULL, stream == 1 ? _IOLBF : _IONBF, stream == 1 ? BUFSIZ : 0);
    return file;
}

void brg__streams_close(brg_worker *worker, FILE *files[3])
{
    for (int i = 0; i < 3; i++) {
        if (files[i] != NULL && streams_mode(worker, i) != BRG_STDIO_INHERIT) {
            worker->streams->sources[i].is_closing = true;
            fclose(files[i]);
        }
        files[i] = NULL;
    }
}
