/* SPDX-License-Identifier: MIT */
/* The little we read of metadata ourselves: whether a profile is sRGB, and which way is up. */
#ifndef IMAGE_METADATA_H
#define IMAGE_METADATA_H

#include "cache.h"

/* Whether treating samples as sRGB (1 component: as its gray) shows the same colours. `cache` may be NULL. */
bool image_profile_is_srgb(image_cache *cache, const uint8_t *profile, size_t profile_size, int components);

/* The EXIF orientation of an APP1 segment (from "Exif" on): 1..8; 1 for anything else. */
int image_exif_orientation(const uint8_t *segment, size_t segment_size);

#endif
