/* SPDX-License-Identifier: MIT */
/*
 * jansson refuses whole numbers past int64, and recurses up to 2,048 levels on whatever stack it is called. So a
 * scan, which knows just strings, brackets and number tokens, runs before it: it refuses text that nests too deep
 * before anything recurses, and takes the wide numbers out. Each is noted with its ordinal and overwritten with
 * a 0 and spaces, so that lines and columns stay; json_read.c counts numbers as it walks the tree, in the
 * order of the text, and puts the wide ones back.
 */
#include "message/json_scan.h"

#include <brigade/value.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "os/memory.h"

#define SCAN_WIDE_DIGITS 19 /* INT64_MAX has as many */

static bool scan_is_digit(char c) { return c >= '0' && c <= '9'; }

static bool scan_is_in_number(char c)
{
    return scan_is_digit(c) || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E';
}

/* The index after the string that opens at `at`. */
static size_t scan_string(const char *text, size_t at, size_t size)
{
    for (at++; at < size && text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at < size ? at + 1 : size;
}

/* Whether the token is a whole number past int64; then what it is, but for the double. */
static bool scan_is_wide(const char *token, size_t size, brg__json_wide *wide)
{
    bool negative = token[0] == '-', overflow = false;
    uint64_t number = 0;
    if (size - negative < SCAN_WIDE_DIGITS || token[negative] == '0')
        return false;
    for (size_t i = negative; i < size; i++) {
        if (!scan_is_digit(token[i]))
            return false;
        overflow = overflow || __builtin_mul_overflow(number, 10, &number) ||
                   __builtin_add_overflow(number, (uint64_t)(token[i] - '0'), &number);
    }
    wide->is_uint = !overflow && !negative;
    wide->integer = number;
    wide->number = 0;
    return overflow || number > (uint64_t)INT64_MAX + negative;
}

static brg_status scan_keep(brg__json_scan *scan, const char *text, size_t text_bytes, brg_error *error)
{
    if (scan->text == NULL) {
        scan->text = brg__malloc(text_bytes + 1);
        if (scan->text == NULL)
            return brg__error_memory(error, "reading JSON");
        memcpy(scan->text, text, text_bytes);
        scan->text[text_bytes] = '\0';
    }
    if (scan->wide_count == scan->wide_capacity) {
        size_t capacity = scan->wide_capacity == 0 ? 16 : scan->wide_capacity * 2;
        brg__json_wide *wides = brg__realloc(scan->wides, capacity * sizeof(*wides));
        if (wides == NULL)
            return brg__error_memory(error, "reading JSON");
        scan->wides = wides;
        scan->wide_capacity = capacity;
    }
    return BRG_OK;
}

/* Takes the wide number at `at` out of the copy, unless it is past the doubles too: jansson refuses that one. */
static void scan_take(brg__json_scan *scan, size_t at, size_t size, brg__json_wide *wide)
{
    char *token = scan->text + at;
    if (!wide->is_uint) {
        /* Ended here, so that no locale's decimal point can go on after it. */
        char after = token[size];
        token[size] = '\0';
        wide->number = strtod(token, NULL);
        token[size] = after;
        if (isinf(wide->number))
            return;
    }
    memset(token, ' ', size);
    token[0] = '0';
    scan->wides[scan->wide_count++] = *wide;
}

static brg_status scan_too_deep(const char *text, size_t at, brg_error *error)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    return brg_error_set(error, BRG_TOO_LARGE, "value", "JSON nests deeper than %d at line %zu, column %zu",
                         BRG_VALUE_DEPTH_MAX, line, column);
}

static brg_status scan_text(brg__json_scan *scan, const char *text, size_t size_bytes, brg_error *error)
{
    size_t depth = 0, number_count = 0;
    for (size_t at = 0; at < size_bytes;) {
        char c = text[at];
        if (c == '"') {
            at = scan_string(text, at, size_bytes);
        } else if (c == '-' || scan_is_digit(c)) {
            size_t end = at + 1;
            while (end < size_bytes && scan_is_in_number(text[end]))
                end++;
            brg__json_wide wide = {.ordinal = number_count++};
            if (scan_is_wide(text + at, end - at, &wide)) {
                brg_status status = scan_keep(scan, text, size_bytes, error);
                if (status != BRG_OK)
                    return status;
                scan_take(scan, at, end - at, &wide);
            }
            at = end;
        } else {
            if ((c == '[' || c == '{') && ++depth > BRG_VALUE_DEPTH_MAX)
                return scan_too_deep(text, at, error);
            if ((c == ']' || c == '}') && depth > 0)
                depth--;
            at++;
        }
    }
    return BRG_OK;
}

brg_status brg__json_scan_init(brg__json_scan *scan, const char *text, size_t size_bytes, brg_error *error)
{
    memset(scan, 0, sizeof(*scan));
    brg_status status = scan_text(scan, text, size_bytes, error);
    if (status != BRG_OK)
        brg__json_scan_done(scan);
    return status;
}

void brg__json_scan_done(brg__json_scan *scan)
{
    brg__mfree(scan->text);
    brg__mfree(scan->wides);
}
