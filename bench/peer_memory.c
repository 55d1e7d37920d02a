/* SPDX-License-Identifier: MIT */
/*
 * The floor of everything that copies: memcpy of so many bytes, from memory to memory that is there already. And what
 * the C library takes for zeroed memory that is then written.
 */
#include <string.h>

#include "harness.h"

typedef struct memory_pair {
    char *from;
    char *to;
    size_t size_bytes;
} memory_pair;

static void memory_round(void *state)
{
    const memory_pair *pair = state;
    memcpy(pair->to, pair->from, pair->size_bytes);
    __asm__ volatile("" : : "r"(pair->to) : "memory"); /* somebody might read it */
}

static void memory_copy(int argc, char **argv)
{
    memory_pair pair = {NULL, NULL, (size_t)strtoull(bench_argument(argc, argv, 0, "bytes"), NULL, 10)};
    pair.from = bench_alloc(pair.size_bytes);
    pair.to = bench_alloc(pair.size_bytes);
    memset(pair.from, 1, pair.size_bytes);
    bench_round_trips("hot", memory_round, &pair);
    free(pair.from);
    free(pair.to);
}

static void memory_fill_round(void *state)
{
    size_t size_bytes = *(const size_t *)state;
    char *memory = calloc(1, size_bytes);
    if (memory == NULL)
        bench_fail("out of memory");
    memset(memory, 1, size_bytes);
    __asm__ volatile("" : : "r"(memory) : "memory");
    free(memory);
}

static void memory_fill(int argc, char **argv)
{
    size_t size_bytes = (size_t)strtoull(bench_argument(argc, argv, 0, "bytes"), NULL, 10);
    bench_round_trips("hot", memory_fill_round, &size_bytes);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"copy", memory_copy}, {"fill", memory_fill}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
