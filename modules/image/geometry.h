/* SPDX-License-Identifier: MIT */
/* Where pixels go: fitting a picture into a box, and the eight ways to turn and mirror it. No pixels here. */
#ifndef IMAGE_GEOMETRY_H
#define IMAGE_GEOMETRY_H

#include "image.h"

/* The whole picture is scaled; the window at left, top of it is kept and lands in the canvas. */
typedef struct image_geometry {
    double scale; /* of the picture as loaded, the same both ways; sides are rounded, the middle stays the middle */
    uint32_t scaled_width;
    uint32_t scaled_height;
    uint32_t left;
    uint32_t top;
    uint32_t width;
    uint32_t height;
    uint32_t canvas_left; /* even, so that halved chroma planes land on a sample */
    uint32_t canvas_top;
    uint32_t canvas_width;
    uint32_t canvas_height;
} image_geometry;

void image_geometry_fit(uint32_t width, uint32_t height, const image_op *op, image_geometry *geometry);
/*
 * For a picture that was loaded smaller, `width` x `height`: fits that one, as vips_thumbnail does, unless rounding
 * would give the result another size.
 */
void image_geometry_refit(uint32_t width, uint32_t height, double shrink, const image_op *op, image_geometry *geometry);
/* The picture as it is. */
void image_geometry_same(uint32_t width, uint32_t height, image_geometry *geometry);

/* First transposed (x and y swapped), then mirrored. */
typedef struct image_turn {
    bool transpose;
    bool mirror_x; /* left becomes right */
    bool mirror_y;
} image_turn;

/* From an EXIF orientation (1..8; others as 1) and from a multiple of 90 degrees clockwise. */
image_turn image_turn_from_orientation(int orientation);
image_turn image_turn_from_angle(double angle);
image_turn image_turn_then(image_turn first, image_turn second);
/* Of a picture turned afterwards: windows rounded to the upper left of what will be seen, not of the file. */
void image_geometry_before_turn(image_geometry *geometry, image_turn turn);

static inline bool image_turn_is_none(image_turn turn) { return !turn.transpose && !turn.mirror_x && !turn.mirror_y; }

#endif
