/* SPDX-License-Identifier: MIT */
/* Resampling one 8-bit plane with zimg. */
#ifndef IMAGE_SCALE_H
#define IMAGE_SCALE_H

#include "planes.h"

/* A window of a plane, in its samples; may begin and end between them. */
typedef struct image_window {
    double left;
    double top;
    double width;
    double height;
} image_window;

/*
 * From `window` of `from` to all of `to`, by the filters of vips_resize: Lanczos with three lobes, widened, to shrink;
 * bicubic to enlarge. `cache` may be NULL.
 */
bool image_scale(image_cache *cache, const image_plane *from, const image_window *window, image_plane *to,
                 image_error *error);

#endif
