/* SPDX-License-Identifier: MIT */
/*
 * zimg builds a graph for one pair of sizes (filter weights, buffers) and runs it many times. The worker's cache
 * keeps the last few graphs, so that a batch of pictures of one size builds each once.
 *
 * Each plane is resampled as a gray picture of its own. JPEG puts a chroma sample in the middle of the pixels it
 * covers, so plane coordinates are picture coordinates times the plane's scale, without an offset.
 */
#include "scale.h"
#include "cache.h"

#include <stdlib.h>
#include <string.h>

image_cache *image_cache_create(void) { return calloc(1, sizeof(image_cache)); }

void image_graph_done(image_graph *graph)
{
    zimg_filter_graph_free(graph->graph);
    free(graph->scratch);
    *graph = (image_graph){0};
}

void image_cache_destroy(image_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < IMAGE_CACHE_GRAPHS; i++)
        if (cache->graphs[i].graph != NULL)
            image_graph_done(&cache->graphs[i]);
    image_pool_drop(&cache->pool);
    free(cache);
}

static bool scale_failed(image_error *error)
{
    char message[128] = "";

    zimg_error_code_e code = zimg_get_last_error(message, sizeof(message));
    if (code == ZIMG_ERROR_OUT_OF_MEMORY)
        return image_fail_memory(error);
    return image_fail(error, IMAGE_UNSUPPORTED, 0, "cannot resize: %s", message);
}

static void scale_format(zimg_image_format *format, uint32_t width, uint32_t height)
{
    zimg_image_format_default(format, ZIMG_API_VERSION);
    format->width = width;
    format->height = height;
    format->pixel_type = ZIMG_PIXEL_BYTE;
    format->color_family = ZIMG_COLOR_GREY;
    format->pixel_range = ZIMG_RANGE_FULL;
}

static bool scale_build(const image_graph_key *key, image_graph *graph, image_error *error)
{
    zimg_image_format from;
    zimg_image_format to;
    zimg_graph_builder_params params;
    size_t scratch_size = 0;

    scale_format(&from, key->from_width, key->from_height);
    scale_format(&to, key->to_width, key->to_height);
    from.active_region.left = key->left;
    from.active_region.top = key->top;
    from.active_region.width = key->width;
    from.active_region.height = key->height;
    zimg_graph_builder_params_default(&params, ZIMG_API_VERSION);
    if (key->to_width > key->width || key->to_height > key->height) {
        params.resample_filter = ZIMG_RESIZE_BICUBIC; /* Catmull-Rom */
        params.filter_param_a = 0;
        params.filter_param_b = 0.5;
    } else {
        params.resample_filter = ZIMG_RESIZE_LANCZOS;
        params.filter_param_a = 3;
    }
    params.cpu_type = ZIMG_CPU_AUTO_64B;
    image_graph built = {.key = *key, .graph = zimg_filter_graph_build(&from, &to, &params)};
    if (built.graph == NULL || zimg_filter_graph_get_tmp_size(built.graph, &scratch_size) != ZIMG_ERROR_SUCCESS) {
        zimg_filter_graph_free(built.graph);
        return scale_failed(error);
    }
    scratch_size = (scratch_size / IMAGE_PLANE_ALIGN + 1) * IMAGE_PLANE_ALIGN;
    built.scratch = aligned_alloc(IMAGE_PLANE_ALIGN, scratch_size);
    if (built.scratch == NULL) {
        zimg_filter_graph_free(built.graph);
        return image_fail_memory(error);
    }
    *graph = built;
    return true;
}

static bool scale_same_key(const image_graph_key *a, const image_graph_key *b)
{
    return a->from_width == b->from_width && a->from_height == b->from_height && a->to_width == b->to_width &&
           a->to_height == b->to_height && a->left == b->left && a->top == b->top && a->width == b->width &&
           a->height == b->height;
}

/* The cached graph for `key`, built into the place used longest ago where there is none. */
static image_graph *scale_find(image_cache *cache, const image_graph_key *key, image_error *error)
{
    image_graph *oldest = &cache->graphs[0];

    cache->count++;
    for (size_t i = 0; i < IMAGE_CACHE_GRAPHS; i++) {
        image_graph *graph = &cache->graphs[i];
        if (graph->graph != NULL && scale_same_key(&graph->key, key)) {
            graph->used = cache->count;
            return graph;
        }
        if (graph->used < oldest->used)
            oldest = graph;
    }
    image_graph built = {.graph = NULL};
    if (!scale_build(key, &built, error))
        return NULL;
    if (oldest->graph != NULL)
        image_graph_done(oldest);
    *oldest = built;
    oldest->used = cache->count;
    return oldest;
}

static bool scale_process(const image_graph *graph, const image_plane *from, image_plane *to, image_error *error)
{
    zimg_image_buffer_const source = {.version = ZIMG_API_VERSION};
    zimg_image_buffer target = {.version = ZIMG_API_VERSION};

    source.plane[0].data = from->data;
    source.plane[0].stride = (ptrdiff_t)from->stride;
    source.plane[0].mask = ZIMG_BUFFER_MAX;
    target.plane[0].data = to->data;
    target.plane[0].stride = (ptrdiff_t)to->stride;
    target.plane[0].mask = ZIMG_BUFFER_MAX;
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): scale_build sets it */
    if (zimg_filter_graph_process(graph->graph, &source, &target, graph->scratch, NULL, NULL, NULL, NULL) !=
        ZIMG_ERROR_SUCCESS)
        return scale_failed(error);
    return true;
}

bool image_scale(image_cache *cache, const image_plane *from, const image_window *window, image_plane *to,
                 image_error *error)
{
    image_graph_key key;

    memset(&key, 0, sizeof(key));
    key.from_width = from->width;
    key.from_height = from->height;
    key.to_width = to->width;
    key.to_height = to->height;
    key.left = window->left;
    key.top = window->top;
    key.width = window->width;
    key.height = window->height;
    if (cache != NULL) {
        image_graph *graph = scale_find(cache, &key, error);
        return graph != NULL && scale_process(graph, from, to, error);
    }
    image_graph graph;
    if (!scale_build(&key, &graph, error))
        return false;
    bool scaled = scale_process(&graph, from, to, error);
    image_graph_done(&graph);
    return scaled;
}
