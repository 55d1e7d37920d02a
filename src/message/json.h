/* SPDX-License-Identifier: MIT */
/* JSON's parts that more than one file needs. */
#ifndef BRG_MESSAGE_JSON_H
#define BRG_MESSAGE_JSON_H

#include <brigade/json.h>

/* What a token of a number's characters is. BRG_TYPE_NONE: no number as RFC 8259 has it. */
typedef struct brg__json_number {
    brg_type type; /* int, uint, double */
    int64_t integer;
    uint64_t natural;
    double number;
    bool is_infinite; /* past the doubles */
} brg__json_number;

/* `text` has `size_bytes` bytes and a zero after them. Takes no notice of the locale. */
void brg__json_number_read(brg__json_number *out, const char *text, size_t size_bytes);

/* The shortest of 15 to 17 digits that reads back as the same finite double, with a point or an exponent; its size. */
size_t brg__json_number_write(char out[40], double number);

/* Objects of one key that stand for other types become those; everything else stays. BRG_MALFORMED for what is none. */
brg_status brg__json_typed(brg_value **out, const brg_value *plain, brg_error *error);

#endif
