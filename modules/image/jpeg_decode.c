/* SPDX-License-Identifier: MIT */
/*
 * Decoding to planes. libjpeg's raw data output leaves out upsampling and colour conversion, and its scaled inverse
 * DCT gives a half, a quarter or an eighth of the size for less work than the whole. Where it can, libjpeg scales the
 * halved colour planes less than Y, so each plane comes with its own scale.
 */
#include "jpeg.h"
#include "metadata.h"

#include <stdlib.h>
#include <string.h>

#include <jerror.h>

#define DECODE_SCANS_MAX 100 /* of a progressive file: each may cost a pass over all coefficients */
#define DECODE_ROWS_MAX (MAX_SAMP_FACTOR * DCTSIZE)

#if JPEG_LIB_VERSION >= 70
#define DECODE_BLOCK(component) ((component)->DCT_h_scaled_size)
#define DECODE_BLOCK_MIN(jpeg) ((jpeg)->min_DCT_h_scaled_size)
#else
#define DECODE_BLOCK(component) ((component)->DCT_scaled_size)
#define DECODE_BLOCK_MIN(jpeg) ((jpeg)->min_DCT_scaled_size)
#endif

static void decode_progress(j_common_ptr jpeg)
{
    image_jpeg_reader *reader = (image_jpeg_reader *)jpeg->client_data;
    image_error *error = reader->errors.error;

    if (reader->jpeg.input_scan_number > DECODE_SCANS_MAX)
        image_fail(error, IMAGE_LIMIT, 0, "the JPEG has more than %d scans, which is the limit", DECODE_SCANS_MAX);
    else if (image_check_cancelled(reader->request, error))
        return;
    jpeg->err->error_exit(jpeg);
}

static void decode_take_orientation(image_jpeg_reader *reader, image_jpeg_info *info)
{
    info->orientation = 1;
    for (jpeg_saved_marker_ptr marker = reader->jpeg.marker_list; marker != NULL; marker = marker->next) {
        if (marker->marker != JPEG_APP0 + 1 || marker->data_length < 6 || memcmp(marker->data, "Exif\0", 6) != 0)
            continue;
        info->orientation = image_exif_orientation(marker->data, marker->data_length);
        return;
    }
}

static void decode_take_profile(image_jpeg_reader *reader, image_jpeg_info *info)
{
    JOCTET *profile = NULL;
    unsigned profile_size = 0;

    for (jpeg_saved_marker_ptr marker = reader->jpeg.marker_list; marker != NULL; marker = marker->next)
        if (marker->marker == JPEG_APP0 + 2 && marker->data_length >= 12 &&
            memcmp(marker->data, "ICC_PROFILE", 12) == 0)
            info->has_profile = true;
    reader->errors.tolerant = true; /* a profile in pieces that do not fit is not damage to the picture */
    if (info->has_profile && jpeg_read_icc_profile(&reader->jpeg, &profile, &profile_size)) {
        info->profile = profile;
        info->profile_size = profile_size;
    }
    reader->errors.tolerant = false;
}

static void decode_take_colors(const struct jpeg_decompress_struct *jpeg, image_jpeg_info *info)
{
    const jpeg_component_info *component = jpeg->comp_info;

    if (component[0].h_samp_factor != jpeg->max_h_samp_factor || component[0].v_samp_factor != jpeg->max_v_samp_factor)
        return;
    if (jpeg->jpeg_color_space == JCS_GRAYSCALE && jpeg->num_components == 1)
        info->components = 1;
    if (jpeg->jpeg_color_space != JCS_YCbCr || jpeg->num_components != 3)
        return;
    info->components = 3;
    info->halved = component[1].h_samp_factor * 2 == component[0].h_samp_factor &&
                   component[1].v_samp_factor * 2 == component[0].v_samp_factor &&
                   component[2].h_samp_factor * 2 == component[0].h_samp_factor &&
                   component[2].v_samp_factor * 2 == component[0].v_samp_factor;
}

bool image_jpeg_open(image_jpeg_reader *reader, const image_request *request, const uint8_t *bytes, size_t byte_count,
                     image_jpeg_info *info, image_error *error)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;

    reader->request = request;
    jpeg->err = image_jpeg_errors_init(&reader->errors, error);
    if (setjmp(reader->errors.jump) != 0)
        return false;
    jpeg_create_decompress(jpeg);
    reader->created = true;
    jpeg->client_data = reader;
    reader->progress.progress_monitor = decode_progress;
    jpeg->progress = &reader->progress;
    jpeg_mem_src(jpeg, bytes, byte_count);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_save_markers(jpeg, JPEG_APP0 + 2, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    info->width = jpeg->image_width;
    info->height = jpeg->image_height;
    decode_take_colors(jpeg, info);
    decode_take_orientation(reader, info);
    decode_take_profile(reader, info);
    return true;
}

/* A plane with room for whole blocks and whole rows of them, as raw output writes them. */
static bool decode_make_plane(image_jpeg_reader *reader, int index, image_plane *plane)
{
    const struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    const jpeg_component_info *component = &jpeg->comp_info[index];
    uint32_t block = (uint32_t)DECODE_BLOCK(component);
    uint32_t rows = jpeg->total_iMCU_rows * (uint32_t)component->v_samp_factor * block;

    if (!image_plane_create(reader->pool, plane, component->width_in_blocks * block, rows, reader->errors.error))
        return false;
    plane->width = component->downsampled_width;
    plane->height = component->downsampled_height;
    plane->scale_x = (double)component->h_samp_factor * block / (jpeg->max_h_samp_factor * DECODE_BLOCK_MIN(jpeg));
    plane->scale_y = (double)component->v_samp_factor * block / (jpeg->max_v_samp_factor * DECODE_BLOCK_MIN(jpeg));
    return true;
}

static void decode_rows(struct jpeg_decompress_struct *jpeg, image_planes *planes, uint8_t *spare)
{
    JSAMPROW rows[3][DECODE_ROWS_MAX];
    JSAMPARRAY arrays[3] = {rows[0], rows[1], rows[2]};
    uint32_t step = (uint32_t)(jpeg->max_v_samp_factor * DECODE_BLOCK_MIN(jpeg));

    for (uint32_t row = 0; jpeg->output_scanline < jpeg->output_height; row++) {
        for (int i = 0; i < jpeg->num_components; i++) {
            const jpeg_component_info *component = &jpeg->comp_info[i];
            uint32_t count = (uint32_t)(component->v_samp_factor * DECODE_BLOCK(component));
            const image_plane *plane = &planes->plane[i];
            for (uint32_t y = 0; y < count; y++)
                rows[i][y] = i < planes->count ? plane->data + (size_t)(row * count + y) * plane->stride : spare;
        }
        jpeg_read_raw_data(jpeg, arrays, step);
    }
}

static bool decode_run(image_jpeg_reader *reader, int eighths, bool gray, image_planes *planes)
{
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;

    if (setjmp(reader->errors.jump) != 0)
        return false;
    jpeg->raw_data_out = TRUE;
    jpeg->scale_num = (unsigned)eighths;
    jpeg->scale_denom = 8;
    jpeg->out_color_space = jpeg->jpeg_color_space;
    if (gray)
        for (int i = 1; i < jpeg->num_components; i++)
            jpeg->comp_info[i].component_needed = FALSE;
    jpeg_start_decompress(jpeg);
    planes->count = gray ? 1 : jpeg->num_components;
    planes->width = jpeg->output_width;
    planes->height = jpeg->output_height;
    for (int i = 0; i < planes->count; i++)
        if (!decode_make_plane(reader, i, &planes->plane[i]))
            return false;
    /* Colours left out still want a place to be written to; nothing reads or writes it. */
    decode_rows(jpeg, planes, planes->plane[0].data);
    jpeg_finish_decompress(jpeg);
    return true;
}

bool image_jpeg_decode(image_jpeg_reader *reader, int eighths, bool gray, image_planes *planes)
{
    if (decode_run(reader, eighths, gray, planes))
        return true;
    image_planes_destroy(planes);
    return false;
}

void image_jpeg_close(image_jpeg_reader *reader)
{
    if (reader->created)
        jpeg_destroy_decompress(&reader->jpeg);
    reader->created = false;
}
