/* SPDX-License-Identifier: MIT */
/* Every operation and format, and every picture that must be refused. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>

static image_result run_op(const picture *input, image_op op)
{
    image_request request = fixture_request(input);

    request.ops[request.op_count++] = op;
    return fixture_run(&request);
}

/* Mean of the squared differences of neighbours across: detail. */
static double measure_detail(const image_result *result)
{
    VipsImage *image = fixture_decode(result->data, result->bytes_out);
    double sum = 0;

    for (int y = 0; y < image->Ysize; y++) {
        const uint8_t *row = (const uint8_t *)VIPS_IMAGE_ADDR(image, 0, y);
        for (int x = 1; x < image->Xsize; x++) {
            double step = row[x * image->Bands] - row[(x - 1) * image->Bands];
            sum += step * step;
        }
    }
    sum /= (double)image->Xsize * image->Ysize;
    g_object_unref(image);
    return sum;
}

static void blur_takes_detail_and_sharpen_adds_it(void **state)
{
    picture input = fixture_save(fixture_image(200, 150, 3), ".png");
    image_request request = fixture_request(&input);

    (void)state;
    image_result plain = fixture_run(&request);
    image_result blurred = run_op(&input, (image_op){.kind = IMAGE_OP_BLUR, .sigma = 2});
    image_result sharpened = run_op(&input, (image_op){.kind = IMAGE_OP_SHARPEN, .sigma = 1});
    assert_true(measure_detail(&blurred) < 0.5 * measure_detail(&plain));
    assert_true(measure_detail(&sharpened) > 1.1 * measure_detail(&plain));
    assert_int_equal(blurred.width, 200);
    assert_int_equal(sharpened.height, 150);
    image_result_done(&plain);
    image_result_done(&blurred);
    image_result_done(&sharpened);
    fixture_free(&input);
}

static void rotate_by_any_angle(void **state)
{
    static const struct {
        double angle;
        uint32_t width;
        uint32_t height;
    } cases[] = {{90, 150, 200}, {180, 200, 150}, {-90, 150, 200}, {360, 200, 150}};
    picture input = fixture_save(fixture_image(200, 150, 3), ".png");

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        image_result result = run_op(&input, (image_op){.kind = IMAGE_OP_ROTATE, .angle = cases[i].angle});
        assert_int_equal(result.width, cases[i].width);
        assert_int_equal(result.height, cases[i].height);
        image_result_done(&result);
    }
    image_result tilted = run_op(
        &input, (image_op){.kind = IMAGE_OP_ROTATE, .angle = 30, .background = {.red = 255, .set = true}});
    assert_in_range(tilted.width, 246, 250);
    assert_in_range(tilted.height, 228, 232);
    VipsImage *image = fixture_decode(tilted.data, tilted.bytes_out);
    const uint8_t *corner = (const uint8_t *)VIPS_IMAGE_ADDR(image, 0, 0);
    assert_int_equal(corner[0], 255);
    assert_int_equal(corner[1], 0);
    g_object_unref(image);
    image_result_done(&tilted);
    fixture_free(&input);
}

static void grayscale_leaves_one_band(void **state)
{
    picture input = fixture_save(fixture_image(200, 150, 3), ".png");

    (void)state;
    image_result result = run_op(&input, (image_op){.kind = IMAGE_OP_GRAYSCALE});
    VipsImage *image = fixture_decode(result.data, result.bytes_out);
    assert_int_equal(image->Bands, 1);
    g_object_unref(image);
    image_result_done(&result);
    fixture_free(&input);
}

static void converts_between_all_formats(void **state)
{
    static const char *const suffixes[] = {".jpg", ".png", ".webp", ".gif", ".tif", ".avif"};
    static const image_format formats[] = {IMAGE_FORMAT_JPEG, IMAGE_FORMAT_PNG,  IMAGE_FORMAT_WEBP,
                                           IMAGE_FORMAT_GIF,  IMAGE_FORMAT_TIFF, IMAGE_FORMAT_AVIF};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        picture input = fixture_save(fixture_image(64, 48, 3), suffixes[i]);
        for (size_t j = 0; j < 6; j++) {
            image_request request = fixture_request(&input);
            request.wanted.format = formats[j];
            image_result result = fixture_run(&request);
            assert_int_equal(result.format, formats[j]);
            assert_int_equal(result.width, 64);
            picture output = {.data = result.data, .size = result.bytes_out};
            image_request again = fixture_request(&output);
            again.force_vips = true;
            image_result same = fixture_run(&again); /* told by its magic bytes */
            assert_int_equal(same.format, formats[j]);
            image_result_done(&same);
            image_result_done(&result);
        }
        fixture_free(&input);
    }
}

static void transparency_lands_on_the_background(void **state)
{
    VipsImage *clear = NULL;

    (void)state;
    assert_int_equal(vips_black(&clear, 40, 30, "bands", 4, NULL), 0);
    VipsImage *rgba = NULL;
    assert_int_equal(vips_copy(clear, &rgba, "interpretation", VIPS_INTERPRETATION_sRGB, NULL), 0);
    g_object_unref(clear);
    picture input = fixture_save(rgba, ".png");
    image_request request = fixture_request(&input);
    request.wanted.format = IMAGE_FORMAT_JPEG;
    request.background = (image_color){.red = 250, .green = 128, .blue = 10};
    fixture_add_resize(&request, 20, 20, IMAGE_FIT_COVER);
    image_result result = fixture_run(&request);
    VipsImage *image = fixture_decode(result.data, result.bytes_out);
    const uint8_t *pixel = (const uint8_t *)VIPS_IMAGE_ADDR(image, 10, 10);
    assert_in_range(pixel[0], 246, 254);
    assert_in_range(pixel[1], 124, 132);
    assert_in_range(pixel[2], 6, 14);
    g_object_unref(image);
    image_result_done(&result);
    fixture_free(&input);
}

static void a_pipeline_runs_in_order(void **state)
{
    picture input = fixture_jpeg(400, 300);
    image_request request = fixture_request(&input);

    (void)state;
    fixture_add_resize(&request, 200, 100, IMAGE_FIT_COVER);
    request.ops[request.op_count++] = (image_op){.kind = IMAGE_OP_ROTATE, .angle = 90};
    request.ops[request.op_count++] = (image_op){.kind = IMAGE_OP_BLUR, .sigma = 1};
    fixture_add_resize(&request, 50, 0, IMAGE_FIT_COVER);
    request.ops[request.op_count++] = (image_op){.kind = IMAGE_OP_GRAYSCALE};
    request.wanted.format = IMAGE_FORMAT_WEBP;
    image_result result = fixture_run(&request);
    assert_int_equal(result.width, 50);
    assert_int_equal(result.height, 100);
    assert_int_equal(result.format, IMAGE_FORMAT_WEBP);
    image_result_done(&result);
    fixture_free(&input);
}

static void sizes_follow_the_fit(void **state)
{
    static const struct {
        uint32_t width;
        uint32_t height;
        image_fit fit;
        uint32_t result_width;
        uint32_t result_height;
    } cases[] = {
        {100, 100, IMAGE_FIT_COVER, 100, 100}, {100, 100, IMAGE_FIT_CONTAIN, 100, 100},
        {100, 100, IMAGE_FIT_INSIDE, 100, 75}, {800, 800, IMAGE_FIT_INSIDE, 400, 300},
        {800, 800, IMAGE_FIT_COVER, 800, 800}, {200, 0, IMAGE_FIT_COVER, 200, 150},
        {0, 30, IMAGE_FIT_CONTAIN, 40, 30},    {1, 1, IMAGE_FIT_INSIDE, 1, 1},
        {1, 300, IMAGE_FIT_COVER, 1, 300},     {7, 5, IMAGE_FIT_CONTAIN, 7, 5},
    };
    picture inputs[] = {fixture_jpeg(400, 300), fixture_save(fixture_image(400, 300, 4), ".png")};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t j = 0; j < 2; j++) {
            image_request request = fixture_request(&inputs[j]);
            fixture_add_resize(&request, cases[i].width, cases[i].height, cases[i].fit);
            image_result result = fixture_run(&request);
            assert_int_equal(result.width, cases[i].result_width);
            assert_int_equal(result.height, cases[i].result_height);
            image_result_done(&result);
        }
    fixture_free(&inputs[0]);
    fixture_free(&inputs[1]);
}

/* ---- pictures that must be refused -------------------------------------------------------------------------- */

static void bombs_are_refused_by_their_header(void **state)
{
    static const uint8_t png[33] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xc3\x51\0\0\xc3\x51\x08\x02";
    static const uint8_t gif[] = "GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02"
                                 "D\x01\0;";
    static const uint8_t webp[30] = "RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\0\xff\xff\0";
    const picture inputs[] = {{(void *)png, sizeof(png)}, {(void *)gif, sizeof(gif) - 1}, {(void *)webp, sizeof(webp)}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        image_request request = fixture_request(&inputs[i]);
        fixture_run_fails(&request, IMAGE_LIMIT, "megapixels; the limit is 50");
    }
}

static void a_tiff_bomb_is_refused(void **state)
{
    picture input = fixture_save(fixture_image(40, 30, 3), ".tif");
    uint8_t *bytes = input.data;

    (void)state;
    uint32_t directory = (uint32_t)(bytes[4] | bytes[5] << 8 | bytes[6] << 16) | (uint32_t)bytes[7] << 24;
    assert_true(bytes[0] == 'I' && directory + 2 + 24 <= input.size);
    for (size_t i = 0; i < 2; i++) { /* width and length come first */
        uint8_t *entry = bytes + directory + 2 + i * 12;
        memcpy(entry + 2, "\x04\0\x01\0\0\0\x51\xc3\0\0", 10);
    }
    image_request request = fixture_request(&input);
    fixture_run_fails(&request, IMAGE_LIMIT, "megapixels");
    fixture_free(&input);
}

static void a_jpeg_whose_header_lies_is_refused(void **state)
{
    picture input = fixture_jpeg(64, 48);
    uint8_t *bytes = input.data;
    size_t at = 2;

    (void)state;
    while (bytes[at + 1] != 0xc0)
        at += 2 + (size_t)(bytes[at + 2] << 8 | bytes[at + 3]);
    memcpy(bytes + at + 5, "\xff\xdc\xff\xdc", 4);
    image_request request = fixture_request(&input);
    fixture_run_fails(&request, IMAGE_LIMIT, "megapixels");
    memcpy(bytes + at + 5, "\x10\0\x10\0", 4); /* within the limit, but nothing is there */
    fixture_run_fails(&request, IMAGE_CORRUPT, "corrupt JPEG");
    request.force_vips = true;
    fixture_run_fails(&request, IMAGE_CORRUPT, "corrupt jpeg");
    fixture_free(&input);
}

static void results_that_are_too_large_are_refused(void **state)
{
    picture inputs[] = {fixture_jpeg(64, 48), fixture_save(fixture_image(64, 48, 3), ".png")};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        image_request request = fixture_request(&inputs[i]);
        fixture_add_resize(&request, 10000, 10000, IMAGE_FIT_COVER);
        fixture_run_fails(&request, IMAGE_LIMIT, "the limit is 50");
        request.ops[0].width = 65000;
        request.ops[0].height = 1;
        fixture_run_fails(&request, IMAGE_LIMIT, "the limit is 50"); /* on the way to the crop */
        fixture_free(&inputs[i]);
    }
}

static void bytes_and_pages_have_limits(void **state)
{
    static const uint8_t frame[] = ",\0\0\0\0\x01\0\x01\0\0\x02\x02"
                                   "D\x01";
    uint8_t gif[13 + 30 * sizeof(frame) + 1] = "GIF89a\x01\0\x01\0\0\0\0";
    const picture input = {gif, sizeof(gif)};

    (void)state;
    for (size_t i = 0; i < 30; i++)
        memcpy(gif + 13 + i * sizeof(frame), frame, sizeof(frame));
    gif[sizeof(gif) - 1] = ';';
    image_request request = fixture_request(&input);
    request.pages_max = 29;
    fixture_run_fails(&request, IMAGE_LIMIT, "more than 29 pages");
    request.pages_max = 30;
    image_result result = fixture_run(&request);
    assert_int_equal(result.pages, 30);
    assert_int_equal(result.height, 1); /* the first one */
    image_result_done(&result);
    request.bytes_max = sizeof(gif) - 1;
    fixture_run_fails(&request, IMAGE_LIMIT, "the limit is");
}

static void damage_is_never_passed_on(void **state)
{
    static const char *const suffixes[] = {".jpg", ".png", ".webp", ".gif", ".avif", ".tif", ".jpg[interlace]"};

    (void)state;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        picture input = fixture_save(fixture_image(200, 150, 3), suffixes[i]);
        static const int parts[] = {2, 10, 50, 90};
        for (size_t j = 0; j < 4; j++) {
            picture cut = {input.data, input.size * (size_t)parts[j] / 100};
            image_request request = fixture_request(&cut);
            request.wanted.format = IMAGE_FORMAT_JPEG;
            image_result result;
            image_error error;
            for (int path = 0; path < 2; path++) {
                request.force_vips = path == 1;
                if (image_run(NULL, &request, &result, &error))
                    fail_msg("%s cut to %d %% went through", suffixes[i], parts[j]);
                if (error.code != IMAGE_CORRUPT && error.code != IMAGE_UNKNOWN_FORMAT)
                    fail_msg("%s cut to %d %%: code %d: %s", suffixes[i], parts[j], error.code, error.message);
            }
        }
        fixture_free(&input);
    }
}

/* No input may crash; ASan looks on. The seed is fixed: what fails once fails again. */
static void garbage_never_crashes(void **state)
{
    static const char *const suffixes[] = {".jpg", ".png", ".webp", ".gif", ".tif", ".jpg[interlace]"};
    uint32_t random = 12345;

    (void)state;
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        picture input = fixture_save(fixture_image(80, 60, 3), suffixes[i]);
        uint8_t *bytes = malloc(input.size);
        assert_non_null(bytes);
        for (int round = 0; round < 60; round++) {
            memcpy(bytes, input.data, input.size);
            for (int change = 0; change <= round % 8; change++) {
                random = random * 1664525u + 1013904223u;
                size_t span = round % 2 == 0 ? input.size : input.size / 8 + 1;
                bytes[(random >> 8) % span] = (uint8_t)random;
            }
            const picture damaged = {bytes, input.size};
            image_request request = fixture_request(&damaged);
            image_result result;
            image_error error;
            fixture_add_resize(&request, 31, 29, IMAGE_FIT_COVER);
            request.wanted.format = IMAGE_FORMAT_JPEG;
            request.megapixels_max = 1;
            if (image_run(NULL, &request, &result, &error)) {
                assert_int_equal(result.width, 31);
                image_result_done(&result);
            } else {
                assert_int_not_equal(error.code, IMAGE_OK);
                assert_true(strlen(error.message) > 13);
            }
        }
        free(bytes);
        fixture_free(&input);
    }
}

static void other_files_are_no_pictures(void **state)
{
    static const char *const texts[] = {"This is a letter, not a picture.", "<svg xmlns='http://www.w3.org/2000/svg'/>",
                                        "%PDF-1.4", "P6 1 1 255 abc"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const picture input = {(void *)texts[i], strlen(texts[i])};
        image_request request = fixture_request(&input);
        fixture_run_fails(&request, IMAGE_UNKNOWN_FORMAT, "input bytes: ");
    }
    const picture empty = {(void *)"", 0};
    image_request request = fixture_request(&empty);
    fixture_run_fails(&request, IMAGE_UNKNOWN_FORMAT, "is empty");
}

static bool cancel_at_once(void *user_data)
{
    (*(int *)user_data)++;
    return true;
}

static bool cancel_later(void *user_data) { return ++*(int *)user_data > 3; }

static void cancelling_ends_both_paths(void **state)
{
    picture input = fixture_jpeg(1500, 1000);

    (void)state;
    for (int path = 0; path < 2; path++) {
        int asked = 0;
        image_request request = fixture_request(&input);
        fixture_add_resize(&request, 1400, 900, IMAGE_FIT_COVER);
        request.force_vips = path == 1;
        request.user_data = &asked;
        request.cancelled = cancel_at_once;
        fixture_run_fails(&request, IMAGE_CANCELLED, "cancelled");
        asked = 0;
        request.cancelled = cancel_later;
        fixture_run_fails(&request, IMAGE_CANCELLED, "cancelled");
    }
    fixture_free(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blur_takes_detail_and_sharpen_adds_it),
        cmocka_unit_test(rotate_by_any_angle),
        cmocka_unit_test(grayscale_leaves_one_band),
        cmocka_unit_test(converts_between_all_formats),
        cmocka_unit_test(transparency_lands_on_the_background),
        cmocka_unit_test(a_pipeline_runs_in_order),
        cmocka_unit_test(sizes_follow_the_fit),
        cmocka_unit_test(bombs_are_refused_by_their_header),
        cmocka_unit_test(a_tiff_bomb_is_refused),
        cmocka_unit_test(a_jpeg_whose_header_lies_is_refused),
        cmocka_unit_test(results_that_are_too_large_are_refused),
        cmocka_unit_test(bytes_and_pages_have_limits),
        cmocka_unit_test(damage_is_never_passed_on),
        cmocka_unit_test(garbage_never_crashes),
        cmocka_unit_test(other_files_are_no_pictures),
        cmocka_unit_test(cancelling_ends_both_paths),
    };

    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
