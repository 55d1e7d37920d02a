/* SPDX-License-Identifier: MIT */
/* What a worker of a pool has beside others: its configuration, its place, its tags. */
#include <string.h>

#include "worker/context.h"

const brg_value *brg_context_config(const brg_context *context) { return context->config; }
uint32_t brg_context_worker_index(const brg_context *context) { return context->pool_index; }
uint64_t brg_context_worker_tags(const brg_context *context) { return context->pool_tags; }

bool brg__context_names_config(const char *name, size_t name_size)
{
    return name_size == sizeof(BRG__TASK_CONFIGURE) - 1 && memcmp(name, BRG__TASK_CONFIGURE, name_size) == 0;
}

/* A module of before there was the hook is shorter. */
static bool pool_has_hook(const brg_module *module)
{
    return module != NULL && module->size >= offsetof(brg_module, configure) + sizeof(module->configure) &&
           module->configure != NULL;
}

brg_status brg__context_configure(brg_context *context, const brg_value *config)
{
    brg_value *before = context->config; /* the module may have kept views of it until the hook has run */
    context->config = config == NULL ? NULL : brg_value_ref(config);
    brg_status status = BRG_OK;
    if (pool_has_hook(context->module))
        status = brg__context_conclude(context, context->module->configure(context, config), "configure hook");
    brg_value_unref(before);
    return status;
}
