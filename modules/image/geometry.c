/* SPDX-License-Identifier: MIT */
#include "geometry.h"

#include <math.h>

static uint32_t geometry_scale(uint32_t side, double scale)
{
    double scaled = round(side * scale);

    if (scaled < 1)
        return 1;
    return scaled > 1e9 ? 1000000000u : (uint32_t)scaled; /* the guards refuse it next */
}

static uint32_t geometry_smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

void image_geometry_same(uint32_t width, uint32_t height, image_geometry *geometry)
{
    *geometry = (image_geometry){.scale = 1,
                                 .scaled_width = width,
                                 .scaled_height = height,
                                 .width = width,
                                 .height = height,
                                 .canvas_width = width,
                                 .canvas_height = height};
}

void image_geometry_fit(uint32_t width, uint32_t height, const image_op *op, image_geometry *geometry)
{
    double across = op->width > 0 ? (double)op->width / width : (double)op->height / height;
    double down = op->height > 0 ? (double)op->height / height : across;
    double scale = op->fit == IMAGE_FIT_COVER ? fmax(across, down) : fmin(across, down);

    if (op->fit == IMAGE_FIT_INSIDE && scale > 1)
        scale = 1;
    image_geometry_same(geometry_scale(width, scale), geometry_scale(height, scale), geometry);
    geometry->scale = scale;
    if (op->fit == IMAGE_FIT_INSIDE || op->width == 0 || op->height == 0)
        return;

    geometry->canvas_width = op->width;
    geometry->canvas_height = op->height;
    geometry->width = geometry_smaller(geometry->scaled_width, op->width);
    geometry->height = geometry_smaller(geometry->scaled_height, op->height);
    geometry->left = (geometry->scaled_width - geometry->width) / 2;
    geometry->top = (geometry->scaled_height - geometry->height) / 2;
    geometry->canvas_left = (op->width - geometry->width) / 2 & ~1u;
    geometry->canvas_top = (op->height - geometry->height) / 2 & ~1u;
}

void image_geometry_refit(uint32_t width, uint32_t height, double shrink, const image_op *op, image_geometry *geometry)
{
    image_geometry again;

    image_geometry_fit(width, height, op, &again);
    if (again.canvas_width == geometry->canvas_width && again.canvas_height == geometry->canvas_height)
        *geometry = again;
    else
        geometry->scale *= shrink;
}

static void geometry_mirror(uint32_t scaled, uint32_t kept, uint32_t canvas, uint32_t *start, uint32_t *canvas_start)
{
    *start = scaled - kept - *start;
    *canvas_start = (canvas - kept - *canvas_start) & ~1u;
}

void image_geometry_before_turn(image_geometry *geometry, image_turn turn)
{
    if (turn.transpose ? turn.mirror_y : turn.mirror_x)
        geometry_mirror(geometry->scaled_width, geometry->width, geometry->canvas_width, &geometry->left,
                        &geometry->canvas_left);
    if (turn.transpose ? turn.mirror_x : turn.mirror_y)
        geometry_mirror(geometry->scaled_height, geometry->height, geometry->canvas_height, &geometry->top,
                        &geometry->canvas_top);
}

image_turn image_turn_from_orientation(int orientation)
{
    static const image_turn turns[9] = {
        [2] = {.mirror_x = true},
        [3] = {.mirror_x = true, .mirror_y = true},
        [4] = {.mirror_y = true},
        [5] = {.transpose = true},
        [6] = {.transpose = true, .mirror_x = true},
        [7] = {.transpose = true, .mirror_x = true, .mirror_y = true},
        [8] = {.transpose = true, .mirror_y = true},
    };

    return turns[orientation >= 1 && orientation <= 8 ? orientation : 1];
}

image_turn image_turn_from_angle(double angle)
{
    static const int orientations[4] = {1, 6, 3, 8};
    long quarters = lround(angle / 90.0) % 4;

    return image_turn_from_orientation(orientations[(quarters + 4) % 4]);
}

image_turn image_turn_then(image_turn first, image_turn second)
{
    /* Transposing turns a mirroring across into one down. */
    bool mirror_x = second.transpose ? first.mirror_y : first.mirror_x;
    bool mirror_y = second.transpose ? first.mirror_x : first.mirror_y;

    return (image_turn){.transpose = first.transpose != second.transpose,
                        .mirror_x = mirror_x != second.mirror_x,
                        .mirror_y = mirror_y != second.mirror_y};
}
