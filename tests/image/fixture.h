/* SPDX-License-Identifier: MIT */
/* Pictures made for the tests, a directory of their own, and looking at results. Everything fails the test at once. */
#ifndef IMAGE_FIXTURE_H
#define IMAGE_FIXTURE_H

#include "image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <vips/vips.h>

typedef struct picture {
    void *data;
    size_t size;
} picture;

/* A directory for one test program, removed with what is in it at the end. */
int fixture_group_setup(void **state);
int fixture_group_teardown(void **state);
/* Empties the directory. */
int fixture_teardown(void **state);
/* "<directory>/<name>"; lives for the next 63 calls. */
const char *fixture_path(const char *name);
void fixture_write(const char *name, const void *data, size_t size);
size_t fixture_count_files(void);

/* A picture of soft shapes and fine detail, no side alike; 1, 2, 3 or 4 bands. */
VipsImage *fixture_image(int width, int height, int bands);
/* Encoded by the saver of `suffix`, as ".jpg[Q=90]"; takes the image. */
picture fixture_save(VipsImage *image, const char *suffix);
picture fixture_jpeg(int width, int height);
/* A JPEG whose EXIF says `orientation`. */
picture fixture_oriented(int width, int height, int orientation);
void fixture_free(picture *made);

/* A request for bytes. */
image_request fixture_request(const picture *input);
void fixture_add_resize(image_request *request, uint32_t width, uint32_t height, image_fit fit);
/* Runs and expects success; runs and expects `code`, with `part` in the message. */
image_result fixture_run(const image_request *request);
void fixture_run_fails(const image_request *request, image_code code, const char *part);

VipsImage *fixture_decode(const void *data, size_t size);
/* SSIM of the luma of two results, which must have the same size. */
double fixture_ssim(const image_result *a, const image_result *b);
/* Photographs to look at: those installed, scaled to 2000 pixels across, or none. */
size_t fixture_photographs(picture *photographs, size_t max);

#endif
