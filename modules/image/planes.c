/* SPDX-License-Identifier: MIT */
#include "planes.h"

#include <stdlib.h>
#include <string.h>

#define PLANES_TILE 32 /* samples: a tile of source and target stay in the first cache while transposing */

static size_t planes_round_up(size_t number, size_t step) { return (number + step - 1) / step * step; }

bool image_plane_create(image_pool *pool, image_plane *plane, uint32_t width, uint32_t height, image_error *error)
{
    size_t stride = planes_round_up(width, IMAGE_PLANE_ALIGN) + 2 * IMAGE_PLANE_COLUMNS;
    size_t size = stride * ((size_t)height + 2 * IMAGE_PLANE_ROWS);
    size_t block_size = 0;
    uint8_t *block = image_pool_take(pool, size, &block_size);

    if (block == NULL)
        return image_fail_memory(error);
    *plane = (image_plane){.data = block + IMAGE_PLANE_ROWS * stride + IMAGE_PLANE_COLUMNS,
                           .block = block,
                           .block_size = block_size,
                           .pool = pool,
                           .width = width,
                           .height = height,
                           .stride = stride,
                           .scale_x = 1,
                           .scale_y = 1};
    return true;
}

void image_plane_destroy(image_plane *plane)
{
    image_pool_give(plane->pool, plane->block, plane->block_size);
    *plane = (image_plane){0};
}

image_plane image_plane_with_edges(image_plane *plane)
{
    const size_t left = IMAGE_PLANE_COLUMNS;
    const size_t width = plane->width + 2 * left;

    for (uint32_t y = 0; y < plane->height; y++) {
        uint8_t *row = plane->data + y * plane->stride;
        memset(row - left, row[0], left);
        memset(row + plane->width, row[plane->width - 1], left);
    }
    uint8_t *first = plane->data - left;
    uint8_t *last = first + (plane->height - 1) * plane->stride;
    for (size_t y = 1; y <= IMAGE_PLANE_ROWS; y++) {
        memcpy(first - y * plane->stride, first, width);
        memcpy(last + y * plane->stride, last, width);
    }
    image_plane grown = *plane;
    grown.data = first - IMAGE_PLANE_ROWS * plane->stride;
    grown.width = (uint32_t)width;
    grown.height = plane->height + 2 * IMAGE_PLANE_ROWS;
    return grown;
}

void image_planes_destroy(image_planes *planes)
{
    for (int i = 0; i < 3; i++)
        image_plane_destroy(&planes->plane[i]);
}

void image_plane_fill(image_plane *plane, uint8_t sample)
{
    for (uint32_t y = 0; y < plane->height; y++)
        memset(plane->data + y * plane->stride, sample, plane->width);
}

static uint32_t planes_smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

void image_plane_paste(image_plane *canvas, const image_plane *plane, uint32_t left, uint32_t top)
{
    if (left >= canvas->width || top >= canvas->height)
        return;
    uint32_t width = planes_smaller(plane->width, canvas->width - left);
    uint32_t height = planes_smaller(plane->height, canvas->height - top);
    for (uint32_t y = 0; y < height; y++)
        memcpy(canvas->data + (top + y) * canvas->stride + left, plane->data + y * plane->stride, width);
}

static void planes_transpose_tile(const image_plane *from, image_plane *to, uint32_t left, uint32_t top)
{
    uint32_t right = planes_smaller(left + PLANES_TILE, from->width);
    uint32_t bottom = planes_smaller(top + PLANES_TILE, from->height);

    for (uint32_t x = left; x < right; x++)
        for (uint32_t y = top; y < bottom; y++)
            to->data[x * to->stride + y] = from->data[y * from->stride + x];
}

static void planes_transpose(const image_plane *from, image_plane *to)
{
    for (uint32_t top = 0; top < from->height; top += PLANES_TILE)
        for (uint32_t left = 0; left < from->width; left += PLANES_TILE)
            planes_transpose_tile(from, to, left, top);
}

static void planes_mirror_x(image_plane *plane)
{
    for (uint32_t y = 0; y < plane->height; y++) {
        uint8_t *left = plane->data + y * plane->stride;
        uint8_t *right = left + plane->width - 1;
        for (; left < right; left++, right--) {
            uint8_t sample = *left;
            *left = *right;
            *right = sample;
        }
    }
}

static void planes_mirror_y(image_plane *plane)
{
    for (uint32_t y = 0; y < plane->height / 2; y++) {
        uint8_t *upper = plane->data + y * plane->stride;
        uint8_t *lower = plane->data + (plane->height - 1 - y) * plane->stride;
        for (uint32_t x = 0; x < plane->width; x++) {
            uint8_t sample = upper[x];
            upper[x] = lower[x];
            lower[x] = sample;
        }
    }
}

bool image_plane_turn(const image_plane *plane, image_turn turn, image_plane *turned, image_error *error)
{
    uint32_t width = turn.transpose ? plane->height : plane->width;
    uint32_t height = turn.transpose ? plane->width : plane->height;

    if (!image_plane_create(plane->pool, turned, width, height, error))
        return false;
    if (turn.transpose)
        planes_transpose(plane, turned);
    else
        image_plane_paste(turned, plane, 0, 0);
    if (turn.mirror_x)
        planes_mirror_x(turned);
    if (turn.mirror_y)
        planes_mirror_y(turned);
    return true;
}
