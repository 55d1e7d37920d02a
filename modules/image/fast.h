/* SPDX-License-Identifier: MIT */
/* The fast path: JPEG to JPEG without ever leaving YCbCr planes. */
#ifndef IMAGE_FAST_H
#define IMAGE_FAST_H

#include "job.h"

/* `cache` may be NULL. */
image_path_outcome image_fast_run(image_cache *cache, image_job *job, image_error *error);

#endif
