/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "worker/world.h"

#include <stdlib.h>
#include <string.h>

#include "message/object.h"
#include "message/utf8.h"
#include "os/atomic.h"
#include "os/lock.h"
#include "os/memory.h"
#include "worker/worker.h"

extern char **environ;

/* One allocation: the pointers, a NULL, the text. */
struct brg__strings {
    uint32_t xreferences;
    uint32_t count;
    const char *items[];
};

typedef struct world_fact {
    char *name;
    brg_value *value;
} world_fact;

struct brg__facts {
    uint32_t xreferences;
    uint32_t count;
    world_fact items[];
};

static brg__world world_program; /* its arguments and environment stay NULL */
static brg__lock world_lock = BRG__LOCK_INIT(BRG__RANK_LEAF,
                                             "environment"); /* the program's environ, as far as we use it */
static brg__lock facts_lock = BRG__LOCK_INIT(BRG__RANK_LEAF, "environment data");

brg__world *brg__world_of_program(void) { return &world_program; }

/* ---- strings -------------------------------------------------------------------------------------------------- */

static void strings_unref(brg__strings *strings)
{
    if (strings != NULL && brg_sub_acq_rel(&strings->xreferences, 1u) == 1)
        brg__mfree(strings);
}

static brg__strings *strings_ref(brg__strings *strings)
{
    if (strings != NULL)
        brg_add_relaxed(&strings->xreferences, 1u);
    return strings;
}

/* A copy of `count` strings; NULL without memory. */
static brg__strings *strings_copy(const char *const *list, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(list[i]) + 1;
    brg__strings *strings = brg__malloc(sizeof(*strings) + (count + 1) * sizeof(char *) + bytes);
    if (strings == NULL)
        return NULL;
    char *text = (char *)&strings->items[count + 1];
    strings->xreferences = 1;
    strings->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(list[i]) + 1;
        memcpy(text, list[i], size);
        strings->items[i] = text;
        text += size;
    }
    strings->items[count] = NULL;
    return strings;
}

static size_t strings_count(const char *const *list)
{
    size_t count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

/* ---- facts ---------------------------------------------------------------------------------------------------- */

static void facts_unref(brg__facts *facts)
{
    if (facts == NULL || brg_sub_acq_rel(&facts->xreferences, 1u) != 1)
        return;
    for (uint32_t i = 0; i < facts->count; i++) {
        brg__mfree(facts->items[i].name);
        brg_value_unref(facts->items[i].value);
    }
    brg__mfree(facts);
}

static brg__facts *facts_of(brg__world *world)
{
    brg__lock_acquire(&facts_lock);
    brg__facts *facts = world->xfacts;
    if (facts != NULL)
        brg_add_relaxed(&facts->xreferences, 1u);
    brg__lock_release(&facts_lock);
    return facts;
}

static brg_value *facts_find(const brg__facts *facts, const char *name)
{
    for (uint32_t i = 0; facts != NULL && i < facts->count; i++)
        if (strcmp(facts->items[i].name, name) == 0)
            return facts->items[i].value;
    return NULL;
}

static bool facts_append(brg__facts *facts, const char *name, const brg_value *value)
{
    world_fact *fact = &facts->items[facts->count];
    fact->name = brg__strdup(name);
    if (fact->name == NULL)
        return false;
    fact->value = brg_value_ref(value);
    facts->count++;
    return true;
}

/* `before` with `name` changed to `value`, or without it where that is NULL. NULL without memory. */
static brg__facts *facts_changed(const brg__facts *before, const char *name, const brg_value *value)
{
    uint32_t count = before == NULL ? 0 : before->count;
    brg__facts *facts = brg__malloc(sizeof(*facts) + (count + 1) * sizeof(world_fact));
    if (facts == NULL)
        return NULL;
    facts->xreferences = 1;
    facts->count = 0;
    bool whole = true;
    for (uint32_t i = 0; i < count && whole; i++)
        if (strcmp(before->items[i].name, name) != 0)
            whole = facts_append(facts, before->items[i].name, before->items[i].value);
    if (value != NULL && whole)
        whole = facts_append(facts, name, value);
    if (whole)
        return facts;
    facts_unref(facts);
    return NULL;
}

static brg_status facts_check(const char *name, const brg_value *value, brg_error *error)
{
    if (name == NULL || name[0] == '\0' || !brg__utf8_check(name, strlen(name)))
        return brg_error_set(error, BRG_INVALID, "worker", "a name of environment data is UTF-8 and not empty");
    if (value != NULL && brg__value_has_movables(value))
        return brg_error_set(error, BRG_UNSUPPORTED, "worker",
                             "environment data goes to many workers: it cannot hold ports or descriptors");
    return BRG_OK;
}

static brg_status facts_set(brg__world *world, const char *name, brg_value *value, brg_error *error)
{
    brg_status status = facts_check(name, value, error);
    if (status != BRG_OK)
        return status;
    for (;;) { /* who changes it at the same time may come first */
        brg__facts *before = facts_of(world), *after = facts_changed(before, name, value);
        brg__lock_acquire(&facts_lock);
        bool mine = after != NULL && world->xfacts == before;
        if (mine)
            world->xfacts = after;
        brg__lock_release(&facts_lock);
        facts_unref(before);
        if (after == NULL)
            return brg__error_memory(error, "environment data");
        if (mine) {
            facts_unref(before); /* the world's reference */
            brg_value_unref(value);
            return BRG_OK;
        }
        facts_unref(after);
    }
}

static brg_value *facts_get(brg__world *world, const char *name)
{
    brg__facts *facts = name == NULL ? NULL : facts_of(world);
    brg_value *value = facts_find(facts, name);
    if (value != NULL)
        brg_value_ref(value);
    facts_unref(facts);
    return value;
}

static brg__world *world_here(void)
{
    brg_context *context = brg__context_current();
    return context != NULL && context->world != NULL ? context->world : &world_program;
}

brg_status brg_environment_data_set(const char *name, brg_value *value, brg_error *error)
{
    return facts_set(world_here(), name, value, error);
}

brg_value *brg_environment_data_get(const char *name) { return facts_get(world_here(), name); }

brg_status brg_context_environment_data_set(brg_context *context, const char *name, brg_value *value, brg_error *error)
{
    return facts_set(context->world, name, value, error);
}

brg_value *brg_context_environment_data_get(brg_context *context, const char *name)
{
    return facts_get(context->world, name);
}

/* ---- worlds ------------------------------------------------------------------------------------------------------ */

brg_status brg__world_check(const brg_worker_options *options, brg_error *error)
{
    if (options->share_environment && options->isolation == BRG_ISOLATION_PROCESS)
        return brg_error_set(error, BRG_UNSUPPORTED, "worker", "a process worker cannot share the environment");
    if (options->share_environment && options->environment != NULL)
        return brg_error_set(error, BRG_INVALID, "worker", "give environment or share_environment, not both");
    for (size_t i = 0; options->environment != NULL && options->environment[i] != NULL; i++) {
        const char *equals = strchr(options->environment[i], '=');
        if (equals == NULL || equals == options->environment[i])
            return brg_error_set(error, BRG_INVALID, "worker", "environment: \"%.60s\" is not NAME=value",
                                 options->environment[i]);
    }
    return BRG_OK;
}

void brg__world_done(brg__world *world)
{
    strings_unref(world->arguments);
    strings_unref(world->environment);
    facts_unref(world->xfacts);
    brg__mfree(world->found);
    memset(world, 0, sizeof(*world));
}

static brg__strings *world_environment(const brg_worker_options *options, const brg__world *heritage)
{
    if (options->environment != NULL)
        return strings_copy(options->environment, strings_count(options->environment));
    if (heritage->environment != NULL)
        return strings_ref(heritage->environment);
    brg__lock_acquire(&world_lock);
    const char *const *list = (const char *const *)environ;
    brg__strings *strings = strings_copy(list, strings_count(list));
    brg__lock_release(&world_lock);
    return strings;
}

brg_status brg__world_make(brg__world *world, const brg_worker_options *options, const brg__world *heritage,
                           brg_error *error)
{
    brg__world *from = heritage != NULL ? (brg__world *)heritage : world_here();
    brg__world made = {.found = NULL};
    size_t count = strings_count(options->arguments);
    bool whole = true;
    if (count != 0)
        whole = (made.arguments = strings_copy(options->arguments, count)) != NULL;
    if (whole && !options->share_environment)
        whole = (made.environment = world_environment(options, from)) != NULL;
    if (!whole) {
        brg__world_done(&made);
        return brg__error_memory(error, "a worker's environment");
    }
    made.xfacts = facts_of(from);
    *world = made;
    return BRG_OK;
}

/* ---- across processes -------------------------------------------------------------------------------------------- */

static void world_pack_strings(brg_builder *builder, const char *key, const brg__strings *strings)
{
    brg_builder_key(builder, key);
    brg_builder_list(builder);
    for (uint32_t i = 0; strings != NULL && i < strings->count; i++) /* with the zero: they need be no UTF-8 */
        brg_builder_bytes(builder, strings->items[i], strlen(strings->items[i]) + 1);
    brg_builder_end(builder);
}

brg_status brg__world_pack(const brg_worker *worker, brg_value **out, brg_error *error)
{
    const brg__world *world = &worker->world;
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg__facts *facts = facts_of((brg__world *)world);
    brg_builder_map(builder);
    world_pack_strings(builder, "arguments", world->arguments);
    world_pack_strings(builder, "environment", world->environment);
    brg_builder_key(builder, "data");
    brg_builder_map(builder);
    for (uint32_t i = 0; facts != NULL && i < facts->count; i++) {
        brg_builder_key(builder, facts->items[i].name);
        brg_builder_view(builder, brg_value_root(facts->items[i].value));
    }
    brg_builder_end(builder);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, out, error);
    facts_unref(facts);
    brg_builder_destroy(builder);
    return status;
}

static brg__strings *world_unpack_strings(brg_view list)
{
    size_t count = brg_view_count(list), size = 0;
    const char **items = brg__calloc(count + 1, sizeof(*items));
    if (items == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        items[i] = brg_view_bytes(brg_view_at(list, i), &size);
        if (items[i] == NULL || size == 0 || items[i][size - 1] != '\0')
            items[i] = "";
    }
    brg__strings *strings = strings_copy(items, count);
    brg__mfree((void *)items);
    return strings;
}

static brg_status world_unpack_facts(brg__world *world, brg_view data, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    for (size_t i = 0; status == BRG_OK && i < brg_view_count(data); i++) {
        brg_value *value = NULL;
        brg_builder_view(builder, brg_view_at(data, i));
        status = brg_builder_finish(builder, &value, error);
        if (status == BRG_OK && (status = facts_set(world, brg_view_key_at(data, i, NULL), value, error)) != BRG_OK)
            brg_value_unref(value);
    }
    brg_builder_destroy(builder);
    return status;
}

brg_status brg__world_unpack(brg_context *context, const brg_value *value, brg_error *error)
{
    context->world = &world_program;
    if (value == NULL)
        return BRG_OK;
    brg_view root = brg_value_root(value);
    brg__strings *arguments = world_unpack_strings(brg_view_get(root, "arguments"));
    brg__strings *environment = world_unpack_strings(brg_view_get(root, "environment"));
    if (arguments == NULL || environment == NULL) {
        strings_unref(arguments);
        strings_unref(environment);
        return brg__error_memory(error, "the worker's environment");
    }
    strings_unref(world_program.arguments);
    world_program.arguments = arguments;
    environ = (char **)(uintptr_t)environment->items; /* the C library's from here on: never freed */
    return world_unpack_facts(&world_program, brg_view_get(root, "data"), error);
}

/* ---- a context's arguments and environment ----------------------------------------------------------------------- */

size_t brg_context_argument_count(const brg_context *context)
{
    return context->world->arguments == NULL ? 0 : context->world->arguments->count;
}

const char *brg_context_argument(const brg_context *context, size_t index)
{
    return index < brg_context_argument_count(context) ? context->world->arguments->items[index] : NULL;
}

/* The place of `name` in the worker's own environment, or its count. */
static uint32_t world_find(const brg__strings *environment, const char *name)
{
    size_t size = strlen(name);
    uint32_t i = 0;
    while (i < environment->count &&
           !(strncmp(environment->items[i], name, size) == 0 && environment->items[i][size] == '='))
        i++;
    return i;
}

const char *brg_context_getenv(brg_context *context, const char *name)
{
    brg__world *world = context->world;
    if (name == NULL || name[0] == '\0' || strchr(name, '=') != NULL)
        return NULL;
    if (world->environment != NULL) {
        uint32_t at = world_find(world->environment, name);
        return at == world->environment->count ? NULL : world->environment->items[at] + strlen(name) + 1;
    }
    brg__lock_acquire(&world_lock);
    const char *value = getenv(name);
    char *copy = value == NULL ? NULL : brg__strdup(value);
    brg__lock_release(&world_lock);
    brg__mfree(world->found);
    world->found = copy;
    return copy;
}

/* With "NAME=value" in place of the name's, or, where it is NULL, without the name. */
static brg_status world_replace(brg__world *world, const char *name, const char *entry)
{
    brg__strings *before = world->environment;
    uint32_t at = world_find(before, name), count = 0;
    const char **items = brg__malloc((before->count + 2) * sizeof(*items));
    if (items == NULL)
        return BRG_NO_MEMORY;
    for (uint32_t i = 0; i < before->count; i++)
        if (i != at)
            items[count++] = before->items[i];
    if (entry != NULL)
        items[count++] = entry;
    brg__strings *after = strings_copy(items, count);
    brg__mfree((void *)items);
    if (after == NULL)
        return BRG_NO_MEMORY;
    world->environment = after;
    strings_unref(before);
    return BRG_OK;
}

static brg_status world_change(brg_context *context, const char *name, const char *value)
{
    brg__world *world = context->world;
    if (name == NULL || name[0] == '\0' || strchr(name, '=') != NULL)
        return BRG_INVALID;
    if (world->environment == NULL) {
        brg__lock_acquire(&world_lock);
        int failed = value == NULL ? unsetenv(name) : setenv(name, value, 1);
        brg__lock_release(&world_lock);
        return failed == 0 ? BRG_OK : BRG_NO_MEMORY;
    }
    if (value == NULL)
        return world_replace(world, name, NULL);
    size_t name_size = strlen(name), value_size = strlen(value);
    char *entry = brg__malloc(name_size + value_size + 2);
    if (entry == NULL)
        return BRG_NO_MEMORY;
    memcpy(entry, name, name_size);
    entry[name_size] = '=';
    memcpy(entry + name_size + 1, value, value_size);
    entry[name_size + 1 + value_size] = '\0';
    brg_status status = world_replace(world, name, entry);
    brg__mfree(entry);
    return status;
}

brg_status brg_context_setenv(brg_context *context, const char *name, const char *value)
{
    return value == NULL ? BRG_INVALID : world_change(context, name, value);
}

brg_status brg_context_unsetenv(brg_context *context, const char *name) { return world_change(context, name, NULL); }

const char *const *brg_context_environment(brg_context *context)
{
    if (context->world->environment != NULL)
        return context->world->environment->items;
    return (const char *const *)environ;
}
