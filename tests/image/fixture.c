/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "ssim.h"

#include <dirent.h>
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FIXTURE_PHOTOGRAPHS
#define FIXTURE_PHOTOGRAPHS "/usr/share/backgrounds/*_by_*.jpg"
#endif

static char fixture_directory[64];

int fixture_group_setup(void **state)
{
    image_error error;

    (void)state;
    if (!image_start(&error))
        return -1;
    strcpy(fixture_directory, "/tmp/image-test-XXXXXX");
    return mkdtemp(fixture_directory) != NULL ? 0 : -1;
}

int fixture_teardown(void **state)
{
    DIR *directory = opendir(fixture_directory);
    struct dirent *entry;

    (void)state;
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove(fixture_path(entry->d_name));
    if (directory != NULL)
        closedir(directory);
    return 0;
}

int fixture_group_teardown(void **state)
{
    fixture_teardown(state);
    rmdir(fixture_directory);
    image_thread_end();
    vips_shutdown();
    return 0;
}

const char *fixture_path(const char *name)
{
    static char paths[64][512];
    static unsigned next;
    char *path = paths[next++ % 64];

    snprintf(path, sizeof(paths[0]), "%s/%s", fixture_directory, name);
    return path;
}

void fixture_write(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(fixture_path(name), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

size_t fixture_count_files(void)
{
    DIR *directory = opendir(fixture_directory);
    size_t count = 0;

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static uint8_t fixture_sample(int x, int y, int band, int width, int height)
{
    double across = (double)x / width;
    double down = (double)y / height;
    double shape = sin(across * 9 + band) * cos(down * 7 - band) + 0.5 * sin(40 * across * down + 20 * down);
    double corner = across < 0.25 && down < 0.25 ? 40 : 0; /* tells the corners apart */
    double detail = (x * 7 + y * 13 + band * 5) % 17 - 8;

    return (uint8_t)fmin(255, fmax(0, 120 + 60 * shape + corner + detail));
}

VipsImage *fixture_image(int width, int height, int bands)
{
    size_t size = (size_t)width * (size_t)height * (size_t)bands;
    uint8_t *samples = malloc(size);
    uint8_t *at = samples;
    VipsImage *image = NULL;

    assert_non_null(samples);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int band = 0; band < bands; band++)
                *at++ = fixture_sample(x, y, band, width, height);
    VipsImage *raw = vips_image_new_from_memory_copy(samples, size, width, height, bands, VIPS_FORMAT_UCHAR);
    assert_non_null(raw);
    VipsInterpretation space = bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
    assert_int_equal(vips_copy(raw, &image, "interpretation", space, NULL), 0);
    g_object_unref(raw);
    free(samples);
    return image;
}

picture fixture_save(VipsImage *image, const char *suffix)
{
    picture saved = {0};

    if (vips_image_write_to_buffer(image, suffix, &saved.data, &saved.size, NULL) != 0)
        fail_msg("%s: %s", suffix, vips_error_buffer());
    g_object_unref(image);
    return saved;
}

picture fixture_jpeg(int width, int height) { return fixture_save(fixture_image(width, height, 3), ".jpg[Q=92]"); }

picture fixture_oriented(int width, int height, int orientation)
{
    VipsImage *image = fixture_image(width, height, 3);

    vips_image_set_int(image, VIPS_META_ORIENTATION, orientation);
    return fixture_save(image, ".jpg[Q=92]");
}

void fixture_free(picture *made)
{
    g_free(made->data);
    *made = (picture){0};
}

image_request fixture_request(const picture *input)
{
    image_request request;

    image_request_init(&request);
    request.bytes = input->data;
    request.byte_count = input->size;
    return request;
}

void fixture_add_resize(image_request *request, uint32_t width, uint32_t height, image_fit fit)
{
    request->ops[request->op_count++] = (image_op){
        .kind = IMAGE_OP_RESIZE, .width = width, .height = height, .fit = fit, .background = request->background};
}

image_result fixture_run(const image_request *request)
{
    image_result result;
    image_error error;

    if (!image_run(NULL, request, &result, &error))
        fail_msg("code %d: %s", error.code, error.message);
    return result;
}

void fixture_run_fails(const image_request *request, image_code code, const char *part)
{
    image_result result;
    image_error error;

    if (image_run(NULL, request, &result, &error))
        fail_msg("succeeded; expected code %d, \"%s\"", code, part);
    if (error.code != code || strstr(error.message, part) == NULL)
        fail_msg("code %d: %s; expected code %d, \"%s\"", error.code, error.message, code, part);
}

VipsImage *fixture_decode(const void *data, size_t size)
{
    VipsImage *lazy = vips_image_new_from_buffer(data, size, "", NULL);

    assert_non_null(lazy);
    VipsImage *image = vips_image_copy_memory(lazy);
    assert_non_null(image);
    g_object_unref(lazy);
    return image;
}

/* Y of Rec. 601, as JPEG has it. */
static uint8_t *fixture_luma(const image_result *result, size_t *size)
{
    VipsImage *image = fixture_decode(result->data, result->bytes_out);

    assert_int_equal(image->Xsize, result->width);
    assert_int_equal(image->Ysize, result->height);
    *size = (size_t)image->Xsize * (size_t)image->Ysize;
    uint8_t *luma = malloc(*size);
    assert_non_null(luma);
    for (size_t i = 0; i < *size; i++) {
        const uint8_t *pixel = (const uint8_t *)VIPS_IMAGE_ADDR(image, 0, 0) + i * (size_t)image->Bands;
        luma[i] = image->Bands < 3 ? pixel[0] : (uint8_t)lround(0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]);
    }
    g_object_unref(image);
    return luma;
}

double fixture_ssim(const image_result *a, const image_result *b)
{
    size_t size_a = 0;
    size_t size_b = 0;

    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    uint8_t *luma_a = fixture_luma(a, &size_a);
    uint8_t *luma_b = fixture_luma(b, &size_b);
    assert_int_equal(size_a, size_b);
    double alike = ssim_planes(luma_a, luma_b, a->width, a->height);
    free(luma_a);
    free(luma_b);
    return alike;
}

size_t fixture_photographs(picture *photographs, size_t max)
{
    glob_t found;
    size_t count = 0;

    if (glob(FIXTURE_PHOTOGRAPHS, 0, NULL, &found) != 0)
        return 0;
    for (size_t i = 0; i < found.gl_pathc && count < max; i++) {
        VipsImage *image = NULL;
        if (vips_thumbnail(found.gl_pathv[i], &image, 2000, NULL) == 0)
            photographs[count++] = fixture_save(image, ".jpg[Q=90,strip]");
        vips_error_clear();
    }
    globfree(&found);
    return count;
}
