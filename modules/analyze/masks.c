/* SPDX-License-Identifier: MIT */
#include "masks.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

static void masks_sse2(const char *data, size_t count, char delimiter, uint64_t *masks)
{
    const __m128i delimiters = _mm_set1_epi8(delimiter), lines = _mm_set1_epi8('\n'), quotes = _mm_set1_epi8('"');
    for (size_t i = 0; i < count; i++) {
        uint64_t mask = 0;
        for (int part = 0; part < 4; part++) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(data + i * 64 + part * 16));
            __m128i hits = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, delimiters), _mm_cmpeq_epi8(bytes, lines)),
                                        _mm_cmpeq_epi8(bytes, quotes));
            mask |= (uint64_t)(uint32_t)_mm_movemask_epi8(hits) << (part * 16);
        }
        masks[i] = mask;
    }
}

__attribute__((target("avx2"))) static void masks_avx2(const char *data, size_t count, char delimiter, uint64_t *masks)
{
    const __m256i delimiters = _mm256_set1_epi8(delimiter), lines = _mm256_set1_epi8('\n');
    const __m256i quotes = _mm256_set1_epi8('"');
    for (size_t i = 0; i < count; i++) {
        uint64_t mask = 0;
        for (int part = 0; part < 2; part++) {
            __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(data + i * 64 + part * 32));
            __m256i hits = _mm256_or_si256(
                _mm256_or_si256(_mm256_cmpeq_epi8(bytes, delimiters), _mm256_cmpeq_epi8(bytes, lines)),
                _mm256_cmpeq_epi8(bytes, quotes));
            mask |= (uint64_t)(uint32_t)_mm256_movemask_epi8(hits) << (part * 32);
        }
        masks[i] = mask;
    }
}

void analyze_masks(const char *data, size_t count, char delimiter, uint64_t *masks)
{
    if (__builtin_cpu_supports("avx2"))
        masks_avx2(data, count, delimiter, masks);
    else
        masks_sse2(data, count, delimiter, masks);
}

#else

/* Plain enough for a compiler to make vectors of it. */
void analyze_masks(const char *data, size_t count, char delimiter, uint64_t *masks)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t mask = 0;
        for (size_t bit = 0; bit < MASKS_BYTES; bit++) {
            char byte = data[i * MASKS_BYTES + bit];
            mask |= (uint64_t)(byte == delimiter || byte == '\n' || byte == '"') << bit;
        }
        masks[i] = mask;
    }
}

#endif
