/* SPDX-License-Identifier: MIT */
/*
 * Blocks for planes, kept between pictures: mapping and unmapping megabytes for each picture costs a quarter of the
 * time of a small one. What is kept is bounded; larger blocks go back to the system at once.
 */
#ifndef IMAGE_POOL_H
#define IMAGE_POOL_H

#include <stddef.h>

#define IMAGE_POOL_BLOCKS 8
#define IMAGE_POOL_BYTES_MAX ((size_t)24 << 20)

typedef struct image_pool {
    struct {
        void *data;
        size_t size;
    } blocks[IMAGE_POOL_BLOCKS]; /* the first `count` are there */
    size_t count;
    size_t bytes;
} image_pool;

/* At least `size` bytes, aligned for planes; *block_size says how many. NULL when memory is out. */
void *image_pool_take(image_pool *pool, size_t size, size_t *block_size);
/* Accepts a NULL block. */
void image_pool_give(image_pool *pool, void *block, size_t block_size);
/* Gives everything back to the system. */
void image_pool_drop(image_pool *pool);

#endif
