/* SPDX-License-Identifier: MIT */
/* What workers are told and tell: their configuration, whether they are warm, which task of theirs this is. */
#include <brigade.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct memory {
    int64_t hooks, seen, warm, tasks, byte;
} memory;

static brg_status start(brg_context *context)
{
    memory *mine = calloc(1, sizeof(*mine));
    brg_context_set_state(context, mine);
    return mine == NULL ? BRG_NO_MEMORY : BRG_OK;
}

static void end(brg_context *context) { free(brg_context_state(context)); }

static int64_t number_of(const brg_value *config)
{
    return config == NULL ? -1 : brg_view_get_int(brg_value_root(config), "n", -2);
}

/* {"n": ..., "fail": true, "crash": true} */
static brg_status configure(brg_context *context, const brg_value *config)
{
    memory *mine = brg_context_state(context);
    mine->hooks++;
    mine->seen = number_of(config);
    if (config != NULL && brg_view_get_bool(brg_value_root(config), "crash", false))
        abort();
    if (config != NULL && brg_view_get_bool(brg_value_root(config), "fail", false))
        return brg_context_fail(context, 77, "this configuration is refused");
    return BRG_OK;
}

static void meet(const brg_value *input)
{
    if (input == NULL)
        return;
    brg_view root = brg_value_root(input);
    const char *reach = brg_view_get_string(root, "reach", NULL), *hold = brg_view_get_string(root, "hold", NULL);
    char byte = 'x';
    int fd = reach == NULL ? -1 : open(reach, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, &byte, 1) != 1)
            abort();
        close(fd);
    }
    fd = hold == NULL ? -1 : open(hold, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, &byte, 1) != 1)
            abort();
        close(fd);
    }
}

/* All it knows; stays where its input says. */
static brg_status show(brg_context *context, const brg_value *input, brg_value **output)
{
    memory *mine = brg_context_state(context);
    mine->tasks++;
    meet(input);
    return brg_value_map(output, NULL, brg_field_int("config", number_of(brg_context_config(context))),
                         brg_field_int("seen", mine->seen), brg_field_int("hooks", mine->hooks),
                         brg_field_int("warm", mine->warm), brg_field_int("nth", mine->tasks),
                         brg_field_int("worker", (int64_t)brg_context_worker_id(context)),
                         brg_field_int("index", brg_context_worker_index(context)),
                         brg_field_int("tags", (int64_t)brg_context_worker_tags(context)));
}

/* The prewarm task. {"fail": true} */
static brg_status warm(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    memory *mine = brg_context_state(context);
    if (mine->tasks != 0)
        return brg_context_fail(context, 1, "it comes too late");
    meet(input);
    if (input != NULL && brg_view_get_bool(brg_value_root(input), "fail", false))
        return brg_context_fail(context, 78, "it stays cold");
    mine->warm++;
    return BRG_OK;
}

/* Keeps so many bytes. */
static brg_status eat(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    size_t size = (size_t)brg_view_get_int(brg_value_root(input), "bytes", 0);
    char *bytes = malloc(size);
    if (bytes == NULL)
        return BRG_NO_MEMORY;
    memset(bytes, 1, size);
    ((memory *)brg_context_state(context))->byte = bytes[size / 2];
    if (!brg_view_get_bool(brg_value_root(input), "keep", false))
        free(bytes);
    return BRG_OK;
}

static brg_status crash(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context, (void)output;
    meet(input);
    abort();
}

static brg_status fail(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)input, (void)output;
    ((memory *)brg_context_state(context))->tasks++;
    return BRG_UNAVAILABLE;
}

BRG_MODULE(configure,
           .tasks = BRG_TASKS({"show", show}, {"warm", warm}, {"eat", eat}, {"crash", crash}, {"fail", fail}),
           .worker_start = start, .worker_end = end, .configure = configure);
