/* SPDX-License-Identifier: MIT */
/* Every format and every operation, by libvips. */
#ifndef IMAGE_VIPS_PATH_H
#define IMAGE_VIPS_PATH_H

#include "job.h"

bool image_vips_run(image_job *job, image_error *error);

#endif
