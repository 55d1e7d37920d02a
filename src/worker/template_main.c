/* SPDX-License-Identifier: MIT */
/*
 * The template process: loads the module, runs its preload hook, then forks a worker for each request. It stays
 * single-threaded, since a fork copies the calling thread only, and keeps its heap small, since fork copies its tables.
 * It never looks at untrusted data. It ends when the supervisor hangs up, and with it (PDEATHSIG).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/region.h"
#include "os/fd.h"
#include "os/process.h"
#include "worker/child.h"
#include "worker/module.h"
#include "worker/protocol.h"

#define TEMPLATE_SOCKET 3

static void template_send(uint32_t kind, uint64_t request, int64_t pid, const int *pidfd, const brg_error *error)
{
    brg__template_packet packet;
    memset(&packet, 0, sizeof(packet));
    packet.kind = kind;
    packet.version = BRG__PROTOCOL_VERSION;
    packet.request = request;
    packet.pid = pid;
    if (error != NULL)
        brg__wire_error_from(&packet.error, error);
    /* The supervisor bounds what is in flight, so the socket has room. */
    if (brg__socket_send(TEMPLATE_SOCKET, &packet, sizeof(packet), pidfd, pidfd == NULL ? 0 : 1, NULL) != BRG_OK)
        brg__process_exit_now(1);
}

static brg_status template_prepare(const char *path, const brg_module **module, brg_error *error)
{
    void *library = NULL;
    brg_status status = brg__module_open(path, module, &library, error);
    if (status != BRG_OK)
        return status;
    uint32_t threads = brg__process_thread_count();
    if ((*module)->preload != NULL && (status = (*module)->preload(error)) != BRG_OK) {
        error->status = status;
        if (error->message[0] == '\0')
            brg_error_set(error, status, "worker", "preload of %s failed: %s", path, brg_status_text(status));
        return status;
    }
    uint32_t now = brg__process_thread_count();
    if (now > 1 && now > threads)
        return brg_error_set(
            error, BRG_START_FAILED, "worker",
            "preload of %s left %u threads running; workers are forked, so start threads in worker_start", path,
            now - 1);
    return BRG_OK;
}

static void template_fork(const brg_module *module, const brg__spawn_request *request, int fds[BRG__FD_COUNT])
{
    int pidfd = -1;
    pid_t pid = brg__process_fork_sibling(&pidfd);
    if (pid == 0) {
        int socket = TEMPLATE_SOCKET;
        brg__region_forbid(false);
        brg__fd_close(&socket);
        brg__child_main(module, fds, (size_t)request->segment_bytes);
    }
    if (pid > 0) {
        template_send(BRG__TEMPLATE_SPAWNED, request->request, pid, &pidfd, NULL);
    } else {
        brg_error error;
        memset(&error, 0, sizeof(error));
        brg_error_set(&error, BRG_START_FAILED, "worker", "fork: %s", strerror(-(int)pid));
        error.os_errno = -(int)pid;
        template_send(BRG__TEMPLATE_SPAWN_FAILED, request->request, 0, NULL, &error);
    }
    brg__fd_close(&pidfd);
}

/* One request; false when the supervisor hung up. */
static bool template_serve(const brg_module *module)
{
    brg__spawn_request request;
    int got[BRG__FD_COUNT], fds[BRG__FD_COUNT];
    size_t size = sizeof(request), count = BRG__FD_COUNT, next = 0;
    brg_status status = brg__socket_receive(TEMPLATE_SOCKET, &request, &size, got, &count, NULL);
    if (status == BRG_EMPTY) {
        brg__fd_wait_readable(TEMPLATE_SOCKET, UINT64_MAX);
        return true;
    }
    if (status != BRG_OK)
        return false;
    for (int i = 0; i < BRG__FD_COUNT; i++) /* those that are there, in order */
        fds[i] = (request.fds & 1u << i) != 0 && next < count ? got[next++] : -1;
    if (size == sizeof(request) && request.version == BRG__PROTOCOL_VERSION && next == count)
        template_fork(module, &request, fds);
    for (size_t i = 0; i < count; i++)
        brg__fd_close(&got[i]);
    return true;
}

int brg__worker_main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "brigade-worker: started by libbrigade, not by hand\n");
        return 2;
    }
    brg__process_die_with_parent((pid_t)strtoll(argv[2], NULL, 10));
    brg__process_ignore_interrupt(); /* the workers inherit it */
    brg__process_set_name("brigade-tmpl");
    const brg_module *module = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = BRG_OK;
    if (strtoul(argv[3], NULL, 10) != BRG__PROTOCOL_VERSION)
        status = brg_error_set(&error, BRG_PROTOCOL, "worker", "the library speaks protocol %s, this worker program %u",
                               argv[3], BRG__PROTOCOL_VERSION);
    brg__region_forbid(true);
    if (status == BRG_OK)
        status = template_prepare(argv[1], &module, &error);
    if (status != BRG_OK) {
        template_send(BRG__TEMPLATE_FAILED, 0, 0, NULL, &error);
        return 1;
    }
    template_send(BRG__TEMPLATE_READY, 0, 0, NULL, NULL);
    while (template_serve(module))
        ;
    return 0;
}
