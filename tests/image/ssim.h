/* SPDX-License-Identifier: MIT */
/* How alike two pictures look: 1 is the same. Wang, Bovik, Sheikh, Simoncelli 2004, over luma. */
#ifndef IMAGE_SSIM_H
#define IMAGE_SSIM_H

#include <stddef.h>
#include <stdint.h>

/* Mean over all 8x8 windows four samples apart, K1 0.01, K2 0.03. Planes of width x height without gaps. */
double ssim_planes(const uint8_t *a, const uint8_t *b, size_t width, size_t height);

#endif
