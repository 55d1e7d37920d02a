/* SPDX-License-Identifier: MIT */
#include "pool.h"
#include "planes.h"

#include <stdlib.h>

static void *pool_remove(image_pool *pool, size_t index, size_t *block_size)
{
    void *block = pool->blocks[index].data;

    *block_size = pool->blocks[index].size;
    pool->bytes -= *block_size;
    pool->blocks[index] = pool->blocks[--pool->count];
    return block;
}

void *image_pool_take(image_pool *pool, size_t size, size_t *block_size)
{
    size_t best = IMAGE_POOL_BLOCKS;

    for (size_t i = 0; pool != NULL && i < pool->count; i++)
        if (pool->blocks[i].size >= size &&
            (best == IMAGE_POOL_BLOCKS || pool->blocks[i].size < pool->blocks[best].size))
            best = i;
    if (best != IMAGE_POOL_BLOCKS)
        return pool_remove(pool, best, block_size);
    *block_size = (size + IMAGE_PLANE_ALIGN - 1) / IMAGE_PLANE_ALIGN * IMAGE_PLANE_ALIGN;
    return aligned_alloc(IMAGE_PLANE_ALIGN, *block_size);
}

void image_pool_give(image_pool *pool, void *block, size_t block_size)
{
    if (block == NULL)
        return;
    if (pool == NULL || block_size > IMAGE_POOL_BYTES_MAX) {
        free(block);
        return;
    }
    /* No room: the blocks kept are from pictures of other sizes. */
    if (pool->count == IMAGE_POOL_BLOCKS || pool->bytes + block_size > IMAGE_POOL_BYTES_MAX)
        image_pool_drop(pool);
    pool->blocks[pool->count].data = block;
    pool->blocks[pool->count++].size = block_size;
    pool->bytes += block_size;
}

void image_pool_drop(image_pool *pool)
{
    size_t size;

    while (pool->count > 0)
        free(pool_remove(pool, pool->count - 1, &size));
}
