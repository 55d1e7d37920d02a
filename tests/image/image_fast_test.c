/* SPDX-License-Identifier: MIT */
/* The fast path: that it looks like libvips, turns pictures upright, and steps back where it must. */
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SSIM_MIN 0.98
#define PHOTOGRAPHS_MAX 16
#define THREADS 16

/* Runs both paths and returns how alike they are. */
static double compare_paths(image_request *request)
{
    image_result fast = fixture_run(request);
    request->force_vips = true;
    image_result vips = fixture_run(request);

    request->force_vips = false;
    assert_true(fast.fast);
    assert_false(vips.fast);
    double alike = fixture_ssim(&fast, &vips);
    image_result_done(&fast);
    image_result_done(&vips);
    return alike;
}

/* The same as vips_thumbnail does it, from the outside. */
static double compare_thumbnail(const picture *photo, uint32_t width, uint32_t height)
{
    image_request request = fixture_request(photo);
    VipsImage *image = NULL;

    fixture_add_resize(&request, width, height, IMAGE_FIT_COVER);
    image_result fast = fixture_run(&request);
    assert_int_equal(vips_thumbnail_buffer(photo->data, photo->size, &image, (int)width, "height", (int)height, "crop",
                                           VIPS_INTERESTING_CENTRE, NULL),
                     0);
    picture saved = fixture_save(image, ".jpg[Q=80]");
    image_result theirs = {.width = width, .height = height, .data = saved.data, .bytes_out = saved.size};
    double alike = fixture_ssim(&fast, &theirs);
    image_result_done(&fast);
    fixture_free(&saved);
    return alike;
}

static void looks_like_libvips_on_photographs(void **state)
{
    static const uint32_t sizes[][2] = {{800, 600}, {200, 200}, {1000, 750}, {333, 250}, {250, 188}, {640, 900}};
    picture photos[PHOTOGRAPHS_MAX];
    size_t count = fixture_photographs(photos, PHOTOGRAPHS_MAX);

    (void)state;
    if (count == 0)
        skip(); /* the package of photographs is not installed; the generated pictures below are still compared */
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            double alike = compare_thumbnail(&photos[i], sizes[j][0], sizes[j][1]);
            if (alike < SSIM_MIN)
                fail_msg("photograph %zu at %ux%u: SSIM %.4f", i, sizes[j][0], sizes[j][1], alike);
        }
        fixture_free(&photos[i]);
    }
}

static void every_fit_looks_like_libvips(void **state)
{
    static const image_fit fits[] = {IMAGE_FIT_COVER, IMAGE_FIT_CONTAIN, IMAGE_FIT_INSIDE};
    static const uint32_t boxes[][2] = {{200, 150}, {150, 200}, {333, 0}, {0, 77}, {301, 299}, {64, 48}};
    picture input = fixture_jpeg(641, 479);

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < sizeof(boxes) / sizeof(boxes[0]); j++) {
            image_request request = fixture_request(&input);
            request.background = (image_color){.red = 200, .green = 30, .blue = 60};
            fixture_add_resize(&request, boxes[j][0], boxes[j][1], fits[i]);
            double alike = compare_paths(&request);
            if (alike < SSIM_MIN)
                fail_msg("fit %zu box %ux%u: SSIM %.4f", i, boxes[j][0], boxes[j][1], alike);
        }
    fixture_free(&input);
}

static void enlarging_looks_like_libvips(void **state)
{
    picture input = fixture_jpeg(120, 90);
    image_request request = fixture_request(&input);

    (void)state;
    fixture_add_resize(&request, 400, 300, IMAGE_FIT_COVER);
    double alike = compare_paths(&request);
    if (alike < SSIM_MIN)
        fail_msg("SSIM %.4f", alike);
    fixture_free(&input);
}

static void every_orientation_comes_upright(void **state)
{
    (void)state;
    for (int orientation = 1; orientation <= 8; orientation++) {
        picture input = fixture_oriented(400, 300, orientation);
        image_request request = fixture_request(&input);
        bool across = orientation >= 5;
        fixture_add_resize(&request, 200, 200, IMAGE_FIT_INSIDE);
        double alike = compare_paths(&request);
        if (alike < SSIM_MIN)
            fail_msg("orientation %d: SSIM %.4f", orientation, alike);
        image_result result = fixture_run(&request);
        assert_int_equal(result.width, across ? 150 : 200);
        assert_int_equal(result.height, across ? 200 : 150);
        VipsImage *image = fixture_decode(result.data, result.bytes_out);
        assert_int_equal(vips_image_get_typeof(image, VIPS_META_ORIENTATION), 0);
        g_object_unref(image);
        image_result_done(&result);
        fixture_free(&input);
    }
}

/* The fast path against a picture turned by hand: both paths could be wrong alike. */
static void orientation_six_is_a_quarter_clockwise(void **state)
{
    picture input = fixture_oriented(320, 240, 6);
    VipsImage *turned = NULL;
    VipsImage *image = fixture_image(320, 240, 3);

    (void)state;
    assert_int_equal(vips_rot(image, &turned, VIPS_ANGLE_D90, NULL), 0);
    g_object_unref(image);
    picture saved = fixture_save(turned, ".jpg[Q=92]");
    image_request request = fixture_request(&input);
    request.wanted.quality = 95;
    image_result result = fixture_run(&request);
    assert_true(result.fast);
    image_result by_hand = {.width = 240, .height = 320, .data = saved.data, .bytes_out = saved.size};
    assert_true(fixture_ssim(&result, &by_hand) > 0.97);
    image_result_done(&result);
    fixture_free(&saved);
    fixture_free(&input);
}

static void turns_and_resizes_in_any_order(void **state)
{
    static const double angles[] = {90, 180, 270, -90, 720};
    picture input = fixture_oriented(400, 300, 5);

    (void)state;
    for (size_t i = 0; i < 5; i++)
        for (int first = 0; first < 2; first++) {
            image_request request = fixture_request(&input);
            const image_op turn = {.kind = IMAGE_OP_ROTATE, .angle = angles[i]};
            if (first)
                request.ops[request.op_count++] = turn;
            fixture_add_resize(&request, 180, 120, IMAGE_FIT_COVER);
            if (!first)
                request.ops[request.op_count++] = turn;
            double alike = compare_paths(&request);
            if (alike < SSIM_MIN)
                fail_msg("angle %g, %s: SSIM %.4f", angles[i], first ? "first" : "last", alike);
        }
    fixture_free(&input);
}

static void grayscale_and_gray_inputs_are_fast(void **state)
{
    picture color = fixture_jpeg(400, 300);
    picture gray = fixture_save(fixture_image(400, 300, 1), ".jpg");
    image_request requests[] = {fixture_request(&color), fixture_request(&gray)};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fixture_add_resize(&requests[i], 130, 100, IMAGE_FIT_COVER);
        requests[i].ops[requests[i].op_count++] = (image_op){.kind = IMAGE_OP_GRAYSCALE};
        assert_true(compare_paths(&requests[i]) >= SSIM_MIN);
        image_result result = fixture_run(&requests[i]);
        VipsImage *image = fixture_decode(result.data, result.bytes_out);
        assert_int_equal(image->Bands, 1);
        g_object_unref(image);
        image_result_done(&result);
    }
    fixture_free(&color);
    fixture_free(&gray);
}

static void subsampling_and_progression_do_not_matter(void **state)
{
    static const char *const suffixes[] = {".jpg[Q=92,subsample-mode=off]", ".jpg[Q=92,subsample-mode=on]",
                                           ".jpg[Q=92,interlace]"};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int quality = 80; quality <= 95; quality += 15) {
            picture input = fixture_save(fixture_image(517, 333, 3), suffixes[i]);
            image_request request = fixture_request(&input);
            request.wanted.quality = quality;
            fixture_add_resize(&request, 150, 101, IMAGE_FIT_COVER);
            assert_true(compare_paths(&request) >= SSIM_MIN);
            fixture_free(&input);
        }
}

static picture with_profile(const char *profile)
{
    VipsImage *image = fixture_image(200, 150, 3);
    VipsImage *copy = NULL;
    VipsBlob *blob = NULL;

    assert_int_equal(vips_profile_load(profile, &blob, NULL), 0);
    assert_int_equal(vips_copy(image, &copy, NULL), 0);
    vips_image_set_blob_copy(copy, VIPS_META_ICC_NAME, VIPS_AREA(blob)->data, VIPS_AREA(blob)->length);
    vips_area_unref(VIPS_AREA(blob));
    g_object_unref(image);
    return fixture_save(copy, ".jpg[Q=92]");
}

static void steps_back_for_other_colours(void **state)
{
    VipsImage *rgb = fixture_image(200, 150, 3);
    VipsImage *cmyk = NULL;

    (void)state;
    assert_int_equal(vips_icc_export(rgb, &cmyk, "output_profile", "cmyk", NULL), 0);
    g_object_unref(rgb);
    picture inputs[] = {fixture_save(cmyk, ".jpg"), with_profile("p3"),
                        fixture_save(fixture_image(200, 150, 4), ".png")};
    for (size_t i = 0; i < 3; i++) {
        image_request request = fixture_request(&inputs[i]);
        request.wanted.format = IMAGE_FORMAT_JPEG;
        fixture_add_resize(&request, 100, 75, IMAGE_FIT_COVER);
        image_result result = fixture_run(&request);
        assert_false(result.fast);
        VipsImage *image = fixture_decode(result.data, result.bytes_out);
        assert_int_equal(image->Bands, 3);
        assert_int_equal(image->Type, VIPS_INTERPRETATION_sRGB);
        assert_int_equal(vips_image_get_typeof(image, VIPS_META_ICC_NAME), 0);
        g_object_unref(image);
        image_result_done(&result);
        fixture_free(&inputs[i]);
    }
}

static void stays_fast_with_an_srgb_profile(void **state)
{
    picture input = with_profile("srgb");
    image_request request = fixture_request(&input);
    image_cache *cache = image_cache_create();
    image_result result;
    image_error error;

    (void)state;
    fixture_add_resize(&request, 100, 75, IMAGE_FIT_COVER);
    for (int i = 0; i < 3; i++) { /* the second time by the cache's verdict */
        assert_true(image_run(cache, &request, &result, &error));
        assert_true(result.fast);
        image_result_done(&result);
    }
    image_cache_destroy(cache);
    fixture_free(&input);
}

static void a_broken_profile_is_no_broken_picture(void **state)
{
    picture input = with_profile("p3");
    const char *at = memmem(input.data, input.size, "ICC_PROFILE", 12);

    (void)state;
    assert_non_null(at);
    memset((char *)at + 14, 0x5a, 64);
    image_request request = fixture_request(&input);
    fixture_add_resize(&request, 100, 75, IMAGE_FIT_COVER);
    image_result result = fixture_run(&request);
    assert_int_equal(result.width, 100);
    image_result_done(&result);
    fixture_free(&input);
}

static void metadata_goes_unless_kept(void **state)
{
    picture input = fixture_oriented(200, 150, 6);
    image_request request = fixture_request(&input);

    (void)state;
    image_result stripped = fixture_run(&request);
    assert_null(memmem(stripped.data, stripped.bytes_out, "Exif", 4));
    request.keep_metadata = true;
    image_result kept = fixture_run(&request);
    assert_false(kept.fast);
    assert_non_null(memmem(kept.data, kept.bytes_out, "Exif", 4));
    /* Upright already: told to turn again, viewers would lay it on its side. */
    VipsImage *image = fixture_decode(kept.data, kept.bytes_out);
    int orientation = 1;
    vips_image_get_int(image, VIPS_META_ORIENTATION, &orientation);
    assert_int_equal(orientation, 1);
    assert_int_equal(image->Xsize, 150);
    g_object_unref(image);
    image_result_done(&stripped);
    image_result_done(&kept);
    fixture_free(&input);
}

static void optimize_never_grows(void **state)
{
    VipsImage *image = fixture_image(300, 200, 3);
    picture input = fixture_save(image, ".jpg[Q=20]");
    image_request request = fixture_request(&input);

    (void)state;
    request.smallest = true;
    request.fallback = (image_encoding){.quality = 85, .progressive = 1, .effort = -1, .lossless = -1};
    image_result result = fixture_run(&request);
    assert_true(result.original);
    assert_true(result.bytes_out <= input.size);
    VipsImage *before = fixture_decode(input.data, input.size);
    VipsImage *after = fixture_decode(result.data, result.bytes_out);
    size_t size_before = 0;
    size_t size_after = 0;
    void *pixels_before = vips_image_write_to_memory(before, &size_before);
    void *pixels_after = vips_image_write_to_memory(after, &size_after);
    assert_int_equal(size_before, size_after);
    assert_memory_equal(pixels_before, pixels_after, size_before);
    g_free(pixels_before);
    g_free(pixels_after);
    g_object_unref(before);
    g_object_unref(after);
    image_result_done(&result);
    fixture_free(&input);
}

static void *thread_main(void *argument)
{
    image_cache *cache = image_cache_create();
    image_result result;
    image_error error;
    intptr_t failures = cache == NULL;

    for (int i = 0; i < 8 && cache != NULL; i++) {
        image_request request = fixture_request(argument);
        fixture_add_resize(&request, 100u + (uint32_t)i * 10, 90, IMAGE_FIT_COVER);
        request.force_vips = i % 2 == 1;
        if (!image_run(cache, &request, &result, &error)) {
            failures++;
            continue;
        }
        failures += result.width != request.ops[0].width;
        image_result_done(&result);
    }
    image_cache_destroy(cache);
    image_thread_end();
    return (void *)failures;
}

static void many_threads_at_once(void **state)
{
    picture input = fixture_jpeg(300, 200);
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &input), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failures = NULL;
        assert_int_equal(pthread_join(threads[i], &failures), 0);
        assert_null(failures);
    }
    fixture_free(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_like_libvips_on_photographs),
        cmocka_unit_test(every_fit_looks_like_libvips),
        cmocka_unit_test(enlarging_looks_like_libvips),
        cmocka_unit_test(every_orientation_comes_upright),
        cmocka_unit_test(orientation_six_is_a_quarter_clockwise),
        cmocka_unit_test(turns_and_resizes_in_any_order),
        cmocka_unit_test(grayscale_and_gray_inputs_are_fast),
        cmocka_unit_test(subsampling_and_progression_do_not_matter),
        cmocka_unit_test(steps_back_for_other_colours),
        cmocka_unit_test(stays_fast_with_an_srgb_profile),
        cmocka_unit_test(a_broken_profile_is_no_broken_picture),
        cmocka_unit_test(metadata_goes_unless_kept),
        cmocka_unit_test(optimize_never_grows),
        cmocka_unit_test(many_threads_at_once),
    };

    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
