/* SPDX-License-Identifier: MIT */
/* libjpeg-turbo, with its exits and warnings turned into errors. */
#ifndef IMAGE_JPEG_H
#define IMAGE_JPEG_H

#include "planes.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

/* ---- errors: both libjpeg's errors and its warnings (damaged data) end the call ----------------------------- */

typedef struct image_jpeg_errors {
    struct jpeg_error_mgr manager; /* first: libjpeg hands out its address */
    jmp_buf jump;
    image_error *error;
    bool tolerant; /* let warnings pass */
} image_jpeg_errors;

struct jpeg_error_mgr *image_jpeg_errors_init(image_jpeg_errors *errors, image_error *error);

/* ---- reading ------------------------------------------------------------------------------------------------ */

typedef struct image_jpeg_reader {
    struct jpeg_decompress_struct jpeg;
    image_jpeg_errors errors;
    struct jpeg_progress_mgr progress;
    const image_request *request;
    image_pool *pool; /* for the planes; set before decoding, may be NULL */
    bool created;
} image_jpeg_reader;

typedef struct image_jpeg_info {
    uint32_t width;
    uint32_t height;
    int components;  /* 1 or 3; 0: colours that are not gray or YCbCr */
    bool halved;     /* 4:2:0 */
    int orientation; /* 1..8 */
    bool has_profile;
    uint8_t *profile; /* from malloc; NULL where its pieces do not fit */
    size_t profile_size;
} image_jpeg_info;

/* Reads the header. The reader borrows `bytes`. image_jpeg_close ends it, also after a failure. */
bool image_jpeg_open(image_jpeg_reader *reader, const image_request *request, const uint8_t *bytes, size_t byte_count,
                     image_jpeg_info *info, image_error *error);
/* Decodes into planes at `eighths`/8 of the size: 1, 2, 4 or 8. `gray` leaves the colours out. */
bool image_jpeg_decode(image_jpeg_reader *reader, int eighths, bool gray, image_planes *planes);
void image_jpeg_close(image_jpeg_reader *reader);

/* ---- writing ------------------------------------------------------------------------------------------------ */

typedef struct image_bytes {
    uint8_t *data; /* from malloc */
    size_t size;
} image_bytes;

/* Encodes planes whose colour planes have the picture's size or half of it both ways. */
bool image_jpeg_encode(const image_planes *planes, const image_encoding *encoding, image_bytes *out,
                       image_error *error);

/* The same coefficients, packed anew without metadata: no pixel changes. */
bool image_jpeg_repack(const image_request *request, const uint8_t *bytes, size_t byte_count, bool progressive,
                       image_bytes *out, image_error *error);

/* Sends what is compressed into *out, growing it; freed by the caller also after a failure. */
void image_jpeg_write_to(struct jpeg_compress_struct *jpeg, struct jpeg_destination_mgr *manager, image_bytes *out);

#endif
