/* SPDX-License-Identifier: MIT */
#include "number.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_DIGITS_MAX 19   /* of a mantissa that fits 64 bits */
#define NUMBER_TEXT_MAX 1024   /* longer ones are no numbers */
#define NUMBER_EXPONENT_MAX 22 /* powers of ten up to it are exact doubles */

static locale_t number_locale;
static pthread_once_t number_once = PTHREAD_ONCE_INIT;

static void number_make_locale(void) { number_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

static bool number_slow(const char *text, size_t size, double *out)
{
    char copy[NUMBER_TEXT_MAX + 1];
    if (size > NUMBER_TEXT_MAX)
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    pthread_once(&number_once, number_make_locale);
    char *end = NULL;
    double number = number_locale == (locale_t)0 ? strtod(copy, &end) : strtod_l(copy, &end, number_locale);
    if (end != copy + size || !isfinite(number))
        return false;
    *out = number;
    return true;
}

/* The exponent after 'e'; false where there is none. Very large ones stay large. */
static bool number_exponent(const char **at, const char *end, int *out)
{
    const char *p = *at;
    bool negative = false;
    int exponent = 0;
    if (p != end && (*p == '+' || *p == '-'))
        negative = *p++ == '-';
    const char *digits = p;
    for (; p != end && (unsigned)(*p - '0') < 10; p++)
        if (exponent < 100000)
            exponent = exponent * 10 + (*p - '0');
    *at = p;
    *out = negative ? -exponent : exponent;
    return p != digits;
}

bool analyze_number(const char *text, size_t size, double *out)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *p = text, *end = text + size;
    while (p != end && (*p == ' ' || *p == '\t'))
        p++;
    while (end != p && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    text = p;
    bool negative = false;
    if (p != end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    uint64_t mantissa = 0;
    const char *digits = p;
    for (; p != end && (unsigned)(*p - '0') < 10; p++)
        mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    ptrdiff_t count = p - digits;
    int exponent = 0;
    if (p != end && *p == '.') {
        const char *fraction = ++p;
        for (; p != end && (unsigned)(*p - '0') < 10; p++)
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
        exponent = p - fraction > 100000 ? -100000 : -(int)(p - fraction);
        count += p - fraction;
    }
    if (count == 0)
        return false;
    if (p != end && (*p == 'e' || *p == 'E')) {
        int power;
        p++;
        if (!number_exponent(&p, end, &power))
            return false;
        exponent += power;
    }
    if (p != end)
        return false;
    if (count > NUMBER_DIGITS_MAX || mantissa > (UINT64_C(1) << 53) || exponent < -NUMBER_EXPONENT_MAX ||
        exponent > NUMBER_EXPONENT_MAX)
        return number_slow(text, (size_t)(end - text), out);
    double number = (double)mantissa;
    number = exponent < 0 ? number / powers[-exponent] : number * powers[exponent];
    *out = negative ? -number : number;
    return true;
}
