/* SPDX-License-Identifier: MIT */
/* What one worker keeps between pictures. Pictures of a batch mostly share size and profile. */
#ifndef IMAGE_CACHE_H
#define IMAGE_CACHE_H

#include "image.h"
#include "pool.h"

#include <zimg.h>

#define IMAGE_CACHE_GRAPHS 8

/* What a resize graph is made for. Compared byte by byte: zero it first. */
typedef struct image_graph_key {
    uint32_t from_width;
    uint32_t from_height;
    uint32_t to_width;
    uint32_t to_height;
    double left;
    double top;
    double width;
    double height;
} image_graph_key;

typedef struct image_graph {
    image_graph_key key;
    zimg_filter_graph *graph; /* NULL: an empty place */
    void *scratch;
    uint64_t used; /* when, by the cache's count */
} image_graph;

struct image_cache {
    image_graph graphs[IMAGE_CACHE_GRAPHS];
    uint64_t count;
    image_pool pool;
    uint64_t profile_hash; /* of the last colour profile looked at */
    size_t profile_size;   /* 0: none yet */
    bool profile_is_srgb;
};

static inline image_pool *image_cache_pool(image_cache *cache) { return cache != NULL ? &cache->pool : NULL; }

void image_graph_done(image_graph *graph);

#endif
