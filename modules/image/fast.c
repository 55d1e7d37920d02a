/* SPDX-License-Identifier: MIT */
/*
 * JPEG to JPEG in planes: scaled inverse DCT (libjpeg-turbo), resample each plane (zimg), turn the small picture,
 * encode the planes. No upsampling, no RGB, no full-size picture in memory when shrinking.
 *
 * Everything before the encoder happens in the frame of the file, before its EXIF orientation: boxes are swapped on
 * the way in instead, and one turn at the end puts the picture upright.
 *
 * Declined, and left to libvips: colours that are not gray or YCbCr, a profile that is not sRGB, metadata to keep,
 * and every operation but one resize, turns by quarters, and grayscale.
 */
#include "fast.h"
#include "jpeg.h"
#include "metadata.h"
#include "scale.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fast_plan {
    image_op resize; /* the box in the frame of the file */
    bool resizes;
    image_turn turn_before; /* of what the box was meant for */
    bool gray;
    image_turn turn; /* at the end */
    image_geometry geometry;
    int eighths; /* of the scaled decoding */
    bool halve;  /* colour planes of the result */
} fast_plan;

static bool fast_plan_ops(const image_request *request, int orientation, fast_plan *plan)
{
    plan->turn = image_turn_from_orientation(orientation);
    for (size_t i = 0; i < request->op_count; i++) {
        const image_op *op = &request->ops[i];
        if (op->kind == IMAGE_OP_GRAYSCALE) {
            plan->gray = true;
        } else if (op->kind == IMAGE_OP_ROTATE && fmod(op->angle, 90.0) == 0.0) {
            plan->turn = image_turn_then(plan->turn, image_turn_from_angle(op->angle));
        } else if (op->kind == IMAGE_OP_RESIZE && !plan->resizes) {
            plan->resizes = true;
            plan->resize = *op;
            plan->turn_before = plan->turn;
            plan->resize.width = plan->turn.transpose ? op->height : op->width;
            plan->resize.height = plan->turn.transpose ? op->width : op->height;
        } else {
            return false;
        }
    }
    return true;
}

/*
 * vips_thumbnail's rule for shrinking while loading: the smallest of the decoder's sizes that leaves a factor of two
 * to the resampling. With less the result looks coarser than libvips' (SSIM under 0.98 on detailed photographs). The
 * decoder's sizes between (3/8, 5/8 and so on) are not vectorized and cost more than they save.
 */
static int fast_choose_eighths(const image_geometry *geometry)
{
    int eighths = 1;

    while (eighths < 8 && eighths < 16 * geometry->scale)
        eighths *= 2;
    return eighths;
}

/* As libvips loads it: a pixel at the edge that is only partly there is left out. */
static uint32_t fast_loaded(uint32_t side, int eighths)
{
    uint32_t loaded = (uint32_t)((uint64_t)side * (unsigned)eighths / 8);

    return loaded > 0 ? loaded : 1;
}

static void fast_plan_sizes(const image_job *job, const image_jpeg_info *info, fast_plan *plan)
{
    plan->eighths = 8;
    image_geometry_same(info->width, info->height, &plan->geometry);
    if (plan->resizes) {
        image_geometry_fit(info->width, info->height, &plan->resize, &plan->geometry);
        plan->eighths = fast_choose_eighths(&plan->geometry);
        image_geometry_refit(fast_loaded(info->width, plan->eighths), fast_loaded(info->height, plan->eighths),
                             8.0 / plan->eighths, &plan->resize, &plan->geometry);
        image_geometry_before_turn(&plan->geometry, plan->turn_before);
    }
    /* libvips' rule, but never blow up colours that came halved. */
    plan->halve = job->encoding.quality < 90 || (info->halved && !plan->resizes);
}

/* One side of the kept window, in samples of a plane, `per_pixel` for a pixel of the picture as loaded. */
static void fast_window_side(double side, double scaled, double left, double kept, double scale, double per_pixel,
                             double *begin, double *length)
{
    *begin = ((side - scaled / scale) / 2 + left / scale) * per_pixel;
    *length = kept / scale * per_pixel;
}

/* The kept window of the scaled picture, in samples of `plane`; `to` is the plane it becomes. */
static void fast_window(const image_planes *planes, const image_plane *plane, const image_geometry *geometry,
                        const image_plane *to, image_window *window)
{
    fast_window_side(planes->width, geometry->scaled_width, geometry->left, to->width / to->scale_x, geometry->scale,
                     plane->scale_x, &window->left, &window->width);
    fast_window_side(planes->height, geometry->scaled_height, geometry->top, to->height / to->scale_y, geometry->scale,
                     plane->scale_y, &window->top, &window->height);
}

static bool fast_window_is_all(const image_plane *plane, const image_window *window, const image_plane *to)
{
    return plane->width == to->width && plane->height == to->height && window->left == 0 && window->top == 0 &&
           fabs(plane->width - window->width) < 1 && fabs(plane->height - window->height) < 1;
}

static void fast_clamp(double *begin, double *length, double samples)
{
    double end = fmin(*begin + *length, samples);

    *begin = fmin(fmax(0, *begin), samples - 1);
    *length = fmax(end - *begin, 0.5);
}

/* Rounded sides, and halved planes of odd sides, reach a little beyond what there is: edges are repeated there. */
static image_plane fast_reach(image_plane *plane, image_window *window)
{
    image_plane grown = *plane;

    if (window->left < 0 || window->top < 0 || window->left + window->width > plane->width ||
        window->top + window->height > plane->height) {
        grown = image_plane_with_edges(plane);
        window->left += IMAGE_PLANE_COLUMNS;
        window->top += IMAGE_PLANE_ROWS;
        fast_clamp(&window->left, &window->width, grown.width);
        fast_clamp(&window->top, &window->height, grown.height);
    }
    return grown;
}

static uint32_t fast_halve(uint32_t side, bool halve) { return halve ? (side + 1) / 2 : side; }

static bool fast_scale_plane(image_cache *cache, image_planes *planes, int index, const fast_plan *plan,
                             image_error *error)
{
    const image_geometry *geometry = &plan->geometry;
    image_plane *plane = &planes->plane[index];
    bool halve = index > 0 && plan->halve;
    image_window window;
    image_plane scaled;

    image_plane wanted = {.width = fast_halve(geometry->width, halve),
                          .height = fast_halve(geometry->height, halve),
                          .scale_x = halve ? 0.5 : 1,
                          .scale_y = halve ? 0.5 : 1};
    fast_window(planes, plane, geometry, &wanted, &window);
    if (fast_window_is_all(plane, &window, &wanted))
        return true;
    image_plane source = fast_reach(plane, &window);
    if (!image_plane_create(plane->pool, &scaled, wanted.width, wanted.height, error))
        return false;
    if (!image_scale(cache, &source, &window, &scaled, error)) {
        image_plane_destroy(&scaled);
        return false;
    }
    image_plane_destroy(plane);
    *plane = scaled;
    return true;
}

/* RGB to YCbCr as JFIF has it. */
static uint8_t fast_background(const image_color *color, int index)
{
    static const double weights[3][3] = {
        {0.299, 0.587, 0.114}, {-0.168736, -0.331264, 0.5}, {0.5, -0.418688, -0.081312}};
    double sample = weights[index][0] * color->red + weights[index][1] * color->green + weights[index][2] * color->blue;

    return (uint8_t)lround(fmin(255, fmax(0, sample + (index > 0 ? 128 : 0))));
}

static bool fast_letterbox_plane(image_planes *planes, int index, const fast_plan *plan, image_error *error)
{
    const image_geometry *geometry = &plan->geometry;
    bool halve = index > 0 && plan->halve;
    image_plane canvas;

    if (!image_plane_create(planes->plane[index].pool, &canvas, fast_halve(geometry->canvas_width, halve),
                            fast_halve(geometry->canvas_height, halve), error))
        return false;
    image_plane_fill(&canvas, fast_background(&plan->resize.background, index));
    uint32_t left = halve ? geometry->canvas_left / 2 : geometry->canvas_left;
    uint32_t top = halve ? geometry->canvas_top / 2 : geometry->canvas_top;
    image_plane_paste(&canvas, &planes->plane[index], left, top);
    image_plane_destroy(&planes->plane[index]);
    planes->plane[index] = canvas;
    return true;
}

static bool fast_turn_plane(image_planes *planes, int index, const fast_plan *plan, image_error *error)
{
    image_plane turned;

    if (!image_plane_turn(&planes->plane[index], plan->turn, &turned, error))
        return false;
    image_plane_destroy(&planes->plane[index]);
    planes->plane[index] = turned;
    return true;
}

static bool fast_shape(image_cache *cache, image_planes *planes, const fast_plan *plan, image_error *error)
{
    const image_geometry *geometry = &plan->geometry;
    bool boxed = geometry->canvas_width != geometry->width || geometry->canvas_height != geometry->height;

    for (int i = 0; i < planes->count; i++) {
        if (!fast_scale_plane(cache, planes, i, plan, error) ||
            (boxed && !fast_letterbox_plane(planes, i, plan, error)) ||
            (!image_turn_is_none(plan->turn) && !fast_turn_plane(planes, i, plan, error)))
            return false;
    }
    planes->width = planes->plane[0].width;
    planes->height = planes->plane[0].height;
    return true;
}

static bool fast_encode(image_job *job, const image_planes *planes, const fast_plan *plan, image_error *error)
{
    image_bytes encoded;
    image_bytes packed;

    if (!image_jpeg_encode(planes, &job->encoding, &encoded, error))
        return false;
    bool untouched = job->request->op_count == 0 && image_turn_is_none(plan->turn);
    if (job->request->smallest && untouched && encoded.size >= job->input.byte_count) {
        bool done = image_jpeg_repack(job->request, job->input.bytes, job->input.byte_count,
                                      job->encoding.progressive != 0, &packed, error);
        free(encoded.data);
        if (!done)
            return false;
        encoded = packed;
        job->result.original = true;
    }
    job->result.data = encoded.data;
    job->result.bytes_out = encoded.size;
    job->result.width = planes->width;
    job->result.height = planes->height;
    return true;
}

static bool fast_colors_fit(image_cache *cache, const image_jpeg_info *info)
{
    if (info->components == 0)
        return false;
    if (!info->has_profile)
        return true;
    return info->profile != NULL && image_profile_is_srgb(cache, info->profile, info->profile_size, info->components);
}

static image_path_outcome fast_decode(image_cache *cache, image_job *job, image_jpeg_reader *reader, fast_plan *plan,
                                      image_planes *planes, image_error *error)
{
    image_jpeg_info info = {0};
    bool opened = image_jpeg_open(reader, job->request, job->input.bytes, job->input.byte_count, &info, error);
    bool fits = opened && fast_colors_fit(cache, &info) && fast_plan_ops(job->request, info.orientation, plan);

    free(info.profile);
    if (!opened)
        return IMAGE_PATH_FAILED;
    if (!fits)
        return IMAGE_PATH_DECLINED;
    bool across = info.orientation >= 5;
    if (!image_guard_output(job->request, across ? info.height : info.width, across ? info.width : info.height, error))
        return IMAGE_PATH_FAILED;
    fast_plan_sizes(job, &info, plan);
    if (!image_jpeg_decode(reader, plan->eighths, plan->gray, planes))
        return IMAGE_PATH_FAILED;
    planes->width = fast_loaded(info.width, plan->eighths);
    planes->height = fast_loaded(info.height, plan->eighths);
    return IMAGE_PATH_DONE;
}

image_path_outcome image_fast_run(image_cache *cache, image_job *job, image_error *error)
{
    image_jpeg_reader reader = {.pool = image_cache_pool(cache)};
    fast_plan plan = {0};
    image_planes planes = {0};

    if (job->format != IMAGE_FORMAT_JPEG || job->encoding.format != IMAGE_FORMAT_JPEG || job->request->keep_metadata)
        return IMAGE_PATH_DECLINED;
    image_path_outcome outcome = fast_decode(cache, job, &reader, &plan, &planes, error);
    image_jpeg_close(&reader); /* before the rest: its memory is not needed any more */
    if (outcome == IMAGE_PATH_DONE &&
        !(fast_shape(cache, &planes, &plan, error) && fast_encode(job, &planes, &plan, error)))
        outcome = IMAGE_PATH_FAILED;
    image_planes_destroy(&planes);
    return outcome;
}
