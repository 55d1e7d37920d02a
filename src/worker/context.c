/* SPDX-License-Identifier: MIT */
#include "worker/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/memory.h"
#include "worker/batch.h"

/* A bump arena: chunks of at least ARENA_CHUNK bytes; one chunk is kept from task to task. */
#define ARENA_CHUNK ((size_t)16 << 10)
#define ARENA_ALIGN 16

static _Thread_local brg_context *context_current;

brg_context *brg__context_current(void) { return context_current; }
brg_context *brg_context_current(void) { return context_current; }
uint64_t brg_worker_current_id(void) { return context_current == NULL ? 0 : context_current->worker_id; }
void brg__context_set_current(brg_context *context) { context_current = context; }

void brg__context_init(brg_context *context, const brg__context_ops *ops, void *owner, const brg_module *module)
{
    memset(context, 0, sizeof(*context));
    context->ops = ops;
    context->owner = owner;
    context->module = module;
    context->world = brg__world_of_program();
    context->usage = &context->own_usage;
    context->pool_index = UINT32_MAX;
}

/* Frees all chunks but, if `keep`, one of the usual size; zeroes what was used of that one. */
static void context_arena_reset(brg_context *context, bool keep)
{
    brg__arena_chunk *chunk = context->arena, *kept = NULL;
    while (chunk != NULL) {
        brg__arena_chunk *older = chunk->older;
        if (keep && kept == NULL && chunk->size == ARENA_CHUNK)
            kept = chunk;
        else
            brg__mfree(chunk);
        chunk = older;
    }
    if (kept != NULL) {
        memset(kept + 1, 0, kept->used);
        kept->older = NULL;
        kept->used = 0;
    }
    context->arena = kept;
    context->arena_used = 0;
}

void brg__context_arena_free(brg_context *context) { context_arena_reset(context, false); }

void brg__context_arena_rewind(brg_context *context, const brg__arena_mark *mark)
{
    brg__arena_chunk *chunk = context->arena;
    while (chunk != NULL && chunk != mark->chunk) {
        brg__arena_chunk *older = chunk->older;
        if (older == NULL && chunk->size == ARENA_CHUNK)
            break; /* the mark was made before there was any: kept, for the next one */
        brg__mfree(chunk);
        chunk = older;
    }
    size_t used = chunk == mark->chunk ? mark->chunk_used : 0;
    if (chunk != NULL && chunk->used > used) {
        memset((char *)(chunk + 1) + used, 0, chunk->used - used);
        chunk->used = used;
    }
    context->arena = chunk;
    context->arena_used = mark->used;
}

void brg__context_done(brg_context *context)
{
    brg__context_leave(context);
    if (context->forks != NULL)
        context->forks_done(context->forks);
    context->forks = NULL;
    brg__family_unref(context->family);
    context->family = NULL;
    context_arena_reset(context, false);
    brg_value_unref(context->failure_detail);
    context->failure_detail = NULL;
    brg_value_unref(context->config);
    context->config = NULL;
}

void *brg_context_alloc(brg_context *context, size_t size_bytes)
{
    _Static_assert(sizeof(brg__arena_chunk) % 8 == 0, "chunk header keeps alignment");
    if (size_bytes > context->arena_max || context->arena_used > context->arena_max - size_bytes)
        return NULL;
    size_t size = brg__align_up(brg__max(size_bytes, 1), ARENA_ALIGN);
    brg__arena_chunk *chunk = context->arena;
    size_t start = chunk == NULL
                       ? 0
                       : brg__align_up((uintptr_t)(chunk + 1) + chunk->used, ARENA_ALIGN) - (uintptr_t)(chunk + 1);
    if (chunk == NULL || start > chunk->size || chunk->size - start < size) {
        size_t wanted = brg__max(ARENA_CHUNK, size + ARENA_ALIGN);
        chunk = brg__calloc(1, sizeof(*chunk) + wanted);
        if (chunk == NULL)
            return NULL;
        chunk->size = wanted;
        chunk->older = context->arena;
        context->arena = chunk;
        start = brg__align_up((uintptr_t)(chunk + 1), ARENA_ALIGN) - (uintptr_t)(chunk + 1);
    }
    chunk->used = start + size;
    context->arena_used += size_bytes;
    return (char *)(chunk + 1) + start;
}

void brg__context_begin(brg_context *context, uint64_t ticket, uint32_t attempt)
{
    context->ticket = ticket;
    context->attempt = attempt;
    if (ticket != 0)
        brg__usage_count_task(context->usage);
    if (context->failure.status != BRG_OK || context->failure.message[0] != '\0')
        memset(&context->failure, 0, sizeof(context->failure));
}

void brg__context_end(brg_context *context)
{
    context->ticket = 0;
    context->attempt = 0;
    if (context->arena != NULL)
        context_arena_reset(context, true);
    if (context->failure_detail != NULL) {
        brg_value_unref(context->failure_detail);
        context->failure_detail = NULL;
    }
}

/* A status a task may settle with: those of the list but BRG_OK. */
static bool context_status_is_known(brg_status status)
{
    return status < 0 && strcmp(brg_status_name(status), "BRG_?") != 0;
}

brg_status brg__context_status(brg_status given) { return context_status_is_known(given) ? given : BRG_FAILED; }

brg_status brg__context_conclude(brg_context *context, brg_status returned, const char *what)
{
    if (BRG__LIKELY(returned == BRG_OK))
        return BRG_OK;
    brg_error *failure = &context->failure;
    brg_status status = context_status_is_known(returned) ? returned : BRG_FAILED;
    if (failure->message[0] == '\0') {
        const char *domain = context->module != NULL && context->module->name != NULL ? context->module->name : "task";
        if (status == returned)
            brg_error_set(failure, status, domain, "%s: %s", what, brg_status_text(status));
        else
            brg_error_set(failure, status, domain, "%s returned %d, which is no brg_status", what, (int)returned);
    }
    failure->status = status;
    failure->attempt = context->attempt;
    return status;
}

static const brg_module_task *context_find(const brg_module *module, const char *name, size_t name_size)
{
    if (module == NULL || module->tasks == NULL)
        return NULL;
    for (const brg_module_task *task = module->tasks; task->name != NULL; task++)
        if (strlen(task->name) == name_size && memcmp(task->name, name, name_size) == 0)
            return task;
    return NULL;
}

/* With what there is instead: as many names as there is room for. */
static brg_status context_lacks(brg_context *context, const char *name, size_t name_size)
{
    char names[128] = "";
    const brg_module *module = context->module;
    const brg_module_task *task = module == NULL ? NULL : module->tasks;
    for (size_t used = 0; task != NULL && task->name != NULL; task++) {
        bool fits = used + strlen(task->name) + 16 < sizeof(names);
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used == 0 ? "; it has " : ", ",
                                 fits ? task->name : "...");
        if (!fits)
            break;
    }
    return brg_error_set(&context->failure, BRG_NOT_FOUND, "worker", "the module has no task named \"%.*s\"%s",
                         (int)name_size, name, names);
}

brg_status brg__context_run_named(brg_context *context, const char *name, size_t name_size, const brg_value *input,
                                  brg_value **output)
{
    const brg_module_task *task = context_find(context->module, name, name_size);
    const brg_module_batch_task *batch_task = task != NULL ? NULL : brg__batch_find(context->module, name, name_size);
    if (batch_task != NULL)
        return brg__batch_run_one(context, batch_task, input, output);
    if (task == NULL && brg__context_names_config(name, name_size))
        return brg__context_configure(context, input);
    if (task == NULL && brg__context_names_each(name, name_size))
        return brg__context_run_each_input(context, input, output);
    if (task == NULL)
        return context_lacks(context, name, name_size);
    return brg__context_conclude(context, task->run(context, input, output), task->name);
}

brg_status brg__context_handle_message(brg_context *context, const brg_value *message)
{
    if (context->module == NULL || context->module->message == NULL)
        return BRG_OK;
    brg__context_begin(context, 0, 0);
    brg__usage_count_message(context->usage);
    brg_status status = brg__context_conclude(context, context->module->message(context, message), "message handler");
    brg__context_end(context);
    return status;
}

/* ---- public -------------------------------------------------------------------------------------------- */

uint64_t brg_context_worker_id(const brg_context *context) { return context->worker_id; }
const char *brg_context_worker_name(const brg_context *context) { return context->worker_name; }
brg_isolation brg_context_isolation(const brg_context *context) { return context->isolation; }
const brg_value *brg_context_init_data(const brg_context *context) { return context->init_data; }
void brg_context_set_state(brg_context *context, void *state) { context->state = state; }
void *brg_context_state(const brg_context *context) { return context->state; }
uint32_t brg_context_attempt(const brg_context *context) { return context->attempt; }

static bool context_is_asked_with_flows(const brg_context *context)
{
    for (const brg__asking *one = context->asking; one != NULL; one = one->outer)
        if (brg_load_seq_cst(one->xasked) != 0) /* after making a descriptor, too: pairs with who asks, and rings */
            return true;
    return false;
}

bool brg_context_cancelled(const brg_context *context)
{
    uint64_t asked = brg_load_relaxed(context->xcancel);
    if (BRG__UNLIKELY(context->asking != NULL) && context_is_asked_with_flows(context))
        return true;
    return asked != 0 && (asked == context->ticket || asked == UINT64_MAX);
}

int brg_context_cancel_fd(brg_context *context) { return context->ops->cancel_fd(context); }

static brg_status context_fail(brg_context *context, brg_status status, int64_t code, brg_value *detail,
                               const char *format, va_list arguments) BRG_PRINTF(5, 0);

static brg_status context_fail(brg_context *context, brg_status status, int64_t code, brg_value *detail,
                               const char *format, va_list arguments)
{
    brg_error *failure = &context->failure;
    memset(failure, 0, sizeof(*failure));
    failure->status = status;
    failure->code = code;
    failure->attempt = context->attempt;
    const char *domain = context->module != NULL && context->module->name != NULL ? context->module->name : "task";
    snprintf(failure->domain, sizeof(failure->domain), "%s", domain);
    vsnprintf(failure->message, sizeof(failure->message), format, arguments);
    brg_value_unref(context->failure_detail);
    context->failure_detail = detail;
    return status;
}

brg_status brg_context_fail(brg_context *context, int64_t code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    brg_status status = context_fail(context, BRG_FAILED, code, NULL, format, arguments);
    va_end(arguments);
    return status;
}

brg_status brg_context_fail_with(brg_context *context, brg_status status, int64_t code, brg_value *detail,
                                 const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    context_fail(context, status, code, detail, format, arguments);
    va_end(arguments);
    return status;
}

brg_status brg_context_post(brg_context *context, brg_value *message, uint64_t timeout_ns, brg_error *error)
{
    if (message == NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "a message must not be NULL");
    if (context->is_pooled)
        return brg_error_set(error, BRG_UNSUPPORTED, "worker",
                             "a pool takes results, not messages: return the value as output");
    return context->ops->post(context, message, timeout_ns, error);
}

brg_status brg_context_receive(brg_context *context, brg_value **message, uint64_t timeout_ns)
{
    if (message == NULL)
        return BRG_INVALID;
    if (timeout_ns != 0)
        brg__context_idle_begin(context);
    brg_status status = context->ops->receive(context, message, timeout_ns);
    brg__context_idle_end(context);
    if (status == BRG_OK)
        brg__usage_count_message(context->usage);
    return status;
}
