/* SPDX-License-Identifier: MIT */
/* JSON text of a trace on its way out, in pieces. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "pool/trace.h"

static void text_flush(brg__trace_text *text)
{
    if (text->status == BRG_OK && text->used != 0)
        text->status = text->write(text->user_data, text->buffer, text->used);
    text->used = 0;
}

void brg__trace_put(brg__trace_text *text, const char *bytes, size_t size)
{
    if (size > sizeof(text->buffer) - text->used)
        text_flush(text);
    memcpy(text->buffer + text->used, bytes, size); /* pieces are short */
    text->used += size;
}

void brg__trace_printf(brg__trace_text *text, const char *format, ...)
{
    char piece[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(piece, sizeof(piece), format, arguments);
    va_end(arguments);
    brg__trace_put(text, piece, (size_t)brg__min((uint64_t)size, sizeof(piece) - 1));
}

/* Length of the UTF-8 sequence at `at` (RFC 3629), 0 when it is none. */
static size_t text_utf8(const unsigned char *at)
{
    if (at[0] < 0x80)
        return 1;
    size_t size = at[0] >= 0xf0 && at[0] <= 0xf4 ? 4 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool is_long = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool is_none = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f); /* surrogates; too large */
    return is_long || is_none ? 0 : size;
}

/* In quotes, escaped; bytes that are no UTF-8 as U+FFFD. */
void brg__trace_string(brg__trace_text *text, const char *string)
{
    const unsigned char *at = (const unsigned char *)string;
    brg__trace_put(text, "\"", 1);
    while (*at != '\0') {
        size_t size = text_utf8(at);
        if (size == 0)
            brg__trace_put(text, "\\ufffd", 6);
        else if (*at < ' ' || *at == 0x7f)
            brg__trace_printf(text, "\\u%04x", *at);
        else if (*at == '"' || *at == '\\')
            brg__trace_printf(text, "\\%c", *at);
        else
            brg__trace_put(text, (const char *)at, size);
        at += size == 0 ? 1 : size;
    }
    brg__trace_put(text, "\"", 1);
}

/* Microseconds, as the format wants them, with all digits. */
void brg__trace_time(brg__trace_text *text, const char *key, uint64_t ns)
{
    brg__trace_printf(text, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

/* {"ph":...,"pid":...,"tid":...,"name":... and what follows. */
void brg__trace_event(brg__trace_text *text, char phase, uint32_t pid, uint32_t tid, const char *name)
{
    if (text->has_event)
        brg__trace_put(text, ",\n", 2);
    text->has_event = true;
    brg__trace_printf(text, "{\"ph\":\"%c\",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32 ",\"name\":", phase, pid, tid);
    brg__trace_string(text, name);
}

void brg__trace_close(brg__trace_text *text) { brg__trace_put(text, "}", 1); }

void brg__trace_begin(brg__trace_text *text, uint64_t lost)
{
    brg__trace_printf(text,
                      "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"writer\":\"brigade " BRG_VERSION
                      "\",\"clock\":\"CLOCK_MONOTONIC\",\"lost_events\":\"%" PRIu64 "\"},\n\"traceEvents\":[\n",
                      lost);
}

brg_status brg__trace_end(brg__trace_text *text)
{
    brg__trace_put(text, "\n]}\n", 4);
    text_flush(text);
    return text->status;
}
