/* SPDX-License-Identifier: MIT */
/*
 * An ordered stream: two workers check numbers, the results come in the order of the source. However many numbers there
 * are, only a few are in memory: the source is asked for more as results are taken.
 */
#include "gate.h"

#define COUNT 1000000

typedef struct numbers {
    int64_t next;
} numbers;

/* Asked for the next item whenever there is room for one. */
static brg_status next_number(brg_value **item, void **tag, void *user_data)
{
    numbers *source = user_data;
    (void)tag;
    return source->next == COUNT ? BRG_CLOSED : brg_value_int(item, source->next++, NULL);
}

/* On the workers: the digital root of the number. */
static brg_status digital_root(brg_context *context, const brg_value *input, brg_value **output, void *state)
{
    int64_t number = 0;
    (void)context, (void)state;
    brg_view_int(brg_value_root(input), &number);
    return brg_value_int(output, number == 0 ? 0 : 1 + (number - 1) % 9, NULL);
}

int main(void)
{
    numbers source = {.next = 0};
    brg_error error;
    brg_pool *pool = NULL;
    brg_stream *stream = NULL;
    brg_stream_item item;
    brg_status status;
    int64_t root = 0;
    uint64_t in_order = 0, sum = 0;

    must(brg_pool_create(&pool, brg_pool_opts(.workers_max = 2), &error), &error);
    const brg_stream_options *options = brg_stream_opts(.pool = pool, .run = digital_root, .source = next_number,
                                                        .user_data = &source);
    must(brg_stream_create(&stream, options, &error), &error);
    while ((status = brg_stream_next(stream, &item, BRG_FOREVER)) == BRG_OK) {
        must(brg_view_int(brg_value_root(item.output), &root), NULL);
        in_order += item.index == in_order;
        sum += (uint64_t)root;
    }
    brg_stream_counts counts = {.size = sizeof(counts)};
    brg_stream_get_counts(stream, &counts);
    printf("%llu numbers, %llu in their place, the sum of their roots is %llu\n", (unsigned long long)counts.taken,
           (unsigned long long)in_order, (unsigned long long)sum);
    printf("it ended well: %s; never many at once: %s\n", status == BRG_CLOSED ? "yes" : brg_status_name(status),
           counts.in_flight_peak <= 1024 ? "yes" : "no");
    brg_stream_destroy(stream);
    brg_pool_destroy(pool);
    return EXIT_SUCCESS;
}
