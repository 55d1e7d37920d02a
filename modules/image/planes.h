/* SPDX-License-Identifier: MIT */
/* 8-bit planes of one picture: a gray one, or Y, Cb and Cr each at its own size. */
#ifndef IMAGE_PLANES_H
#define IMAGE_PLANES_H

#include "geometry.h"
#include "pool.h"

#define IMAGE_PLANE_ALIGN 64 /* rows, for the widest vectors */
/* Room around each plane, to repeat its edges into: a column is one sample, and rows begin aligned. */
#define IMAGE_PLANE_COLUMNS IMAGE_PLANE_ALIGN
#define IMAGE_PLANE_ROWS 16

typedef struct image_plane {
    uint8_t *data;
    void *block; /* what `data` lies in */
    size_t block_size;
    image_pool *pool; /* where `block` goes back to; may be NULL */
    uint32_t width;
    uint32_t height;
    size_t stride;  /* a multiple of IMAGE_PLANE_ALIGN, so that rows can be padded to whole blocks */
    double scale_x; /* samples per pixel of the picture */
    double scale_y;
} image_plane;

typedef struct image_planes {
    image_plane plane[3];
    int count;
    uint32_t width; /* of the picture */
    uint32_t height;
} image_planes;

/* Content undefined. `pool` may be NULL. */
bool image_plane_create(image_pool *pool, image_plane *plane, uint32_t width, uint32_t height, image_error *error);
void image_plane_destroy(image_plane *plane);
void image_planes_destroy(image_planes *planes);

/*
 * The same plane grown by its repeated edges, IMAGE_PLANE_COLUMNS at the left and right and IMAGE_PLANE_ROWS above and
 * below. Borrowed from `plane`.
 */
image_plane image_plane_with_edges(image_plane *plane);

void image_plane_fill(image_plane *plane, uint8_t sample);
void image_plane_paste(image_plane *canvas, const image_plane *plane, uint32_t left, uint32_t top);

/* Turned and mirrored into a new plane. */
bool image_plane_turn(const image_plane *plane, image_turn turn, image_plane *turned, image_error *error);

#endif
