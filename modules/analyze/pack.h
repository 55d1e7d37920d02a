/* SPDX-License-Identifier: MIT */
/* Bytes written and read in order: how plans and partial results travel between the command and its workers, which run
 * on one machine from one build. What is read is checked: a short or false text makes the reader fail, never overrun. */
#ifndef BRIGADE_ANALYZE_PACK_H
#define BRIGADE_ANALYZE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* All zero is an empty one. `failed`: memory ran out, and nothing more is written. End it with free(data). */
typedef struct pack_writer {
    char *data;
    size_t size, capacity;
    bool failed;
} pack_writer;

/* Room for `size` bytes more, or NULL. */
static inline char *pack_room(pack_writer *writer, size_t size)
{
    if (writer->capacity - writer->size < size) {
        size_t capacity = (writer->size + size) * 2 + 256;
        char *data = writer->failed ? NULL : realloc(writer->data, capacity);
        if (data == NULL) {
            writer->failed = true;
            return NULL;
        }
        writer->data = data;
        writer->capacity = capacity;
    }
    char *at = writer->data + writer->size;
    writer->size += size;
    return at;
}

static inline void pack_put(pack_writer *writer, const void *data, size_t size)
{
    char *at = pack_room(writer, size);
    if (at != NULL && size != 0)
        memcpy(at, data, size);
}

static inline void pack_put_u32(pack_writer *writer, uint32_t number) { pack_put(writer, &number, sizeof(number)); }
static inline void pack_put_u64(pack_writer *writer, uint64_t number) { pack_put(writer, &number, sizeof(number)); }
static inline void pack_put_double(pack_writer *writer, double number) { pack_put(writer, &number, sizeof(number)); }

static inline void pack_put_text(pack_writer *writer, const char *text, uint32_t size)
{
    pack_put_u32(writer, size);
    pack_put(writer, text, size);
}

typedef struct pack_reader {
    const char *at, *end;
    bool failed; /* all later reads give zeros */
} pack_reader;

/* The next `size` bytes, or NULL. */
static inline const char *pack_take(pack_reader *reader, size_t size)
{
    if (reader->failed || (size_t)(reader->end - reader->at) < size) {
        reader->failed = true;
        return NULL;
    }
    const char *at = reader->at;
    reader->at += size;
    return at;
}

static inline void pack_get(pack_reader *reader, void *out, size_t size)
{
    const char *at = pack_take(reader, size);
    if (at != NULL)
        memcpy(out, at, size);
    else
        memset(out, 0, size);
}

static inline uint32_t pack_get_u32(pack_reader *reader)
{
    uint32_t number;
    pack_get(reader, &number, sizeof(number));
    return number;
}

static inline uint64_t pack_get_u64(pack_reader *reader)
{
    uint64_t number;
    pack_get(reader, &number, sizeof(number));
    return number;
}

static inline double pack_get_double(pack_reader *reader)
{
    double number;
    pack_get(reader, &number, sizeof(number));
    return number;
}

/* A text, borrowed; NULL and 0 where it fails. */
static inline const char *pack_get_text(pack_reader *reader, uint32_t *size)
{
    *size = pack_get_u32(reader);
    const char *text = pack_take(reader, *size);
    if (text == NULL)
        *size = 0;
    return text;
}

#endif
