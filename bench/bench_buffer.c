/* SPDX-License-Identifier: MIT */
/* Buffers within the process: copied, and made and let go of again and again, as their regions are used again. */
#include <string.h>

#include <brigade.h>

#include "harness.h"

typedef struct buffer_bench {
    brg_buffer *from; /* of the copies */
    size_t size_bytes;
    bool writes; /* all bytes, before it is let go of */
} buffer_bench;

static void buffer_check(brg_status status, const brg_error *error, const char *what)
{
    if (status != BRG_OK)
        bench_fail("%s: %s: %s", what, brg_status_text(status), error->message);
}

static buffer_bench buffer_open(int argc, char **argv)
{
    return (buffer_bench){.size_bytes = (size_t)strtoull(bench_argument(argc, argv, 0, "bytes"), NULL, 10)};
}

static void buffer_copy_round(void *state)
{
    const buffer_bench *bench = state;
    brg_error error;
    brg_buffer *copy = NULL;
    buffer_check(brg_buffer_copy(&copy, bench->from, &error), &error, "brg_buffer_copy");
    brg_buffer_unref(copy);
}

static void buffer_copy(int argc, char **argv)
{
    brg_error error;
    buffer_bench bench = buffer_open(argc, argv);
    buffer_check(brg_buffer_create(&bench.from, bench.size_bytes, &error), &error, "brg_buffer_create");
    memset(brg_buffer_data(bench.from), 1, bench.size_bytes);
    bench_round_trips("hot", buffer_copy_round, &bench);
    brg_buffer_unref(bench.from);
}

static void buffer_make_round(void *state)
{
    const buffer_bench *bench = state;
    brg_error error;
    brg_buffer *buffer = NULL;
    buffer_check(brg_buffer_create(&buffer, bench->size_bytes, &error), &error, "brg_buffer_create");
    if (bench->writes)
        memset(brg_buffer_data(buffer), 1, bench->size_bytes);
    brg_buffer_unref(buffer);
}

static void buffer_make(int argc, char **argv)
{
    buffer_bench bench = buffer_open(argc, argv);
    bench_round_trips("hot", buffer_make_round, &bench);
}

/* Made, every byte written, let go of. */
static void buffer_fill(int argc, char **argv)
{
    buffer_bench bench = buffer_open(argc, argv);
    bench.writes = true;
    bench_round_trips("hot", buffer_make_round, &bench);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"copy", buffer_copy}, {"make", buffer_make}, {"fill", buffer_fill}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
