/* SPDX-License-Identifier: MIT */
/* See template.h. One packet out per request, one back; at most TEMPLATE_IN_FLIGHT unanswered, so no send ever blocks.
 * */
#include "worker/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/library.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/thread.h"
#include "worker/protocol.h"
#include "worker/supervisor.h"

#include <brigade/export.h>

#define TEMPLATE_IN_FLIGHT 8
#define TEMPLATE_LINGER_NS BRG_SECONDS(5)
#define TEMPLATE_PATIENCE_NS BRG_SECONDS(30) /* silent for so long it is given up, whoever else waits for it */
#define TEMPLATE_PATH_MAX 4096

typedef enum template_state { TEMPLATE_STARTING = 0, TEMPLATE_READY, TEMPLATE_DEAD } template_state;

struct brg__template {
    brg__node node; /* in templates, until it is freed */
    char *module, *helper;
    template_state state;
    uint32_t users; /* spawns that point here */
    int socket, pidfd;
    pid_t pid;
    uint64_t numbers;
    uint32_t in_flight; /* requests without an answer, those nobody waits for any more included */
    uint64_t heard_at;  /* when it last said something, or was started */
    brg__list waiting, sent;
    brg__timer linger;
    brg__poll_source socket_source, pid_source;
    bool reaped;
    brg_error failure; /* what it said before it died */
};

/* Supervisor only; initialised with the first, and again in a forked child. Dead ones stay until they are reaped: the
 * kernel alone would point to them, and a checker of leaks does not look there. */
static brg__list templates;
static uint32_t templates_generation;

/* ---- finding the worker program ------------------------------------------------------------------------------ */

static bool template_try(char *path, const char *directory, const char *rest)
{
    int length = snprintf(path, TEMPLATE_PATH_MAX, "%s/%s", directory, rest);
    return length > 0 && length < TEMPLATE_PATH_MAX && brg__library_exists(path);
}

/* Beside the library (a build tree), or where it is installed relative to it. */
static bool template_find_helper(char path[TEMPLATE_PATH_MAX])
{
    static const char *const places[] = {"brigade-worker", "../libexec/brigade/brigade-worker",
                                         "../../libexec/brigade/brigade-worker"};
    const char *named = secure_getenv("BRIGADE_WORKER");
    if (named != NULL && named[0] != '\0')
        return snprintf(path, TEMPLATE_PATH_MAX, "%s", named) < TEMPLATE_PATH_MAX;
    char library[TEMPLATE_PATH_MAX];
    if (brg__object_path((const void *)(uintptr_t)&brg_version, library, sizeof(library))) {
        char *slash = strrchr(library, '/');
        if (slash != NULL) {
            *slash = '\0';
            for (size_t i = 0; i < brg__count_of(places); i++)
                if (template_try(path, library, places[i]))
                    return true;
        }
    }
#ifdef BRG_LIBEXECDIR
    return template_try(path, BRG_LIBEXECDIR, "brigade/brigade-worker");
#else
    return false;
#endif
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

static void template_free_if_unused(brg__template *self)
{
    if (self->state != TEMPLATE_DEAD || self->users != 0 || !self->reaped)
        return;
    brg__list_remove(&self->node);
    brg__mfree(self->module);
    brg__mfree(self->helper);
    brg__mfree(self);
}

/* One user fewer: an idle template lingers, a dead one goes. */
static void template_put(brg__template *self)
{
    if (--self->users == 0 && self->state != TEMPLATE_DEAD)
        brg__supervisor_timer_set(&self->linger, brg__deadline(TEMPLATE_LINGER_NS));
    template_free_if_unused(self);
}

static void template_fail_all(brg__template *self, brg__list *list, const brg_error *error)
{
    brg__node *node;
    while ((node = brg__list_pop_front(list)) != NULL) {
        brg__spawn *spawn = brg__container_of(node, brg__spawn, node);
        spawn->template = NULL;
        self->users--;
        spawn->failed(spawn, error);
    }
}

/* It said something wrong, hung up, or is not needed any more. */
static void template_close(brg__template *self, const brg_error *why)
{
    if (self->state == TEMPLATE_DEAD)
        return;
    self->state = TEMPLATE_DEAD;
    brg__supervisor_timer_set(&self->linger, UINT64_MAX);
    if (self->socket >= 0) {
        brg__supervisor_unwatch(&self->socket_source);
        brg__fd_close(&self->socket);
    }
    brg_error error = *why;
    self->users++; /* stay until the callbacks are through */
    template_fail_all(self, &self->waiting, &error);
    template_fail_all(self, &self->sent, &error);
    if (self->pidfd >= 0)
        brg__process_signal(self->pidfd, 9); /* reaped when the pidfd says so */
    template_put(self);
}

static void template_readable(brg__poll_source *source);

static void template_exited(brg__poll_source *source)
{
    brg__template *self = brg__container_of(source, brg__template, pid_source);
    brg__process_end end;
    if (!brg__process_reap(self->pidfd, &end))
        return;
    brg__supervisor_unwatch(&self->pid_source);
    brg__fd_close(&self->pidfd);
    self->reaped = true;
    self->users++; /* until we are through */
    if (self->socket >= 0)
        template_readable(&self->socket_source); /* the workers it still told us of live on */
    brg_error error;
    memset(&error, 0, sizeof(error));
    if (self->failure.status != BRG_OK) {
        error = self->failure;
    } else if (end.signal != 0) {
        brg_error_set(&error, BRG_START_FAILED, "worker", "the template process of %s was ended by signal %d",
                      self->module, end.signal);
        error.signal = end.signal;
    } else {
        brg_error_set(&error, BRG_START_FAILED, "worker", "the template process of %s exited with code %d%s",
                      self->module, end.exit_code, end.exit_code == 127 ? ": the worker program could not be run" : "");
        error.exit_code = end.exit_code;
    }
    if (self->state != TEMPLATE_DEAD)
        template_close(self, &error);
    template_put(self);
}

static void template_linger_over(brg__timer *timer)
{
    brg__template *self = brg__container_of(timer, brg__template, linger);
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_error_set(&error, BRG_CLOSED, "worker", "the template was not needed any more");
    if (self->users == 0)
        template_close(self, &error);
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static void template_send(brg__template *self)
{
    while (self->state == TEMPLATE_READY && self->in_flight < TEMPLATE_IN_FLIGHT &&
           !brg__list_is_empty(&self->waiting)) {
        brg__spawn *spawn = brg__container_of(brg__list_pop_front(&self->waiting), brg__spawn, node);
        brg__spawn_request request = {
            .version = BRG__PROTOCOL_VERSION, .request = spawn->number, .segment_bytes = spawn->segment_bytes};
        int fds[BRG__FD_COUNT];
        size_t fd_count = 0;
        for (int i = 0; i < BRG__FD_COUNT; i++) {
            if (spawn->fds[i] < 0)
                continue;
            fds[fd_count++] = spawn->fds[i];
            request.fds |= 1u << i;
        }
        brg_error error;
        memset(&error, 0, sizeof(error));
        brg_status status = brg__socket_send(self->socket, &request, sizeof(request), fds, fd_count, &error);
        if (status == BRG_OK) {
            brg__list_push_back(&self->sent, &spawn->node);
            self->in_flight++;
            continue;
        }
        spawn->template = NULL;
        self->users--;
        spawn->failed(spawn, &error);
    }
}

static brg__spawn *template_take_sent(brg__template *self, uint64_t number)
{
    brg__list_for_each(node, &self->sent) {
        brg__spawn *spawn = brg__container_of(node, brg__spawn, node);
        if (spawn->number == number) {
            brg__list_remove(node);
            self->in_flight--;
            return spawn;
        }
    }
    return NULL;
}

/* A worker that nobody waits for any more: ends it here, since nobody will. It was just forked, so at once. */
static void template_orphan(brg__template *self, int pidfd)
{
    brg__process_end end;
    if (self->in_flight > 0)
        self->in_flight--;
    if (pidfd < 0)
        return;
    brg__process_signal(pidfd, 9);
    brg__fd_wait_readable(pidfd, UINT64_MAX);
    brg__process_reap(pidfd, &end);
    brg__fd_close(&pidfd);
}

static void template_answer(brg__template *self, const brg__template_packet *packet, int pidfd)
{
    brg__spawn *spawn = template_take_sent(self, packet->request);
    if (spawn == NULL) {
        template_orphan(self, pidfd);
        template_send(self);
        return;
    }
    if (packet->kind == BRG__TEMPLATE_SPAWNED && pidfd >= 0) {
        spawn->spawned(spawn, packet->pid, pidfd);
    } else {
        brg_error error;
        brg__wire_error_to(&error, &packet->error);
        brg__fd_close(&pidfd);
        spawn->template = NULL;
        self->users--;
        spawn->failed(spawn, &error);
    }
    template_send(self);
}

/* A worker was started, and there was no descriptor left to hold it by. */
static void template_lost(brg__template *self, const brg__template_packet *packet)
{
    brg__spawn *spawn = template_take_sent(self, packet->request);
    brg__process_end_child((pid_t)packet->pid);
    if (spawn == NULL) {
        template_orphan(self, -1);
        template_send(self);
        return;
    }
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_error_set(&error, BRG_SYSTEM, "worker", "no descriptor is left for a new worker");
    error.os_errno = EMFILE;
    spawn->template = NULL;
    self->users--;
    spawn->failed(spawn, &error);
    template_send(self);
}

static void template_packet(brg__template *self, const brg__template_packet *packet, int pidfd)
{
    self->heard_at = brg__now();
    switch (packet->kind) {
    case BRG__TEMPLATE_READY:
        self->state = TEMPLATE_READY;
        template_send(self);
        break;
    case BRG__TEMPLATE_FAILED: /* its exit follows and reports this */
        brg__wire_error_to(&self->failure, &packet->error);
        break;
    default:
        template_answer(self, packet, pidfd);
    }
}

static void template_readable(brg__poll_source *source)
{
    brg__template *self = brg__container_of(source, brg__template, socket_source);
    self->users++; /* callbacks may let go of the last */
    while (self->state != TEMPLATE_DEAD) {
        brg__template_packet packet;
        size_t size = sizeof(packet), fd_count = 1;
        int pidfd = -1;
        memset(&packet, 0, sizeof(packet));
        brg_status status = brg__socket_receive(self->socket, &packet, &size, &pidfd, &fd_count, NULL);
        if (status == BRG_EMPTY)
            break;
        if (status == BRG_CLOSED) { /* the pidfd tells why; until then nothing new is sent */
            brg__supervisor_unwatch(&self->socket_source);
            brg__fd_close(&self->socket);
            if (self->state == TEMPLATE_READY)
                self->state = TEMPLATE_STARTING;
            break;
        }
        if (status == BRG_MALFORMED && packet.kind == BRG__TEMPLATE_SPAWNED &&
            packet.version == BRG__PROTOCOL_VERSION) {
            template_lost(self, &packet);
            continue;
        }
        if (status == BRG_SYSTEM || status == BRG_NO_MEMORY) /* what is there stays there, and wakes us again */
            break;
        if (status != BRG_OK || size != sizeof(packet) || packet.version != BRG__PROTOCOL_VERSION) {
            brg_error error;
            memset(&error, 0, sizeof(error));
            brg__fd_close(&pidfd);
            brg_error_set(&error, BRG_PROTOCOL, "worker",
                          "the worker program and the library are of different versions");
            template_close(self, &error);
            break;
        }
        template_packet(self, &packet, pidfd);
    }
    template_put(self);
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static brg_status template_exec(brg__template *self, brg_error *error)
{
    char path[TEMPLATE_PATH_MAX], parent[24], version[16];
    if (self->helper != NULL)
        snprintf(path, sizeof(path), "%s", self->helper);
    else if (!template_find_helper(path))
        return brg_error_set(
            error, BRG_START_FAILED, "worker",
            "the worker program brigade-worker was not found beside the library; set BRIGADE_WORKER or .helper");
    if (!brg__library_exists(path))
        return brg_error_set(error, BRG_START_FAILED, "worker", "worker program %s: no such file", path);
    snprintf(parent, sizeof(parent), "%lld", (long long)brg__process_id());
    snprintf(version, sizeof(version), "%u", BRG__PROTOCOL_VERSION);
    char *const arguments[] = {(char *)"brigade-worker", self->module, parent, version, NULL};
    int pair[2];
    brg_status status = brg__socket_pair(pair, error);
    if (status != BRG_OK)
        return status;
    status = brg__process_spawn(&self->pid, &self->pidfd, path, arguments, pair[1], error);
    brg__fd_close(&pair[1]);
    if (status != BRG_OK) {
        brg__fd_close(&pair[0]);
        return status;
    }
    self->socket = pair[0];
    return BRG_OK;
}

static brg_status template_watch(brg__template *self, brg_error *error)
{
    self->socket_source = (brg__poll_source){.fd = self->socket, .ready = template_readable};
    self->pid_source = (brg__poll_source){.fd = self->pidfd, .ready = template_exited};
    brg_status status = brg__supervisor_watch(&self->socket_source, error);
    if (status != BRG_OK)
        return status;
    status = brg__supervisor_watch(&self->pid_source, error);
    if (status != BRG_OK)
        brg__supervisor_unwatch(&self->socket_source);
    return status;
}

static brg__template *template_start(const char *module, const char *helper, brg_error *error)
{
    brg__template *self = brg__calloc(1, sizeof(*self));
    if (self == NULL) {
        brg__error_memory(error, "a template");
        return NULL;
    }
    self->socket = self->pidfd = -1;
    self->heard_at = brg__now();
    self->linger.fire = template_linger_over;
    brg__list_init(&self->waiting);
    brg__list_init(&self->sent);
    self->module = brg__strdup(module);
    self->helper = helper == NULL ? NULL : brg__strdup(helper);
    brg_status status = BRG_OK;
    if (self->module == NULL || (helper != NULL && self->helper == NULL))
        status = brg__error_memory(error, "a template");
    if (status == BRG_OK)
        status = template_exec(self, error);
    if (status == BRG_OK && (status = template_watch(self, error)) != BRG_OK) {
        brg__process_end end;
        brg__process_signal(self->pidfd, 9);
        brg__fd_wait_readable(self->pidfd, UINT64_MAX); /* just killed, single-threaded: at once */
        brg__process_reap(self->pidfd, &end);
        brg__fd_close(&self->pidfd);
        brg__fd_close(&self->socket);
    }
    if (status != BRG_OK) {
        brg__mfree(self->module);
        brg__mfree(self->helper);
        brg__mfree(self);
        return NULL;
    }
    brg__list_push_back(&templates, &self->node);
    return self;
}

static brg__template *template_find(const char *module, const char *helper)
{
    if (templates.head.next == NULL || templates_generation != brg__fork_generation())
        brg__list_init(&templates);
    templates_generation = brg__fork_generation();
    brg__list_for_each(node, &templates) {
        brg__template *self = brg__container_of(node, brg__template, node);
        bool same_helper = (helper == NULL) == (self->helper == NULL) &&
                           (helper == NULL || strcmp(helper, self->helper) == 0);
        if (self->socket >= 0 && same_helper && strcmp(module, self->module) == 0)
            return self;
    }
    return NULL;
}

void brg__template_spawn(brg__spawn *spawn, const char *module, const char *helper)
{
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg__template *self = template_find(module, helper);
    if (self == NULL)
        self = template_start(module, helper, &error);
    if (self == NULL) {
        spawn->template = NULL;
        spawn->failed(spawn, &error);
        return;
    }
    brg__supervisor_timer_set(&self->linger, UINT64_MAX);
    spawn->template = self;
    spawn->number = ++self->numbers;
    self->users += 2; /* one for us: sending may fail, and take the last away */
    brg__list_push_back(&self->waiting, &spawn->node);
    template_send(self);
    template_put(self);
}

void brg__template_release(brg__spawn *spawn)
{
    brg__template *self = spawn->template;
    if (self == NULL)
        return;
    spawn->template = NULL;
    template_put(self);
}

/* Whether somebody but `spawn` waits for an answer. */
static bool template_has_others(const brg__template *self, const brg__spawn *spawn)
{
    const brg__list *const lists[] = {&self->waiting, &self->sent};
    for (size_t i = 0; i < brg__count_of(lists); i++)
        for (const brg__node *node = lists[i]->head.next; node != &lists[i]->head; node = node->next)
            if (node != &spawn->node)
                return true;
    return false;
}

void brg__template_hurry(brg__spawn *spawn)
{
    brg__template *self = spawn->template;
    if (self == NULL || !brg__node_is_linked(&spawn->node) || self->state == TEMPLATE_DEAD)
        return;
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_error_set(&error, BRG_START_FAILED, "worker",
                  "the template process of %s did not answer within the start timeout", self->module);
    /* One that makes workers is not ended lightly: a worker that it has made and not told of would be nobody's. */
    bool is_stuck = self->state != TEMPLATE_READY && !template_has_others(self, spawn);
    if (is_stuck || brg__now() - self->heard_at >= TEMPLATE_PATIENCE_NS) {
        template_close(self, &error);
        return;
    }
    brg__list_remove(&spawn->node); /* its answer, if it was sent, finds nobody: template_orphan */
    spawn->template = NULL;
    spawn->failed(spawn, &error);
    template_put(self);
}
