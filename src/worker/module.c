/* SPDX-License-Identifier: MIT */
#include "worker/module.h"

#include <string.h>

#include "base/list.h"
#include "os/atomic.h"
#include "os/futex.h"
#include "os/library.h"
#include "os/lock.h"
#include "os/memory.h"

static bool module_has_task(const brg_module *module, const char *name)
{
    for (const brg_module_task *task = module->tasks; task != NULL && task->name != NULL; task++)
        if (strcmp(task->name, name) == 0)
            return true;
    return false;
}

static brg_status module_check_batch_tasks(const brg_module *module, brg_error *error)
{
    if (module->size < offsetof(brg_module, batch_tasks) + sizeof(module->batch_tasks))
        return BRG_OK;
    for (const brg_module_batch_task *task = module->batch_tasks; task != NULL && task->name != NULL; task++) {
        if (task->run == NULL || strlen(task->name) > BRG_TASK_NAME_MAX || task->name[0] == '\0')
            return brg_error_set(error, BRG_INVALID, "worker",
                                 "batch task \"%.70s\" of the module needs a function and a name of 1 to %d bytes",
                                 task->name, BRG_TASK_NAME_MAX);
        if (module_has_task(module, task->name))
            return brg_error_set(error, BRG_INVALID, "worker",
                                 "the module has both a task and a batch task named \"%s\"", task->name);
    }
    return BRG_OK;
}

brg_status brg__module_check(const brg_module *module, brg_error *error)
{
    if (module->abi != BRG_MODULE_ABI ||
        module->size < offsetof(brg_module, direct)) /* what came later may be missing */
        return brg_error_set(error, BRG_UNSUPPORTED, "worker",
                             "the module was built for ABI %u, this library has ABI %u: build it again", module->abi,
                             BRG_MODULE_ABI);
    for (const brg_module_task *task = module->tasks; task != NULL && task->name != NULL; task++)
        if (task->run == NULL || strlen(task->name) > BRG_TASK_NAME_MAX || task->name[0] == '\0')
            return brg_error_set(error, BRG_INVALID, "worker",
                                 "task \"%.70s\" of the module needs a function and a name of 1 to %d bytes",
                                 task->name, BRG_TASK_NAME_MAX);
    return module_check_batch_tasks(module, error);
}

brg_status brg__module_open(const char *path, const brg_module **out, void **library, brg_error *error)
{
    void *handle = NULL, *symbol = NULL;
    brg_status status = brg__library_open(&handle, path, error);
    if (status != BRG_OK)
        return status;
    status = brg__library_symbol(handle, "brg_module_entry", &symbol, NULL);
    if (status != BRG_OK)
        status = brg_error_set(error, BRG_START_FAILED, "worker", "%s is no brigade module: it lacks BRG_MODULE", path);
    else
        status = brg__module_check(symbol, error);
    if (status != BRG_OK) {
        brg__library_close(handle);
        return status;
    }
    *out = symbol;
    *library = handle;
    return BRG_OK;
}

/* ---- modules of this program: each preloaded once, never unloaded ----------------------------------------- */

typedef enum module_state { MODULE_LOADING = 0, MODULE_READY, MODULE_FAILED } module_state;

typedef struct module_entry {
    struct module_entry *next;
    const brg_module *module; /* of the ready ones, and of linked ones from the start */
    uint32_t xstate;          /* module_state; futex */
    brg_error error;          /* why it failed */
    char path[];              /* empty for linked modules */
} module_entry;

static brg__lock module_lock = BRG__LOCK_INIT(BRG__RANK_LIBRARY, "modules");
static module_entry *module_entries;

static module_entry *module_find_locked(const char *path, const brg_module *linked)
{
    for (module_entry *entry = module_entries; entry != NULL; entry = entry->next)
        if (linked != NULL ? entry->module == linked && entry->path[0] == '\0' : strcmp(entry->path, path) == 0)
            return entry;
    return NULL;
}

/* The entry, and whether the caller is the one to load it: the first, and the next after a failure. NULL without
 * memory. */
static module_entry *module_claim(const char *path, const brg_module *linked, bool *mine)
{
    size_t length = linked != NULL ? 0 : strlen(path);
    brg__lock_acquire(&module_lock);
    module_entry *entry = module_find_locked(path, linked);
    if (entry != NULL) {
        uint32_t failed = MODULE_FAILED;
        *mine = brg_cas_acq_rel(&entry->xstate, &failed, (uint32_t)MODULE_LOADING);
    } else if ((entry = brg__calloc(1, sizeof(*entry) + length + 1)) != NULL) {
        *mine = true;
        if (length != 0)
            memcpy(entry->path, path, length);
        entry->module = linked;
        entry->next = module_entries;
        module_entries = entry;
    }
    brg__lock_release(&module_lock);
    return entry;
}

static void module_load(module_entry *entry)
{
    void *library = NULL;
    const brg_module *module = entry->module;
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status;
    if (entry->path[0] != '\0')
        status = brg__module_open(entry->path, &module, &library, &error);
    else
        status = brg__module_check(module, &error);
    if (status == BRG_OK && module->preload != NULL) {
        status = module->preload(&error);
        if (status != BRG_OK && error.message[0] == '\0')
            brg_error_set(&error, status, "worker", "preload of the module failed: %s", brg_status_text(status));
    }
    error.status = status;
    if (status != BRG_OK)
        brg__library_close(library);
    brg__lock_acquire(&module_lock);
    entry->error = error;
    if (status == BRG_OK)
        entry->module = module;
    brg_store_release(&entry->xstate, (uint32_t)(status == BRG_OK ? MODULE_READY : MODULE_FAILED));
    brg__lock_release(&module_lock);
    brg__futex_wake(&entry->xstate, INT32_MAX, BRG__FUTEX_PRIVATE);
}

/* The outcome once there is one; BRG_EMPTY while it loads. */
static brg_status module_outcome(module_entry *entry, const brg_module **out, brg_error *error)
{
    brg__lock_acquire(&module_lock);
    uint32_t state = brg_load_relaxed(&entry->xstate);
    brg_status status = state == MODULE_LOADING ? BRG_EMPTY : entry->error.status;
    if (state == MODULE_READY)
        *out = entry->module;
    else if (state == MODULE_FAILED && error != NULL)
        *error = entry->error;
    brg__lock_release(&module_lock);
    return status;
}

brg_status brg__module_shared(const char *path, const brg_module *linked, const brg_module **out, brg_error *error)
{
    bool mine = false;
    module_entry *entry = module_claim(path, linked, &mine);
    if (entry == NULL)
        return brg__error_memory(error, "a module");
    if (mine)
        module_load(entry);
    brg_status status;
    while ((status = module_outcome(entry, out, error)) == BRG_EMPTY)
        brg__futex_wait(&entry->xstate, MODULE_LOADING, UINT64_MAX, BRG__FUTEX_PRIVATE);
    return status;
}
