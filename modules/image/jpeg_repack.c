/* SPDX-License-Identifier: MIT */
/* The lossless transcoding of jpegtran (libjpeg's transupp and jpegtran.c): coefficients in, the same ones out. */
#include "jpeg.h"

#include <stdlib.h>

static bool repack_run(image_jpeg_reader *reader, struct jpeg_compress_struct *target, bool progressive,
                       image_bytes *out)
{
    struct jpeg_destination_mgr manager;

    /* One jump for both: they share the error manager. */
    if (setjmp(reader->errors.jump) != 0)
        return false;
    jvirt_barray_ptr *coefficients = jpeg_read_coefficients(&reader->jpeg);
    jpeg_create_compress(target);
    image_jpeg_write_to(target, &manager, out);
    jpeg_copy_critical_parameters(&reader->jpeg, target);
    target->optimize_coding = TRUE;
    if (progressive)
        jpeg_simple_progression(target);
    jpeg_write_coefficients(target, coefficients);
    jpeg_finish_compress(target);
    jpeg_finish_decompress(&reader->jpeg);
    return true;
}

bool image_jpeg_repack(const image_request *request, const uint8_t *bytes, size_t byte_count, bool progressive,
                       image_bytes *out, image_error *error)
{
    image_jpeg_reader reader = {0};
    image_jpeg_info info = {0};
    struct jpeg_compress_struct target = {0};
    image_bytes packed = {0};

    bool done = image_jpeg_open(&reader, request, bytes, byte_count, &info, error);
    target.err = &reader.errors.manager;
    done = done && repack_run(&reader, &target, progressive, &packed);
    jpeg_destroy_compress(&target);
    image_jpeg_close(&reader);
    free(info.profile);
    if (!done) {
        free(packed.data);
        return false;
    }
    *out = packed;
    return true;
}
