/* SPDX-License-Identifier: MIT */
/*
 * The whole request by libvips. Pictures are read once, from top to bottom, and flow through the operations; only
 * turning needs the picture in memory, and the first resize comes before it, in the frame of the file, so that it is
 * the small one.
 *
 * Order: load (shrunk where the loader can), first resize, colours to sRGB, upright, the other operations, encode.
 */
#include "vips_path.h"
#include "encode.h"
#include "geometry.h"

#include <math.h>
#include <string.h>

typedef struct vips_run {
    image_job *job;
    image_error *error;
    VipsImage *image; /* the newest of the chain */
    bool in_memory;   /* it can be read in any order */
    image_turn turn;  /* of the file, still to be applied */
} vips_run;

/* ---- start and end ------------------------------------------------------------------------------------------ */

static void vips_path_quiet(const char *domain, GLogLevelFlags level, const char *message, void *user_data)
{
    (void)domain;
    (void)level;
    (void)message;
    (void)user_data;
}

bool image_start(image_error *error)
{
    *error = (image_error){0};
    if (vips_init("brigade") != 0)
        return image_vips_fail(error, IMAGE_UNSUPPORTED, "cannot start libvips");
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    vips_cache_set_max_mem(0);
    vips_cache_set_max_files(0);
    vips_block_untrusted_set(TRUE);
    /* Its warnings are about pictures, whose errors we report, and it would write them on the program's stderr. */
    g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING, vips_path_quiet, NULL);
    return true;
}

void image_thread_end(void) { vips_thread_shutdown(); }

/* ---- steps: each replaces run->image ------------------------------------------------------------------------ */

/* `next` comes by address: arguments have no order, and the call that fills it is one of them. */
static bool vips_path_take(vips_run *run, int failed, VipsImage **next, const char *what)
{
    if (failed != 0)
        return image_vips_fail(run->error, IMAGE_CORRUPT, what);
    g_object_unref(run->image);
    run->image = *next;
    *next = NULL;
    return true;
}

static bool vips_path_to_memory(vips_run *run)
{
    if (run->in_memory)
        return true;
    char what[32];
    g_snprintf(what, sizeof(what), "corrupt %s", image_format_name(run->job->format));
    VipsImage *copy = vips_image_copy_memory(run->image);
    run->in_memory = vips_path_take(run, copy == NULL, &copy, what);
    return run->in_memory;
}

static bool vips_path_turn(vips_run *run, image_turn turn)
{
    VipsImage *next = NULL;
    bool mirror_x = turn.mirror_x != turn.transpose; /* transposing is a quarter clockwise, then mirroring across */

    if (image_turn_is_none(turn))
        return true;
    if (!vips_path_to_memory(run))
        return false;
    if (turn.transpose && !vips_path_take(run, vips_rot(run->image, &next, VIPS_ANGLE_D90, NULL), &next, "turn"))
        return false;
    if (mirror_x &&
        !vips_path_take(run, vips_flip(run->image, &next, VIPS_DIRECTION_HORIZONTAL, NULL), &next, "mirror"))
        return false;
    return !turn.mirror_y ||
           vips_path_take(run, vips_flip(run->image, &next, VIPS_DIRECTION_VERTICAL, NULL), &next, "mirror");
}

/* Pixels of no opacity have arbitrary colours that must not bleed: multiplied before mixing, divided after. */
static bool vips_path_premultiply(vips_run *run, VipsBandFormat *format)
{
    VipsImage *next = NULL;

    *format = run->image->BandFmt;
    return !vips_image_hasalpha(run->image) ||
           vips_path_take(run, vips_premultiply(run->image, &next, NULL), &next, "premultiply");
}

static bool vips_path_unpremultiply(vips_run *run, VipsBandFormat format)
{
    VipsImage *next = NULL;

    if (!vips_image_hasalpha(run->image))
        return true;
    return vips_path_take(run, vips_unpremultiply(run->image, &next, NULL), &next, "unpremultiply") &&
           vips_path_take(run, vips_cast(run->image, &next, format, NULL), &next, "cast");
}

/* Samples of a colour for the image's bands: gray where it has one or two, opaque where it has alpha. */
static VipsArrayDouble *vips_path_ink(const VipsImage *image, const image_color *color, double alpha)
{
    double gray = 0.2126 * color->red + 0.7152 * color->green + 0.0722 * color->blue;
    double samples[4] = {color->red, color->green, color->blue, alpha};

    if (image->Bands >= 3)
        return vips_array_double_new(samples, VIPS_MIN(image->Bands, 4));
    samples[0] = gray;
    samples[1] = alpha;
    return vips_array_double_new(samples, image->Bands);
}

static bool vips_path_box(vips_run *run, const image_geometry *geometry, const image_color *color)
{
    VipsImage *next = NULL;

    if ((geometry->width != geometry->scaled_width || geometry->height != geometry->scaled_height) &&
        !vips_path_take(run,
                        vips_extract_area(run->image, &next, (int)geometry->left, (int)geometry->top,
                                          (int)geometry->width, (int)geometry->height, NULL),
                        &next, "crop"))
        return false;
    if (geometry->canvas_width == geometry->width && geometry->canvas_height == geometry->height)
        return true;
    VipsArrayDouble *ink = vips_path_ink(run->image, color, 255);
    int failed = vips_embed(run->image, &next, (int)geometry->canvas_left, (int)geometry->canvas_top,
                            (int)geometry->canvas_width, (int)geometry->canvas_height, "extend", VIPS_EXTEND_BACKGROUND,
                            "background", ink, NULL);
    vips_area_unref(VIPS_AREA(ink));
    return vips_path_take(run, failed, &next, "letterbox");
}

/* The factor that takes `side` to `scaled`; the plan's own where libvips will round it to that. */
static double vips_path_factor(double scale, int side, uint32_t scaled)
{
    return floor(side * scale + 0.5) == scaled ? scale : (double)scaled / side;
}

static bool vips_path_scale(vips_run *run, const image_geometry *geometry)
{
    VipsImage *next = NULL;
    VipsBandFormat format;
    double across = vips_path_factor(geometry->scale, run->image->Xsize, geometry->scaled_width);
    double down = vips_path_factor(geometry->scale, run->image->Ysize, geometry->scaled_height);

    if (across == 1 && down == 1)
        return true;
    return vips_path_premultiply(run, &format) &&
           vips_path_take(run,
                          vips_resize(run->image, &next, across, "vscale", down, "kernel", VIPS_KERNEL_LANCZOS3, NULL),
                          &next, "resize") &&
           vips_path_unpremultiply(run, format);
}

static bool vips_path_resize(vips_run *run, const image_op *op)
{
    image_geometry geometry;

    image_geometry_fit((uint32_t)run->image->Xsize, (uint32_t)run->image->Ysize, op, &geometry);
    return vips_path_scale(run, &geometry) && vips_path_box(run, &geometry, &op->background);
}

/* ---- colours ------------------------------------------------------------------------------------------------ */

static bool vips_path_is_gray(const VipsImage *image)
{
    return image->Type == VIPS_INTERPRETATION_B_W || image->Type == VIPS_INTERPRETATION_GREY16;
}

/* To 8-bit sRGB, or 8-bit gray where the picture has no colours; by its profile where it has a fitting one. */
static bool vips_path_colors(vips_run *run)
{
    VipsImage *next = NULL;
    bool cmyk = run->image->Type == VIPS_INTERPRETATION_CMYK;
    bool profile = vips_image_get_typeof(run->image, VIPS_META_ICC_NAME) != 0;

    if ((profile || cmyk) && !(vips_path_is_gray(run->image) && run->image->Bands <= 2)) {
        if (vips_icc_transform(run->image, &next, "srgb", "embedded", TRUE, "input_profile", cmyk ? "cmyk" : "srgb",
                               "depth", 8, NULL) == 0) {
            g_object_unref(run->image);
            run->image = next;
        } else {
            vips_error_clear(); /* a broken profile: the colours are taken as they are */
        }
    }
    VipsInterpretation space = vips_path_is_gray(run->image) ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    if (run->image->Type != space &&
        !vips_path_take(run, vips_colourspace(run->image, &next, space, NULL), &next, "colours"))
        return false;
    return run->image->BandFmt == VIPS_FORMAT_UCHAR ||
           vips_path_take(run, vips_cast_uchar(run->image, &next, NULL), &next, "cast");
}

/* ---- operations --------------------------------------------------------------------------------------------- */

static bool vips_path_rotate(vips_run *run, const image_op *op)
{
    VipsImage *next = NULL;
    VipsBandFormat format;

    if (fmod(op->angle, 90.0) == 0)
        return vips_path_turn(run, image_turn_from_angle(op->angle));
    if (!vips_path_to_memory(run) || !vips_path_premultiply(run, &format))
        return false;
    VipsArrayDouble *ink = vips_path_ink(run->image, &op->background, op->background.set ? 255 : 0);
    VipsInterpolate *interpolate = vips_interpolate_new("bicubic");
    int failed = vips_rotate(run->image, &next, op->angle, "background", ink, "interpolate", interpolate, NULL);
    g_clear_object(&interpolate);
    vips_area_unref(VIPS_AREA(ink));
    return vips_path_take(run, failed, &next, "rotate") && vips_path_unpremultiply(run, format);
}

static bool vips_path_blur(vips_run *run, const image_op *op)
{
    VipsImage *next = NULL;
    VipsBandFormat format;

    return vips_path_premultiply(run, &format) &&
           vips_path_take(run, vips_gaussblur(run->image, &next, op->sigma, NULL), &next, "blur") &&
           vips_path_unpremultiply(run, format);
}

static bool vips_path_sharpen(vips_run *run, const image_op *op)
{
    VipsImage *next = NULL;
    VipsInterpretation space = run->image->Type;

    return vips_path_take(run, vips_sharpen(run->image, &next, "sigma", op->sigma, NULL), &next, "sharpen") &&
           vips_path_take(run, vips_colourspace(run->image, &next, space, NULL), &next, "colours");
}

static bool vips_path_grayscale(vips_run *run)
{
    VipsImage *next = NULL;

    return vips_path_take(run, vips_colourspace(run->image, &next, VIPS_INTERPRETATION_B_W, NULL), &next, "grayscale");
}

static bool vips_path_apply(vips_run *run, const image_op *op)
{
    switch (op->kind) {
    case IMAGE_OP_RESIZE:
        return vips_path_resize(run, op);
    case IMAGE_OP_ROTATE:
        return vips_path_rotate(run, op);
    case IMAGE_OP_BLUR:
        return vips_path_blur(run, op);
    case IMAGE_OP_SHARPEN:
        return vips_path_sharpen(run, op);
    case IMAGE_OP_GRAYSCALE:
        return vips_path_grayscale(run);
    }
    return image_fail(run->error, IMAGE_BAD_REQUEST, 0, "unknown operation %d", (int)op->kind);
}

/* ---- loading ------------------------------------------------------------------------------------------------ */

static VipsImage *vips_path_open(const image_job *job, int shrink)
{
    /* libjpeg only warns of damage. Elsewhere warnings are about unknown tags and the like. */
    VipsFailOn fail_on = job->format == IMAGE_FORMAT_JPEG ? VIPS_FAIL_ON_WARNING : VIPS_FAIL_ON_ERROR;
    const void *bytes = job->input.bytes;
    size_t size = job->input.byte_count;

    if (shrink > 1)
        return vips_image_new_from_buffer(bytes, size, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", fail_on,
                                          "shrink", shrink, NULL);
    return vips_image_new_from_buffer(bytes, size, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", fail_on, NULL);
}

static int vips_path_get_int(const VipsImage *image, const char *name, int otherwise)
{
    int number = otherwise;

    if (vips_image_get_typeof(image, name) != G_TYPE_INT || vips_image_get_int(image, name, &number) != 0)
        return otherwise;
    return number;
}

/* What the decoder makes of the header, held against the limits again: files can say different things in two places. */
static bool vips_path_guard(vips_run *run)
{
    image_job *job = run->job;
    int pages = vips_path_get_int(run->image, VIPS_META_N_PAGES, 1);
    image_header header = {.width = (uint32_t)run->image->Xsize,
                           .height = (uint32_t)run->image->Ysize,
                           .pages = pages > 1 ? (uint32_t)pages : 1};
    bool across = run->turn.transpose;

    if (!image_guard_header(job->request, &header, run->error))
        return false;
    if (header.pages < job->header.pages)
        header.pages = job->header.pages;
    job->header = header;
    return image_guard_output(job->request, across ? header.height : header.width,
                              across ? header.width : header.height, run->error);
}

static image_op vips_path_first_resize(const vips_run *run)
{
    image_op op = run->job->request->ops[0];

    if (run->turn.transpose) {
        uint32_t width = op.width;
        op.width = op.height;
        op.height = width;
    }
    return op;
}

/* vips_thumbnail's rule: shrink while loading, but leave a factor of two to the resampling. */
static int vips_path_choose_shrink(const vips_run *run, const image_geometry *geometry)
{
    int shrink = 1;

    if (run->job->format != IMAGE_FORMAT_JPEG)
        return 1;
    while (shrink < 8 && 4.0 * shrink * geometry->scale <= 1)
        shrink *= 2;
    return shrink;
}

static bool vips_path_resize_first(vips_run *run)
{
    image_op op = vips_path_first_resize(run);
    image_geometry geometry;

    image_geometry_fit((uint32_t)run->image->Xsize, (uint32_t)run->image->Ysize, &op, &geometry);
    int shrink = vips_path_choose_shrink(run, &geometry);
    if (shrink > 1) {
        VipsImage *smaller = vips_path_open(run->job, shrink);
        if (!vips_path_take(run, smaller == NULL, &smaller, "cannot load"))
            return false;
        image_geometry_refit((uint32_t)run->image->Xsize, (uint32_t)run->image->Ysize, shrink, &op, &geometry);
    }
    image_geometry_before_turn(&geometry, run->turn);
    return vips_path_scale(run, &geometry) && vips_path_colors(run) && vips_path_box(run, &geometry, &op.background);
}

static bool vips_path_load(vips_run *run)
{
    char what[32];

    run->image = vips_path_open(run->job, 1);
    g_snprintf(what, sizeof(what), "corrupt %s", image_format_name(run->job->format));
    if (run->image == NULL)
        return image_vips_fail(run->error, IMAGE_CORRUPT, what);
    run->turn = image_turn_from_orientation(vips_path_get_int(run->image, VIPS_META_ORIENTATION, 1));
    return vips_path_guard(run);
}

/* ---- the run ------------------------------------------------------------------------------------------------ */

static void vips_path_progress(VipsImage *image, VipsProgress *progress, const image_request *request)
{
    (void)progress;
    if (request->cancelled != NULL && request->cancelled(request->user_data))
        vips_image_set_kill(image, TRUE);
}

static bool vips_path_forget_orientation(vips_run *run)
{
    VipsImage *next = NULL;

    /* A copy: metadata of an image that others may hold must not change. */
    if (!vips_path_take(run, vips_copy(run->image, &next, NULL), &next, "copy"))
        return false;
    vips_autorot_remove_angle(run->image);
    return true;
}

static bool vips_path_all(vips_run *run)
{
    const image_request *request = run->job->request;
    size_t first = 0;

    if (!vips_path_load(run))
        return false;
    if (request->op_count > 0 && request->ops[0].kind == IMAGE_OP_RESIZE) {
        first = 1;
        if (!vips_path_resize_first(run))
            return false;
    }
    if (!vips_path_turn(run, run->turn) || !vips_path_forget_orientation(run) || (first == 0 && !vips_path_colors(run)))
        return false;
    for (size_t i = first; i < request->op_count; i++)
        if (!vips_path_apply(run, &request->ops[i]))
            return false;
    vips_image_set_progress(run->image, TRUE);
    g_signal_connect(run->image, "eval", G_CALLBACK(vips_path_progress), (void *)request);
    return image_vips_encode(run->job, run->image, run->error);
}

bool image_vips_run(image_job *job, image_error *error)
{
    vips_run run = {.job = job, .error = error};

    bool done = vips_path_all(&run);
    g_clear_object(&run.image);
    if (!done && error->code != IMAGE_CANCELLED)
        image_check_cancelled(job->request, error); /* a kill shows up as a failing encoder */
    return done;
}
