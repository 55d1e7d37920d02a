/* SPDX-License-Identifier: MIT */
/*
 * A pipeline of three stages: read, convert, write. Reading and writing have a pool of one worker each, as a disk would
 * like it; converting has another, for the processors, and at most two of its tasks belong to this pipeline. Bad lines
 * are delivered in their place with their error, and the others go on.
 */
#include <stdatomic.h>
#include <string.h>

#include "gate.h"

static const char *const lines[] = {"7", "21", "three", "100", "", "-4", "1e3", "12"};
#define LINES ((int)(sizeof(lines) / sizeof(lines[0])))

typedef struct work {
    int next;                /* line, of the source */
    atomic_int now, most;    /* in the middle stage at once */
    char written[LINES][32]; /* of the last stage */
    atomic_int count;
} work;

static brg_status next_line(brg_value **item, void **tag, void *user_data)
{
    work *all = user_data;
    if (all->next == LINES)
        return BRG_CLOSED;
    *tag = (void *)lines[all->next]; /* comes back with the item */
    return brg_value_int(item, all->next++, NULL);
}

static brg_status read_line(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    int64_t line = 0;
    (void)context, (void)state;
    brg_view_int(brg_value_root(input), &line);
    return brg_value_string(output, lines[line], NULL);
}

static brg_status convert(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    work *all = state;
    const char *text = brg_view_string(brg_value_root(input), NULL);
    char *end = NULL;
    int now = atomic_fetch_add(&all->now, 1) + 1, most = atomic_load(&all->most);
    while (now > most && !atomic_compare_exchange_weak(&all->most, &most, now))
        ;
    long number = strtol(text, &end, 10);
    atomic_fetch_sub(&all->now, 1);
    if (end == text || *end != '\0')
        return brg_context_fail(context, 1, "\"%s\" is no whole number", text);
    return brg_value_int(output, number * number, NULL);
}

static brg_status write_number(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    work *all = state;
    int64_t number = 0;
    (void)context;
    brg_view_int(brg_value_root(input), &number);
    int at = atomic_fetch_add(&all->count, 1);
    snprintf(all->written[at], sizeof(all->written[at]), "%lld", (long long)number);
    *output = brg_value_ref(input);
    return BRG_OK;
}

int main(void)
{
    work all = {.next = 0};
    brg_error error;
    brg_pool *disk = NULL, *processors = NULL;
    brg_stream *stream = NULL;
    brg_stream_item item;
    int64_t number = 0;

    must(brg_pool_create(&disk, brg_pool_opts(.name = "disk", .workers_max = 1), &error), &error);
    must(brg_pool_create(&processors, brg_pool_opts(.name = "processors", .workers_max = 4), &error), &error);
    const brg_stage stages[] = {
        BRG_STAGE(.pool = disk, .run = read_line),
        BRG_STAGE(.pool = processors, .run = convert, .state = &all, .running_max = 2, .queue_max = 1),
        BRG_STAGE(.pool = disk, .run = write_number, .state = &all)};
    const brg_stream_options *options = brg_stream_opts(.stages = stages, .stage_count = 3, .source = next_line,
                                                        .rule = BRG_STREAM_COLLECT, .user_data = &all);
    must(brg_stream_create(&stream, options, &error), &error);
    while (brg_stream_next(stream, &item, BRG_FOREVER) == BRG_OK) {
        if (item.status == BRG_OK && brg_view_int(brg_value_root(item.output), &number) == BRG_OK)
            printf("line %d, \"%s\": %lld\n", (int)item.index + 1, (const char *)item.tag, (long long)number);
        else
            printf("line %d: stage %u says: %s\n", (int)item.index + 1, item.stage, item.error->message);
    }
    printf("%d written; in the middle stage never more than 2: %s\n", atomic_load(&all.count),
           atomic_load(&all.most) <= 2 ? "yes" : "no");
    brg_stream_destroy(stream);
    brg_pool_destroy(processors);
    brg_pool_destroy(disk);
    return EXIT_SUCCESS;
}
