/* SPDX-License-Identifier: MIT */
#include "jpeg.h"

#include <stdlib.h>
#include <string.h>

#include <jerror.h>

#define ENCODE_FIRST_BYTES ((size_t)64 << 10)

/* ---- a destination in memory: libjpeg's own loses its block when a call is left by a jump -------------------- */

static image_bytes *encode_out(j_compress_ptr jpeg) { return (image_bytes *)jpeg->client_data; }

static void encode_room(j_compress_ptr jpeg, size_t used, size_t size)
{
    image_bytes *out = encode_out(jpeg);
    uint8_t *data = realloc(out->data, size);

    if (data == NULL)
        ERREXIT1(jpeg, JERR_OUT_OF_MEMORY, 0);
    out->data = data;
    out->size = size;
    jpeg->dest->next_output_byte = data + used;
    jpeg->dest->free_in_buffer = size - used;
}

static void encode_begin(j_compress_ptr jpeg) { encode_room(jpeg, 0, ENCODE_FIRST_BYTES); }

static boolean encode_grow(j_compress_ptr jpeg)
{
    size_t size = encode_out(jpeg)->size;

    encode_room(jpeg, size, size * 2);
    return TRUE;
}

static void encode_end(j_compress_ptr jpeg) { encode_out(jpeg)->size -= jpeg->dest->free_in_buffer; }

void image_jpeg_write_to(struct jpeg_compress_struct *jpeg, struct jpeg_destination_mgr *manager, image_bytes *out)
{
    manager->init_destination = encode_begin;
    manager->empty_output_buffer = encode_grow;
    manager->term_destination = encode_end;
    jpeg->dest = manager;
    jpeg->client_data = out;
}

/* ---- planes to JPEG ----------------------------------------------------------------------------------------- */

/* Blocks at the right edge reach beyond the picture: repeat its last column there, which costs the fewest bits. */
static void encode_pad(const image_plane *plane)
{
    uint32_t padded = (plane->width + DCTSIZE - 1) / DCTSIZE * DCTSIZE;

    for (uint32_t y = 0; y < plane->height; y++) {
        uint8_t *row = plane->data + y * plane->stride;
        memset(row + plane->width, row[plane->width - 1], padded - plane->width);
    }
}

static void encode_set_up(struct jpeg_compress_struct *jpeg, const image_planes *planes, const image_encoding *encoding)
{
    jpeg->image_width = planes->width;
    jpeg->image_height = planes->height;
    jpeg->input_components = planes->count;
    jpeg->in_color_space = planes->count == 1 ? JCS_GRAYSCALE : JCS_YCbCr;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, encoding->quality, TRUE);
    jpeg->raw_data_in = TRUE;
    bool halved = planes->count == 3 && planes->plane[1].width < planes->plane[0].width;
    bool halved_down = planes->count == 3 && planes->plane[1].height < planes->plane[0].height;
    jpeg->comp_info[0].h_samp_factor = halved ? 2 : 1;
    jpeg->comp_info[0].v_samp_factor = halved_down ? 2 : 1;
    if (encoding->progressive) {
        jpeg_simple_progression(jpeg);
        jpeg->optimize_coding = TRUE;
    }
}

static void encode_rows(struct jpeg_compress_struct *jpeg, const image_planes *planes)
{
    JSAMPROW rows[3][2 * DCTSIZE];
    JSAMPARRAY arrays[3] = {rows[0], rows[1], rows[2]};
    uint32_t step = (uint32_t)jpeg->max_v_samp_factor * DCTSIZE;

    for (uint32_t row = 0; jpeg->next_scanline < jpeg->image_height; row++) {
        for (int i = 0; i < planes->count; i++) {
            const image_plane *plane = &planes->plane[i];
            uint32_t count = (uint32_t)jpeg->comp_info[i].v_samp_factor * DCTSIZE;
            for (uint32_t y = 0; y < count; y++) {
                uint32_t at = row * count + y;
                rows[i][y] = plane->data + (at < plane->height ? at : plane->height - 1) * plane->stride;
            }
        }
        jpeg_write_raw_data(jpeg, arrays, step);
    }
}

static bool encode_run(struct jpeg_compress_struct *jpeg, image_jpeg_errors *errors, const image_planes *planes,
                       const image_encoding *encoding, image_bytes *out)
{
    struct jpeg_destination_mgr manager;

    if (setjmp(errors->jump) != 0)
        return false;
    jpeg_create_compress(jpeg);
    image_jpeg_write_to(jpeg, &manager, out);
    encode_set_up(jpeg, planes, encoding);
    jpeg_start_compress(jpeg, TRUE);
    encode_rows(jpeg, planes);
    jpeg_finish_compress(jpeg);
    return true;
}

bool image_jpeg_encode(const image_planes *planes, const image_encoding *encoding, image_bytes *out, image_error *error)
{
    struct jpeg_compress_struct jpeg = {0};
    image_jpeg_errors errors;
    image_bytes encoded = {0};

    for (int i = 0; i < planes->count; i++)
        encode_pad(&planes->plane[i]);
    jpeg.err = image_jpeg_errors_init(&errors, error);
    bool done = encode_run(&jpeg, &errors, planes, encoding, &encoded);
    jpeg_destroy_compress(&jpeg);
    if (!done) {
        free(encoded.data);
        return false;
    }
    *out = encoded;
    return true;
}
