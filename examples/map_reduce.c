/* SPDX-License-Identifier: MIT */
/* Map and reduce over an array: how often each letter is in a text. */
#include <ctype.h>
#include <string.h>

#include "gate.h"

#define REPEATS 20000

static const char verse[] = "The quick brown fox jumps over the lazy dog while five boxing wizards watch and wonder. ";

typedef struct counts {
    uint64_t letters[26];
} counts;

/* Every accumulator begins as a copy of the result: zeros here. */
static brg_status count_letters(brg_context *context, size_t first, size_t end, void *accumulator, void *state)
{
    const char *text = state;
    counts *own = accumulator;
    (void)context;
    for (size_t i = first; i < end; i++)
        if (isalpha((unsigned char)text[i]))
            own->letters[tolower((unsigned char)text[i]) - 'a']++;
    return BRG_OK;
}

static brg_status add_counts(void *into, void *from, void *state)
{
    (void)state;
    for (int i = 0; i < 26; i++)
        ((counts *)into)->letters[i] += ((const counts *)from)->letters[i];
    return BRG_OK;
}

int main(void)
{
    brg_error error;
    brg_pool *pool = NULL;
    counts total = {{0}};
    size_t length = sizeof(verse) - 1, count = length * REPEATS;
    char *text = malloc(count);
    if (text == NULL)
        return EXIT_FAILURE;
    for (int i = 0; i < REPEATS; i++)
        memcpy(text + (size_t)i * length, verse, length);

    must(brg_pool_create(&pool, NULL, &error), &error);
    const brg_reduction *reduction = brg_reduction_opts(.fold = count_letters, .combine = add_counts,
                                                        .accumulator_bytes = sizeof(counts), .state = text);
    must(brg_map_reduce(pool, count, reduction, &total, NULL, &error), &error);
    brg_pool_destroy(pool);

    for (int i = 0; i < 26; i++)
        printf("%c %llu\n", 'a' + i, (unsigned long long)total.letters[i]);
    free(text);
    return EXIT_SUCCESS;
}
