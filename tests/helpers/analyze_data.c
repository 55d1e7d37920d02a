/* SPDX-License-Identifier: MIT */
/*
 * Rows to analyze, always the same ones: id,country,category,price,quantity,note. usage:
 *     analyze_data [--rows N] [--quoted] [--ndjson] [--seed N]
 * --quoted puts quotes, delimiters and line ends into the notes.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). */
static uint64_t data_random(void)
{
    uint64_t word = state += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

static const char *const countries[] = {"DE", "FR", "US", "GB", "IT", "ES", "PL", "NL", "SE", "PT", "AT", "CH"};
static const char *const plain[] = {"first order", "by post", "returned", "gift", "pick up at the shop", "late"};
static const char *const quoted[] = {"\"a, b\"", "\"said \"\"yes\"\"\"", "\"two\nlines\"", "plain",
                                     "\"\"",     "\"\"\"\n\"\"\""};

int main(int argc, char **argv)
{
    uint64_t rows = 1000;
    bool is_quoted = false, is_ndjson = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quoted") == 0)
            is_quoted = true;
        else if (strcmp(argv[i], "--ndjson") == 0)
            is_ndjson = true;
        else if (strcmp(argv[i], "--rows") == 0 && i + 1 < argc)
            rows = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            state = strtoull(argv[++i], NULL, 10);
        else
            return 2;
    }
    if (!is_ndjson)
        puts("id,country,category,price,quantity,note");
    for (uint64_t row = 1; row <= rows; row++) {
        uint64_t random = data_random();
        const char *country = countries[random % 12],
                   *note = is_quoted ? quoted[(random >> 56) % 6] : plain[(random >> 56) % 6];
        unsigned category = (unsigned)(random >> 8) % 1000, cents = (unsigned)(random >> 20) % 100000;
        unsigned quantity = (unsigned)(random >> 40) % 20 + 1;
        if (is_ndjson)
            printf("{\"id\":%" PRIu64 ",\"country\":\"%s\",\"category\":\"c%u\",\"price\":%u.%02u,\"quantity\":%u,"
                   "\"note\":\"%s\"}\n",
                   row, country, category, cents / 100, cents % 100, quantity, note);
        else
            printf("%" PRIu64 ",%s,c%u,%u.%02u,%u,%s\n", row, country, category, cents / 100, cents % 100, quantity,
                   note);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
