/* SPDX-License-Identifier: MIT */
/*
 * Numbers of JSON. Short decimals with small exponents are exact in doubles: one multiplication or division of two
 * exact numbers rounds once (Clinger, 1990). All others go to strtod, with the point that the locale wants.
 */
#include "message/json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/memory.h"

typedef struct number_scan {
    uint64_t digits; /* all of them as one number, as far as it fits */
    int exponent;    /* of 10, that the point and the exponent make */
    bool negative;
    bool overflow; /* of `digits` */
    bool is_whole; /* neither point nor exponent */
} number_scan;

static bool number_is_digit(char c) { return c >= '0' && c <= '9'; }

static const char *number_digits(number_scan *scan, const char *at, int exponent_step)
{
    for (; number_is_digit(*at); at++) {
        scan->overflow = scan->overflow || __builtin_mul_overflow(scan->digits, 10, &scan->digits) ||
                         __builtin_add_overflow(scan->digits, (uint64_t)(*at - '0'), &scan->digits);
        if (scan->exponent > -100000)
            scan->exponent += exponent_step;
    }
    return at;
}

static const char *number_exponent(number_scan *scan, const char *at)
{
    bool negative = *at == '-';
    int exponent = 0;
    at += *at == '-' || *at == '+';
    if (!number_is_digit(*at))
        return NULL;
    for (; number_is_digit(*at); at++)
        exponent = exponent < 100000 ? exponent * 10 + (*at - '0') : exponent;
    scan->exponent += negative ? -exponent : exponent;
    return at;
}

/* The grammar of RFC 8259, section 6. */
static bool number_scan_text(number_scan *scan, const char *at, const char *end)
{
    memset(scan, 0, sizeof(*scan));
    scan->negative = *at == '-';
    at += scan->negative;
    if (!number_is_digit(*at) || (*at == '0' && number_is_digit(at[1])))
        return false;
    at = number_digits(scan, at, 0);
    scan->is_whole = at == end;
    if (*at == '.') {
        if (!number_is_digit(at[1]))
            return false;
        at = number_digits(scan, at + 1, -1);
    }
    if (*at == 'e' || *at == 'E')
        at = number_exponent(scan, at + 1);
    return at == end;
}

static double number_by_strtod(const char *text, size_t size)
{
    const char *point = localeconv()->decimal_point;
    const char *dot = memchr(text, '.', size);
    if (dot == NULL || strcmp(point, ".") == 0)
        return strtod(text, NULL);
    size_t before = (size_t)(dot - text), point_size = strlen(point);
    char few[128], *copy = few;
    if (size + point_size >= sizeof(few))
        copy = brg__malloc(size + point_size);
    if (copy == NULL)
        return HUGE_VAL;
    memcpy(copy, text, before);
    memcpy(copy + before, point, point_size);
    memcpy(copy + before + point_size, dot + 1, size - before - 1);
    copy[size + point_size - 1] = '\0';
    double number = strtod(copy, NULL);
    if (copy != few)
        brg__mfree(copy);
    return number;
}

static double number_double(const number_scan *scan, const char *text, size_t size)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (scan->overflow || scan->digits > UINT64_C(1) << 53 || scan->exponent > 22 || scan->exponent < -22)
        return number_by_strtod(text, size);
    double number = (double)scan->digits;
    number = scan->exponent < 0 ? number / powers[-scan->exponent] : number * powers[scan->exponent];
    return scan->negative ? -number : number;
}

void brg__json_number_read(brg__json_number *out, const char *text, size_t size_bytes)
{
    number_scan scan;
    memset(out, 0, sizeof(*out));
    if (!number_scan_text(&scan, text, text + size_bytes))
        return;
    uint64_t limit = (uint64_t)INT64_MAX + scan.negative;
    if (scan.is_whole && !scan.overflow && scan.digits <= limit) {
        out->type = BRG_TYPE_INT;
        out->integer = scan.negative ? (int64_t)-scan.digits : (int64_t)scan.digits;
    } else if (scan.is_whole && !scan.overflow && !scan.negative) {
        out->type = BRG_TYPE_UINT;
        out->natural = scan.digits;
    } else {
        out->type = BRG_TYPE_DOUBLE;
        out->number = number_double(&scan, text, size_bytes);
        out->is_infinite = isinf(out->number) != 0;
    }
}

size_t brg__json_number_write(char out[40], double number)
{
    char digits[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof(digits), "%.*g", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    /* A locale's decimal point, of one byte or several, becomes a point. */
    size_t size = 0;
    bool marked = false, in_point = false;
    for (const char *at = digits; *at != '\0'; at++) {
        bool is_point = strchr("0123456789+-e", *at) == NULL;
        if (!is_point || !in_point)
            out[size++] = is_point ? '.' : *at;
        marked = marked || is_point || *at == 'e';
        in_point = is_point;
    }
    if (!marked) {
        out[size++] = '.';
        out[size++] = '0';
    }
    return size;
}
