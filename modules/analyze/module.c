/* SPDX-License-Identifier: MIT */
/*
 * The analyze module: the tasks behind `brigade analyze`. Workers get the plan once, as init_data (bytes). Tasks:
 *     file   {path: bytes, device, inode, size, begin, end, exact}: the rows of a file that begin in [begin, end)
 *     block  {block: buffer, size, base}: the rows in the buffer's first `size` bytes; READER_PADDING more are there
 *     values {values: buffer, count}: so many tally entries, to be sorted and put together
 * The first two give a packed partial result (scan.h), as bytes or, where it is long, as a buffer; values its entries.
 */
#include "chunk.h"
#include "result.h"

#include <brigade/module.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULE_BYTES_MAX 4096 /* longer results go as buffers */

typedef struct module_state {
    analyze_plan plan;
    analyze_scan scan;
    chunk_buffer buffer;
    int fd; /* of the file of the task before; -1: none */
    uint64_t device, inode;
} module_state;

static void module_release(void *memory, void *user_data)
{
    (void)user_data;
    free(memory);
}

static brg_status module_no_memory(brg_context *context)
{
    return brg_context_fail_with(context, BRG_NO_MEMORY, 0, NULL, "out of memory");
}

static brg_status module_reply(brg_context *context, pack_writer *partial, brg_value **output)
{
    brg_buffer *buffer = NULL;
    brg_builder *builder = NULL;
    brg_status status;
    if (partial->size <= MODULE_BYTES_MAX) {
        status = brg_value_bytes(output, partial->data, partial->size, NULL);
    } else {
        status = brg_buffer_wrap(&buffer, partial->data, partial->size, module_release, NULL, NULL);
        if (status == BRG_OK) {
            partial->data = NULL;
            status = brg_builder_create(&builder, NULL);
        }
        if (status == BRG_OK) {
            brg_builder_buffer(builder, &buffer);
            status = brg_builder_finish(builder, output, NULL);
        }
        brg_builder_destroy(builder);
        brg_buffer_unref(buffer);
    }
    free(partial->data);
    return status == BRG_OK ? BRG_OK : module_no_memory(context);
}

/* The file of the task, opened for it or still open. */
static brg_status module_open(brg_context *context, module_state *state, brg_view root)
{
    uint64_t device = (uint64_t)brg_view_get_int(root, "device", 0),
             inode = (uint64_t)brg_view_get_int(root, "inode", 0);
    if (state->fd >= 0 && state->device == device && state->inode == inode)
        return BRG_OK;
    size_t size = 0;
    const char *bytes = brg_view_bytes(brg_view_get(root, "path"), &size);
    char path[4096];
    if (bytes == NULL || size >= sizeof(path))
        return brg_context_fail(context, 0, "no path");
    memcpy(path, bytes, size);
    path[size] = '\0';
    if (state->fd >= 0)
        close(state->fd);
    state->fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (state->fd < 0 || fstat(state->fd, &info) != 0)
        return brg_context_fail(context, errno, "%s: %s", path, strerror(errno));
    state->device = device;
    state->inode = inode;
    if ((uint64_t)info.st_dev == device && (uint64_t)info.st_ino == inode)
        return BRG_OK;
    close(state->fd);
    state->fd = -1;
    return brg_context_fail(context, 0, "%s: it is another file now than when reading began", path);
}

static brg_status module_file(brg_context *context, const brg_value *input, brg_value **output)
{
    module_state *state = brg_context_state(context);
    static const brg_view nothing;
    brg_view root = input == NULL ? nothing : brg_value_root(input);
    brg_status status = module_open(context, state, root);
    if (status != BRG_OK)
        return status;
    analyze_chunk chunk = {.fd = state->fd,
                           .file_size = (uint64_t)brg_view_get_int(root, "size", 0),
                           .begin = (uint64_t)brg_view_get_int(root, "begin", 0),
                           .end = (uint64_t)brg_view_get_int(root, "end", 0),
                           .exact = brg_view_get_bool(root, "exact", false)};
    if (chunk.begin >= chunk.end || chunk.end > chunk.file_size)
        return brg_context_fail(context, 0, "the chunk is not in the file");
    pack_writer partial = {.data = NULL};
    chunk_outcome outcome = analyze_chunk_scan(&chunk, &state->scan, &state->buffer, &partial);
    if (outcome == CHUNK_DONE)
        return module_reply(context, &partial, output);
    free(partial.data);
    if (outcome == CHUNK_NO_MEMORY)
        return module_no_memory(context);
    return brg_context_fail(context, errno, "the file %s",
                            outcome == CHUNK_SHRANK ? "got shorter while it was read" : strerror(errno));
}

static brg_status module_block(brg_context *context, const brg_value *input, brg_value **output)
{
    module_state *state = brg_context_state(context);
    static const brg_view nothing;
    brg_view root = input == NULL ? nothing : brg_value_root(input);
    brg_buffer *buffer = brg_view_buffer(brg_view_get(root, "block"));
    uint64_t size = (uint64_t)brg_view_get_int(root, "size", 0), base = (uint64_t)brg_view_get_int(root, "base", 0);
    if (buffer == NULL || brg_buffer_size(buffer) < READER_PADDING || size > brg_buffer_size(buffer) - READER_PADDING)
        return brg_context_fail(context, 0, "no block of that size");
    analyze_scan *scan = &state->scan;
    analyze_scan_clear(scan);
    analyze_reader_set(&scan->reader, brg_buffer_bytes(buffer), size, true, 0);
    pack_writer partial = {.data = NULL};
    if (analyze_scan_run(scan, base, size) != READER_BAD)
        analyze_scan_pack(scan, base, base + scan->reader.at, &partial);
    if (scan->failed || partial.failed) {
        free(partial.data);
        return module_no_memory(context);
    }
    return module_reply(context, &partial, output);
}

static brg_status module_values(brg_context *context, const brg_value *input, brg_value **output)
{
    static const brg_view nothing;
    brg_view root = input == NULL ? nothing : brg_value_root(input);
    brg_buffer *buffer = brg_view_buffer(brg_view_get(root, "values"));
    uint64_t count = (uint64_t)brg_view_get_int(root, "count", 0);
    if (buffer == NULL || count > brg_buffer_size(buffer) / sizeof(tally_entry))
        return brg_context_fail(context, 0, "not so many values");
    pack_writer sorted = {.data = malloc((size_t)count * sizeof(tally_entry) + 1)};
    if (sorted.data == NULL)
        return module_no_memory(context);
    memcpy(sorted.data, brg_buffer_bytes(buffer), (size_t)count * sizeof(tally_entry));
    sorted.size = analyze_tallies_sort((tally_entry *)(void *)sorted.data, (size_t)count) * sizeof(tally_entry);
    return module_reply(context, &sorted, output);
}

static void module_worker_end(brg_context *context)
{
    module_state *state = brg_context_state(context);
    if (state == NULL)
        return;
    if (state->fd >= 0)
        close(state->fd);
    analyze_scan_done(&state->scan);
    analyze_plan_done(&state->plan);
    free(state->buffer.data);
    free(state);
    brg_context_set_state(context, NULL);
}

static brg_status module_worker_start(brg_context *context)
{
    const brg_value *data = brg_context_init_data(context);
    size_t size = 0;
    const char *bytes = data == NULL ? NULL : brg_view_bytes(brg_value_root(data), &size);
    module_state *state = calloc(1, sizeof(*state));
    if (state == NULL)
        return module_no_memory(context);
    state->fd = -1;
    pack_reader reader = {.at = bytes, .end = bytes == NULL ? NULL : bytes + size};
    if (bytes == NULL || !analyze_plan_unpack(&state->plan, &reader)) {
        free(state);
        return brg_context_fail(context, 0, "the worker was given no plan");
    }
    if (!analyze_scan_init(&state->scan, &state->plan)) {
        analyze_plan_done(&state->plan);
        free(state);
        return module_no_memory(context);
    }
    brg_context_set_state(context, state);
    return BRG_OK;
}

BRG_MODULE(analyze, .tasks = BRG_TASKS({"file", module_file}, {"block", module_block}, {"values", module_values}),
           .worker_start = module_worker_start, .worker_end = module_worker_end);
