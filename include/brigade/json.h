/* SPDX-License-Identifier: MIT */
/*
 * Values as text: JSON both ways, whole or piece by piece, and a notation for people. Part of <brigade/value.h>.
 *
 * JSON knows null, booleans, numbers, strings, arrays and objects. The other types are written as objects of one key:
 *     bytes, buffers   {"$bytes": base64}              timestamps  {"$timestamp": nanoseconds}
 *     typed arrays     {"$array": ["f64", 1.5, ...]}   sets        {"$set": [...]}
 *     big integers     {"$bigint": "-0x1f"}            errors      {"$error": {"status": "BRG_FAILED", ...}}
 * Read back they are maps unless BRG_JSON_TYPED is given.
 */
#ifndef BRIGADE_JSON_H
#define BRIGADE_JSON_H

#include <stdio.h>

#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum brg_json_flags {
    BRG_JSON_COMPACT = 0,
    BRG_JSON_INDENT = 1, /* writing: two spaces a level */
    BRG_JSON_TYPED = 2,  /* reading: objects of one key as above become what they stand for, or BRG_MALFORMED */
    BRG_JSON_MANY = 4    /* brg_json_reader: several texts after each other, with or without space between */
} brg_json_flags;

/* Most text that nodes which are in several places may add to JSON, each written out in each place. */
#define BRG_JSON_SHARED_BYTES_MAX ((size_t)64 << 20)

/*
 * From JSON text (RFC 8259, UTF-8). Numbers without point or exponent become ints or uints where they fit, exactly;
 * others become the nearest double. Errors: BRG_MALFORMED with line, column and byte offset, also for a key twice in an
 * object, a key with a zero character in it, and a number past the doubles; BRG_TOO_LARGE for nesting past
 * BRG_VALUE_DEPTH_MAX; BRG_NO_MEMORY. Any thread. With _flags: BRG_JSON_TYPED.
 */
BRG_API brg_status brg_value_from_json(brg_value **out, const char *text, size_t size_bytes, brg_error *error);
BRG_API brg_status brg_value_from_json_flags(brg_value **out, const char *text, size_t size_bytes, brg_json_flags flags,
                                             brg_error *error);

/* Reads JSON that comes in pieces. One thread at a time. End it with destroy, which accepts NULL. */
typedef struct brg_json_reader brg_json_reader;

BRG_API brg_status brg_json_reader_create(brg_json_reader **out, brg_json_flags flags, brg_error *error);
BRG_API void brg_json_reader_destroy(brg_json_reader *reader);

/*
 * Feeds a piece of any size. *used_bytes is how much of it was read: all, unless a value was finished in it or it is
 * malformed. BRG_OK and *out set: a value is there; feed the rest again for what follows. BRG_OK and *out NULL: it
 * wants more. After a value, without BRG_JSON_MANY, only white space may follow. Errors as for brg_value_from_json; the
 * reader then refuses everything with BRG_STATE until brg_json_reader_reset.
 */
BRG_API brg_status brg_json_reader_feed(brg_json_reader *reader, const char *text, size_t size_bytes,
                                        size_t *used_bytes, brg_value **out, brg_error *error);

/* The text is at its end: a number that stood at it is finished now. BRG_OK and *out NULL: nothing was left over.
 * BRG_MALFORMED: it ends inside a value, or held none at all. */
BRG_API brg_status brg_json_reader_finish(brg_json_reader *reader, brg_value **out, brg_error *error);

/* Forgets all, for another text from line 1 on. */
BRG_API void brg_json_reader_reset(brg_json_reader *reader);

/*
 * To JSON text, zero-terminated; free with brg_free. `size_bytes` may be NULL. Doubles become the shortest text of 15
 * to 17 digits that reads back the same. Errors: BRG_UNSUPPORTED for NaN and infinities, which JSON lacks, for a cycle,
 * and for ports, descriptors, shared memory and tokens; BRG_TOO_LARGE (see BRG_JSON_SHARED_BYTES_MAX); BRG_NO_MEMORY.
 * Any thread.
 */
BRG_API brg_status brg_value_to_json(const brg_value *value, brg_json_flags flags, char **text, size_t *size_bytes,
                                     brg_error *error);

/* Takes the next piece of text; BRG_OK, or an error of its own, which ends the writing and is what it returns. */
typedef brg_status (*brg_json_write_fn)(void *user_data, const char *text, size_t size_bytes);

/* The same piece by piece, of a few kilobytes each, without the whole text in memory. On errors some were written. */
BRG_API brg_status brg_value_write_json(const brg_value *value, brg_json_flags flags, brg_json_write_fn write,
                                        void *user_data, brg_error *error);

/*
 * For people who debug: a node with all that is in it, in a notation like JSON that knows every type. Long strings and
 * containers are cut ("..." and how much is left out); nodes that are in several places are marked: #1= where it
 * is written, #1# where it is again. Prints nothing for a value that memory does not suffice for. Any thread.
 */
BRG_API void brg_view_print(brg_view view, FILE *file);
BRG_API void brg_value_print(const brg_value *value, FILE *file);
/* The same as text, zero-terminated; free with brg_free. Errors: BRG_NO_MEMORY. */
BRG_API brg_status brg_view_to_text(brg_view view, char **text, size_t *size_bytes, brg_error *error);
BRG_API brg_status brg_value_to_text(const brg_value *value, char **text, size_t *size_bytes, brg_error *error);

#ifdef __cplusplus
}
#endif

#endif
