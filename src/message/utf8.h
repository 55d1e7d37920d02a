/* SPDX-License-Identifier: MIT */
#ifndef BRG_MESSAGE_UTF8_H
#define BRG_MESSAGE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BRG__UTF8_HIGH_BITS UINT64_C(0x8080808080808080) /* clear in a word of ASCII */

/* Fewer than 8 bytes as a word, the rest zero, by loads that overlap instead of a loop. */
static inline uint64_t brg__utf8_short(const char *text, size_t size_bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    if (size_bytes >= sizeof(uint32_t)) {
        uint32_t first, last;
        memcpy(&first, at, sizeof(first));
        memcpy(&last, at + size_bytes - sizeof(last), sizeof(last));
        return first | (uint64_t)last << (8 * (size_bytes - sizeof(last)));
    }
    if (size_bytes == 0)
        return 0;
    return at[0] | (uint64_t)at[size_bytes / 2] << (8 * (size_bytes / 2)) |
           (uint64_t)at[size_bytes - 1] << (8 * (size_bytes - 1));
}

/* Whether the bytes are UTF-8 (RFC 3629: shortest forms, no surrogates, up to U+10FFFF). Zero bytes may occur. */
bool brg__utf8_check(const char *text, size_t size_bytes);

/* Bytes of the well-formed sequence at `text`, of which `left` bytes (not 0) are there; 0 where it is not one. */
size_t brg__utf8_step(const char *text, size_t left);

#endif
