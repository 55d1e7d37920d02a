/* SPDX-License-Identifier: MIT */
/*
 * The reader of `brigade run`, a thread: blocks of the files become lines, lines become items with a value or with the
 * reason why they have none. It waits for input with a way out (stop_fd), and for items and room under the lock.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

#define INPUT_BLOCK ((size_t)256 << 10)
#define INPUT_BATCH 256 /* items handed on at once */

typedef struct input {
    run_state *run;
    const char *file; /* NULL: standard input */
    int fd;
    char *buffer;
    size_t start, used, capacity; /* what is left of it is from start to used */
    size_t looked;                /* so far there is no end of line */
    bool is_skipping;             /* the rest of a line that is too long */
    bool is_over;                 /* the limit is reached, or it is to stop */
    uint64_t line, sequence;
    run_list own, batch;         /* items to fill; filled ones, not yet handed on */
    uint64_t batch_count, blank; /* in this batch */
    size_t bytes_read, bytes_held;
} input;

/* ---- items ------------------------------------------------------------------------------------------------------- */

/* Hands the batch on. */
static void input_publish(input *in)
{
    run_state *run = in->run;
    bool any = in->batch.head != NULL;
    uv_mutex_lock(&run->lock);
    run_list_append(&run->ready, &in->batch);
    run->counts.blank += in->blank;
    run->counts.lines += in->blank + in->batch_count;
    run->counts.bytes_read += in->bytes_read;
    run->bytes_held += in->bytes_held;
    uv_mutex_unlock(&run->lock);
    in->blank = in->batch_count = 0;
    in->bytes_read = in->bytes_held = 0;
    if (any)
        uv_async_send(&run->wake);
}

/* Until there is an item, and room for `bytes`. False: it is to stop. */
static bool input_wait(input *in, size_t bytes)
{
    run_state *run = in->run;
    uv_mutex_lock(&run->lock);
    run_list_append(&in->own, &run->free_items);
    while (!run->stop_reading &&
           (in->own.head == NULL || (run->bytes_held != 0 && run->bytes_held + bytes > run->bytes_max))) {
        uv_cond_wait(&run->has_free, &run->lock);
        run_list_append(&in->own, &run->free_items);
    }
    bool stop = run->stop_reading;
    uv_mutex_unlock(&run->lock);
    return !stop;
}

/* An item for a line of `bytes`. NULL: it is to stop. */
static run_item *input_item(input *in, size_t bytes)
{
    if (in->own.head == NULL || in->batch_count == INPUT_BATCH || in->bytes_held + bytes > INPUT_BLOCK) {
        input_publish(in);
        if (!input_wait(in, bytes))
            return NULL;
    }
    in->batch_count++;
    in->bytes_held += bytes;
    run_item *item = run_list_pop(&in->own);
    *item = (run_item){.run = in->run, .sequence = in->sequence++, .line = in->line, .file = in->file, .bytes = bytes};
    return item;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* The node at a dotted path; numbers between the dots are places in lists. */
static brg_view input_find(brg_view view, const char *path)
{
    while (*path != '\0') {
        char name[256];
        size_t length = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)(length < sizeof(name) ? length : sizeof(name) - 1), path);
        view = brg_view_type(view) == BRG_TYPE_LIST && isdigit((unsigned char)name[0])
                   ? brg_view_at(view, (size_t)strtoull(name, NULL, 10))
                   : brg_view_get(view, name);
        path += length;
        path += *path == '.';
    }
    return view;
}

static void input_take_key(run_item *item, const char *path)
{
    brg_view view = input_find(brg_value_root(item->input), path);
    brg_type type = brg_view_type(view);
    if (type == BRG_TYPE_NONE || type == BRG_TYPE_NIL)
        return; /* those without a key are one */
    const char *string = brg_view_string(view, NULL);
    char *text = NULL;
    if (string != NULL) {
        item->key = brg_key(string);
    } else if (brg_view_to_text(view, &text, NULL, NULL) == BRG_OK) {
        item->key = brg_key(text);
        brg_free(text);
    } else {
        run_item_fail(item, BRG_NO_MEMORY, "out of memory");
    }
}

static void input_take_priority(run_item *item, const char *path)
{
    static const char *const names[] = {"normal", "urgent", "high", "low"};
    static const brg_priority priorities[] = {BRG_PRIORITY_NORMAL, BRG_PRIORITY_URGENT, BRG_PRIORITY_HIGH,
                                              BRG_PRIORITY_LOW};
    brg_view view = input_find(brg_value_root(item->input), path);
    brg_type type = brg_view_type(view);
    const char *string = brg_view_string(view, NULL);
    if (type == BRG_TYPE_NONE || type == BRG_TYPE_NIL)
        return;
    for (size_t i = 0; string != NULL && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], string) == 0) {
            item->priority = priorities[i];
            return;
        }
    if (string != NULL)
        run_item_fail(item, BRG_INVALID, "the priority in \"%s\" is \"%.60s\"; it is urgent, high, normal or low", path,
                      string);
    else
        run_item_fail(item, BRG_INVALID, "the priority in \"%s\" is of type %s; it is urgent, high, normal or low",
                      path, brg_type_name(type));
}

static brg_status input_string(const char *text, size_t size, brg_value **out, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_string_n(builder, text, size);
    status = brg_builder_finish(builder, out, error);
    brg_builder_destroy(builder);
    return status;
}

static void input_parse(run_item *item, const run_options *options, const char *text, size_t size)
{
    brg_error error = {.status = BRG_OK};
    brg_json_flags flags = options->typed ? BRG_JSON_TYPED : BRG_JSON_COMPACT;
    brg_status status = options->raw_input ? input_string(text, size, &item->input, &error)
                                           : brg_value_from_json_flags(&item->input, text, size, flags, &error);
    if (status != BRG_OK) {
        /* It names a line too, which is always the first of what it got. */
        static const char lead[] = "JSON, line 1, ";
        bool leads = status == BRG_MALFORMED && strncmp(error.message, lead, sizeof(lead) - 1) == 0;
        run_item_fail(item, status, "%s%s", leads ? "no JSON at " : "",
                      leads ? error.message + sizeof(lead) - 1 : error.message);
        return;
    }
    if (options->key != NULL)
        input_take_key(item, options->key);
    if (options->priority != NULL)
        input_take_priority(item, options->priority);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static bool input_is_blank(const char *text, size_t size)
{
    while (size > 0 && (*text == ' ' || *text == '\t' || *text == '\r')) {
        text++;
        size--;
    }
    return size == 0;
}

static void input_line(input *in, const char *text, size_t size)
{
    run_state *run = in->run;
    in->line++;
    if (!run->options.raw_input && input_is_blank(text, size)) {
        in->blank++;
        return;
    }
    if (run->options.raw_input && size > 0 && text[size - 1] == '\r')
        size--;
    run_item *item = input_item(in, size);
    if (item == NULL) {
        in->is_over = true;
        return;
    }
    if (size > run->options.line_max)
        run_item_fail(item, BRG_TOO_LARGE, "the line is longer than %llu bytes (--line-max)",
                      (unsigned long long)run->options.line_max);
    else
        input_parse(item, &run->options, text, size);
    item->is_bad = item->end == RUN_FAILED;
    run_list_push(&in->batch, item);
    in->is_over = run->options.limit != 0 && in->sequence == run->options.limit;
}

/* All whole lines in the buffer; what is left moves to its beginning. */
static void input_split(input *in)
{
    while (!in->is_over) {
        char *end = memchr(in->buffer + in->looked, '\n', in->used - in->looked);
        if (end == NULL)
            break;
        if (in->is_skipping)
            in->is_skipping = false;
        else
            input_line(in, in->buffer + in->start, (size_t)(end - in->buffer) - in->start);
        in->start = in->looked = (size_t)(end - in->buffer) + 1;
    }
    if (!in->is_over && !in->is_skipping && in->used - in->start > in->run->options.line_max) {
        input_line(in, in->buffer + in->start, in->used - in->start);
        in->is_skipping = true;
    }
    if (in->is_skipping)
        in->start = in->used;
    memmove(in->buffer, in->buffer + in->start, in->used - in->start);
    in->used -= in->start;
    in->start = 0;
    in->looked = in->used;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Room for another block. A line that is too long is never whole in here. */
static bool input_grow(input *in)
{
    if (in->capacity - in->used >= INPUT_BLOCK)
        return true;
    size_t capacity = 2 * in->capacity > in->used + INPUT_BLOCK ? 2 * in->capacity : in->used + INPUT_BLOCK;
    char *larger = realloc(in->buffer, capacity);
    if (larger == NULL)
        return false;
    in->buffer = larger;
    in->capacity = capacity;
    return true;
}

/* Bytes, 0 at the end or when it is to stop, -1 with errno. */
static ssize_t input_block(input *in)
{
    for (;;) {
        struct pollfd ready[] = {{.fd = in->fd, .events = POLLIN}, {.fd = in->run->stop_fd, .events = POLLIN}};
        if (poll(ready, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        if (ready[1].revents != 0) {
            in->is_over = true;
            return 0;
        }
        ssize_t count = read(in->fd, in->buffer + in->used, INPUT_BLOCK);
        if (count >= 0 || (errno != EINTR && errno != EAGAIN))
            return count;
    }
}

static void input_complain(input *in, const char *why)
{
    uv_mutex_lock(&in->run->lock);
    run_clear_progress(in->run);
    cli_complain("run", "%s: %s; what came before is used", in->file != NULL ? in->file : "standard input", why);
    in->run->input_errors++;
    uv_mutex_unlock(&in->run->lock);
}

static void input_file(input *in)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8: some editors begin a file with it */
    bool at_start = true;
    in->line = 0;
    in->start = in->used = in->looked = 0;
    in->is_skipping = false;
    while (!in->is_over) {
        ssize_t count = input_grow(in) ? input_block(in) : -1;
        if (count < 0)
            input_complain(in, strerror(errno));
        if (count <= 0)
            break;
        in->used += (size_t)count;
        in->bytes_read += (size_t)count;
        if (at_start && in->used < 3 && memcmp(in->buffer, mark, in->used) == 0)
            continue; /* a pipe may give it byte by byte */
        if (at_start && in->used >= 3 && memcmp(in->buffer, mark, 3) == 0)
            in->start = 3;
        at_start = false;
        input_split(in);
        input_publish(in);
    }
    if (!in->is_over && !in->is_skipping && in->used != 0) /* the last line has no end */
        input_line(in, in->buffer, in->used);
    input_publish(in);
}

void run_read(void *user_data)
{
    run_state *run = user_data;
    input in = {.run = run};
    for (int i = 0; i < run->file_count && !in.is_over; i++) {
        bool is_standard = strcmp(run->files[i], "-") == 0;
        in.file = is_standard ? NULL : run->files[i];
        in.fd = is_standard ? STDIN_FILENO : open(run->files[i], O_RDONLY | O_CLOEXEC);
        if (in.fd < 0) {
            input_complain(&in, strerror(errno));
            continue;
        }
        input_file(&in);
        if (!is_standard)
            close(in.fd);
    }
    free(in.buffer);
    uv_mutex_lock(&run->lock);
    run_list_append(&run->free_items, &in.own);
    run->reader_ended = true;
    uv_mutex_unlock(&run->lock);
    uv_async_send(&run->wake);
}

void run_stop_reading(run_state *run)
{
    uv_mutex_lock(&run->lock);
    run->stop_reading = true;
    uv_cond_signal(&run->has_free);
    uv_mutex_unlock(&run->lock);
    uint64_t one = 1;
    ssize_t ignored = write(run->stop_fd, &one, sizeof(one));
    (void)ignored; /* it is an eventfd: only a second write after 2^64 fails */
}
