/* SPDX-License-Identifier: MIT */
/* What a file is and how large it says to be, from its first bytes, without decoding a pixel. */
#ifndef IMAGE_SNIFF_H
#define IMAGE_SNIFF_H

#include "image.h"

typedef struct image_header {
    uint32_t width; /* 0: this format's size is read by its decoder's header call */
    uint32_t height;
    uint32_t pages; /* pages or frames, counted no further than the limit and one; at least 1 */
} image_header;

image_format image_sniff(const uint8_t *bytes, size_t byte_count);

/* Reads size and pages. Errors: CORRUPT when the header is cut off or senseless. */
bool image_header_read(image_format format, const uint8_t *bytes, size_t byte_count, uint32_t pages_max,
                       image_header *header, image_error *error);

/* Holds sizes against the request's limits. Errors: LIMIT. */
bool image_guard_header(const image_request *request, const image_header *header, image_error *error);

/* The size of the result of every operation on a width x height picture (as it is seen), each step guarded. */
bool image_guard_output(const image_request *request, uint32_t width, uint32_t height, image_error *error);

#endif
