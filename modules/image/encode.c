/* SPDX-License-Identifier: MIT */
#include "encode.h"

#include <string.h>

#define ENCODE_WEBP_SIDE_MAX 16383
#define ENCODE_WEBP_EFFORT_MAX 6

/* libvips keeps one message buffer for all threads, a line an error, the innermost first. */
bool image_vips_fail(image_error *error, image_code code, const char *what)
{
    char *said = vips_error_buffer_copy();

    if (error->code == IMAGE_OK) {
        size_t length = strcspn(said, "\n");
        if (strstr(said, "out of memory") != NULL)
            image_fail_memory(error);
        else
            image_fail(error, code, 0, "%s: %.*s", what, length > 180 ? 180 : (int)length,
                       length > 0 ? said : "unknown reason");
    }
    g_free(said);
    return false;
}

static int encode_jpeg(const image_job *job, VipsImage *image, void **data, size_t *size)
{
    const image_encoding *encoding = &job->encoding;

    return vips_jpegsave_buffer(image, data, size, "Q", encoding->quality, "interlace", encoding->progressive != 0,
                                "optimize_coding", encoding->progressive != 0, "strip", !job->request->keep_metadata,
                                NULL);
}

static int encode_png(const image_job *job, VipsImage *image, void **data, size_t *size)
{
    const image_encoding *encoding = &job->encoding;
    int compression = encoding->effort >= 0 ? encoding->effort : (job->request->smallest ? 9 : 6);

    return vips_pngsave_buffer(image, data, size, "compression", compression, "interlace", encoding->progressive != 0,
                               "strip", !job->request->keep_metadata, NULL);
}

static int encode_webp(const image_job *job, VipsImage *image, void **data, size_t *size)
{
    const image_encoding *encoding = &job->encoding;
    int effort = encoding->effort < 0 ? 4 : VIPS_MIN(encoding->effort, ENCODE_WEBP_EFFORT_MAX);

    return vips_webpsave_buffer(image, data, size, "Q", encoding->quality, "lossless", encoding->lossless != 0,
                                "effort", effort, "strip", !job->request->keep_metadata, NULL);
}

static int encode_avif(const image_job *job, VipsImage *image, void **data, size_t *size)
{
    const image_encoding *encoding = &job->encoding;

    return vips_heifsave_buffer(image, data, size, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "Q",
                                encoding->quality, "lossless", encoding->lossless != 0, "effort",
                                encoding->effort < 0 ? 4 : encoding->effort, "strip", !job->request->keep_metadata,
                                NULL);
}

static int encode_gif(const image_job *job, VipsImage *image, void **data, size_t *size)
{
    return vips_gifsave_buffer(image, data, size, "strip", !job->request->keep_metadata, NULL);
}

static int encode_tiff(const image_job *job, VipsImage *image, void **data, size_t *size)
{
    return vips_tiffsave_buffer(image, data, size, "compression", VIPS_FOREIGN_TIFF_COMPRESSION_DEFLATE, "predictor",
                                VIPS_FOREIGN_TIFF_PREDICTOR_HORIZONTAL, "strip", !job->request->keep_metadata, NULL);
}

static const struct encode_saver {
    const char *operation;
    int (*save)(const image_job *job, VipsImage *image, void **data, size_t *size);
    bool alpha;
} encode_savers[] = {
    [IMAGE_FORMAT_JPEG] = {"jpegsave_buffer", encode_jpeg, false},
    [IMAGE_FORMAT_PNG] = {"pngsave_buffer", encode_png, true},
    [IMAGE_FORMAT_WEBP] = {"webpsave_buffer", encode_webp, true},
    [IMAGE_FORMAT_AVIF] = {"heifsave_buffer", encode_avif, true},
    [IMAGE_FORMAT_GIF] = {"gifsave_buffer", encode_gif, true},
    [IMAGE_FORMAT_TIFF] = {"tiffsave_buffer", encode_tiff, true},
};

static bool encode_flatten(const image_job *job, VipsImage *image, VipsImage **flat)
{
    const image_color *color = &job->request->background;
    double gray = 0.2126 * color->red + 0.7152 * color->green + 0.0722 * color->blue;
    double samples[3] = {color->red, color->green, color->blue};
    VipsArrayDouble *background = image->Bands == 2 ? vips_array_double_newv(1, gray)
                                                    : vips_array_double_new(samples, 3);

    int failed = vips_flatten(image, flat, "background", background, NULL);
    vips_area_unref(VIPS_AREA(background));
    return failed == 0;
}

static bool encode_check(const image_job *job, const VipsImage *image, image_error *error)
{
    image_format format = job->encoding.format;

    if (vips_type_find("VipsOperation", encode_savers[format].operation) == 0)
        return image_fail(error, IMAGE_UNSUPPORTED, 0, "this libvips cannot write %s", image_format_name(format));
    int side = VIPS_MAX(image->Xsize, image->Ysize);
    int side_max = format == IMAGE_FORMAT_WEBP ? ENCODE_WEBP_SIDE_MAX : IMAGE_SIDE_MAX;
    if (side > side_max)
        return image_fail(error, IMAGE_UNSUPPORTED, 0, "the result has a side of %d pixels; %s can have %d", side,
                          image_format_name(format), side_max);
    return true;
}

bool image_vips_encode(image_job *job, VipsImage *image, image_error *error)
{
    const struct encode_saver *saver = &encode_savers[job->encoding.format];
    VipsImage *flat = NULL;
    void *data = NULL;
    size_t size = 0;

    if (!encode_check(job, image, error))
        return false;
    bool flatten = !saver->alpha && vips_image_hasalpha(image);
    if (flatten && !encode_flatten(job, image, &flat))
        return image_vips_fail(error, IMAGE_CORRUPT, "cannot flatten");
    /* Pixels are decoded in here, so that damage shows up in here. */
    int failed = saver->save(job, flatten ? flat : image, &data, &size);
    g_clear_object(&flat);
    if (failed != 0) {
        char what[48];
        g_snprintf(what, sizeof(what), "corrupt %s or failing encoder", image_format_name(job->format));
        return image_vips_fail(error, IMAGE_CORRUPT, what);
    }
    job->result.data = data; /* g_malloc is malloc */
    job->result.bytes_out = size;
    job->result.width = (uint32_t)image->Xsize;
    job->result.height = (uint32_t)image->Ysize;
    return true;
}
