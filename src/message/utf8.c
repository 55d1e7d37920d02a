/* SPDX-License-Identifier: MIT */
#include "message/utf8.h"

/* The ranges are table 3-7 of the Unicode Standard. */
size_t brg__utf8_step(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned char lead = at[0];
    if (lead < 0x80)
        return 1;
    size_t size = lead >= 0xc2 && lead <= 0xdf ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    unsigned char low = 0x80, high = 0xbf;
    if (lead == 0xe0)
        low = 0xa0; /* shorter forms exist */
    else if (lead == 0xed)
        high = 0x9f; /* surrogates */
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f; /* past U+10FFFF */
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

/* From the first word on that is not ASCII: sequence by sequence, words again once ASCII is back. */
static bool utf8_check_mixed(const unsigned char *at, const unsigned char *end)
{
    while (at < end) {
        size_t size = brg__utf8_step((const char *)at, (size_t)(end - at));
        if (size == 0)
            return false;
        at += size;
        uint64_t word;
        while (size == 1 && (size_t)(end - at) >= sizeof(word)) {
            memcpy(&word, at, sizeof(word));
            if ((word & BRG__UTF8_HIGH_BITS) != 0)
                break;
            at += sizeof(word);
        }
    }
    return true;
}

bool brg__utf8_check(const char *text, size_t size_bytes)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + size_bytes;
    uint64_t word;
    while ((size_t)(end - at) >= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        if ((word & BRG__UTF8_HIGH_BITS) != 0)
            return utf8_check_mixed(at, end);
        at += sizeof(word);
    }
    if ((brg__utf8_short((const char *)at, (size_t)(end - at)) & BRG__UTF8_HIGH_BITS) == 0)
        return true;
    return utf8_check_mixed(at, end);
}
