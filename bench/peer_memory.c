/* SPDX-License-Identifier: MIT */
/* The floor of everything that copies: memcpy of so many bytes, from memory to memory that is there already. */
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

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"copy", memory_copy}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
