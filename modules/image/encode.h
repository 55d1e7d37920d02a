/* SPDX-License-Identifier: MIT */
/* Encoding by libvips. */
#ifndef IMAGE_ENCODE_H
#define IMAGE_ENCODE_H

#include "job.h"

#include <vips/vips.h>

/* Encodes `image` into job->result. Errors: UNSUPPORTED where this libvips lacks the format, and vips' own. */
bool image_vips_encode(image_job *job, VipsImage *image, image_error *error);

/* Takes what libvips said into `error`, on one line. Returns false. */
bool image_vips_fail(image_error *error, image_code code, const char *what);

#endif
