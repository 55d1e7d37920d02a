/* SPDX-License-Identifier: MIT */
/*
 * Workers that turn on their owner: they write over the memory they share with it while it looks. They know nothing of
 * what lies there but that it is a memfd.
 */
#include <brigade.h>

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned char *shared_memory;
static size_t shared_size;

static void find_shared(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from, to;
        if (strstr(line, "memfd:") != NULL && sscanf(line, "%lx-%lx", &from, &to) == 2) {
            shared_memory = (unsigned char *)from;
            shared_size = to - from;
        }
    }
    if (maps != NULL)
        fclose(maps);
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

/* Writes every eventfd, so that the owner looks. */
static void ring_all_bells(void)
{
    DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char path[300], target[64] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        if (readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, "eventfd") != NULL &&
            write(atoi(entry->d_name), &(uint64_t){1}, sizeof(uint64_t)) < 0)
            break;
    }
    if (directory != NULL)
        closedir(directory);
}

/* Random bytes over the first "bytes", then waits for its end. */
static brg_status hostile_scribble(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)output;
    brg_view root = brg_value_root(input);
    unsigned seed = (unsigned)brg_view_get_int(root, "seed", 1);
    size_t bytes = (size_t)brg_view_get_int(root, "bytes", 0);
    find_shared();
    for (size_t i = 0; i < bytes && i < shared_size; i++)
        shared_memory[i] = (unsigned char)next_random(&seed);
    ring_all_bells();
    while (seed != 0 || bytes == 0) /* for ever: nothing is answered */
        pause();
    return BRG_OK;
}

/* From now on another thread changes single bytes near the start and near the middle, where answers are written. */
static void *flip(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (;;) {
        size_t base = next_random(&seed) % 2 == 0 ? 0 : shared_size / 2;
        size_t at = base + next_random(&seed) % 16384;
        if (at < shared_size)
            ((volatile unsigned char *)shared_memory)[at] = (unsigned char)next_random(&seed);
    }
    return NULL;
}

static brg_status hostile_flip(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    pthread_t thread;
    find_shared();
    unsigned seed = (unsigned)brg_view_get_int(brg_value_root(input), "seed", 1);
    if (pthread_create(&thread, NULL, flip, (void *)(uintptr_t)seed) != 0)
        return BRG_NO_MEMORY;
    *output = brg_value_ref((brg_value *)input);
    return BRG_OK;
}

static brg_status hostile_echo(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    *output = input == NULL ? NULL : brg_value_ref((brg_value *)input);
    return BRG_OK;
}

/* Posts to an owner that takes no messages. */
static brg_status hostile_post(brg_context *context, const brg_value *input, brg_value **output)
{
    int64_t count = brg_view_get_int(brg_value_root(input), "count", 0), posted = 0;
    for (int64_t i = 0; i < count; i++) {
        brg_value *copy = brg_value_ref((brg_value *)input);
        if (brg_context_post(context, copy, 0, NULL) == BRG_OK)
            posted++;
        else
            brg_value_unref(copy);
    }
    return brg_value_map(output, NULL, brg_field_int("posted", posted));
}

BRG_MODULE(hostile, .tasks = BRG_TASKS({"scribble", hostile_scribble}, {"flip", hostile_flip}, {"echo", hostile_echo},
                                       {"post", hostile_post}));
