/* SPDX-License-Identifier: MIT */
/* Requests: what the keys mean, and that each mistake is named together with what would be right. */
#include "request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* The value stays alive until the next call: the request borrows from it. */
static bool parse(const char *task, const char *json, image_request *request, image_error *error)
{
    static brg_value *value;
    brg_error reason;

    brg_value_unref(value);
    value = NULL;
    if (json == NULL)
        return false;
    if (brg_value_from_json(&value, json, strlen(json), &reason) != BRG_OK)
        fail_msg("%s: %s", json, reason.message);
    return image_request_parse(task, brg_value_root(value), request, error);
}

static image_request parse_good(const char *task, const char *json)
{
    image_request request;
    image_error error;

    if (!parse(task, json, &request, &error))
        fail_msg("%s: %s", json, error.message);
    return request;
}

static void parse_bad(const char *task, const char *json, const char *message)
{
    image_request request;
    image_error error;

    if (parse(task, json, &request, &error))
        fail_msg("%s was taken; expected \"%s\"", json, message);
    assert_int_equal(error.code, IMAGE_BAD_REQUEST);
    if (strncmp(error.message, message, strlen(message)) != 0)
        fail_msg("%s: \"%s\"; expected \"%s\"", json, error.message, message);
}

static void a_resize_has_a_box(void **state)
{
    image_request request = parse_good("resize", "{\"input\": \"a.jpg\", \"width\": 800, \"height\": 600, "
                                                 "\"fit\": \"contain\", \"background\": \"#fF8000\", "
                                                 "\"output\": \"b.jpg\", \"fsync\": true, \"quality\": 70}");

    (void)state;
    assert_string_equal(request.input, "a.jpg");
    assert_string_equal(request.output, "b.jpg");
    assert_int_equal(request.op_count, 1);
    assert_int_equal(request.ops[0].kind, IMAGE_OP_RESIZE);
    assert_int_equal(request.ops[0].width, 800);
    assert_int_equal(request.ops[0].height, 600);
    assert_int_equal(request.ops[0].fit, IMAGE_FIT_CONTAIN);
    assert_int_equal(request.ops[0].background.red, 255);
    assert_int_equal(request.ops[0].background.green, 128);
    assert_int_equal(request.ops[0].background.blue, 0);
    assert_int_equal(request.wanted.quality, 70);
    assert_true(request.fsync);
    assert_false(request.overwrite);
    assert_true(request.megapixels_max == 50);
    assert_int_equal(request.bytes_max, 256u << 20);
}

static void tasks_have_their_defaults(void **state)
{
    (void)state;
    image_request request = parse_good("thumbnail", "{\"input\": \"a\"}");
    assert_int_equal(request.ops[0].width, 200);
    assert_int_equal(request.ops[0].height, 200);
    assert_int_equal(request.fallback.format, IMAGE_FORMAT_JPEG);
    assert_int_equal(request.fallback.quality, 80);
    request = parse_good("optimize", "{\"input\": \"a\", \"progressive\": false}");
    assert_int_equal(request.op_count, 0);
    assert_int_equal(request.fallback.quality, 85);
    assert_int_equal(request.fallback.progressive, 1);
    assert_int_equal(request.wanted.progressive, 0);
    assert_true(request.smallest);
    request = parse_good("blur", "{\"input\": \"a\", \"sigma\": 2.5, \"pages_max\": null}");
    assert_true(request.ops[0].sigma == 2.5);
    assert_int_equal(request.pages_max, IMAGE_PAGES_MAX);
    request = parse_good("rotate", "{\"input\": \"a\", \"angle\": -90}");
    assert_true(request.ops[0].angle == -90);
    request = parse_good("convert", "{\"input\": \"a\", \"format\": \"jpg\"}");
    assert_int_equal(request.wanted.format, IMAGE_FORMAT_JPEG);
    request = parse_good("grayscale", "{\"input\": \"a\"}");
    assert_int_equal(request.ops[0].kind, IMAGE_OP_GRAYSCALE);
    request = parse_good("sharpen", "{\"input\": \"a\"}");
    assert_true(request.ops[0].sigma == 1);
}

static void a_pipeline_lists_operations(void **state)
{
    image_request request = parse_good("pipeline",
                                       "{\"input\": \"a\", \"operations\": [{\"op\": \"thumbnail\", \"width\": 300}, "
                                       "{\"op\": \"blur\", \"sigma\": 1}, {\"op\": \"convert\", \"format\": \"webp\", "
                                       "\"quality\": 60}]}");

    (void)state;
    assert_int_equal(request.op_count, 2);
    assert_int_equal(request.ops[0].width, 300);
    assert_int_equal(request.ops[0].height, 0);
    assert_int_equal(request.ops[1].kind, IMAGE_OP_BLUR);
    assert_int_equal(request.wanted.format, IMAGE_FORMAT_WEBP);
    assert_int_equal(request.wanted.quality, 60);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    parse_bad("resize", "[]", "resize: what was sent is of type list; it must be a map");
    parse_bad("resize", "{\"width\": 5}", "resize: one of \"input\" (a path) and \"bytes\" is needed");
    parse_bad("resize", "{\"input\": \"a\"}", "resize: \"width\" or \"height\" is needed");
    parse_bad("resize", "{\"input\": \"a\", \"widht\": 5}",
              "resize: unknown key \"widht\"; known are width, height, fit");
    parse_bad("resize", "{\"input\": \"a\", \"width\": 0}", "resize: \"width\" is 0; it must be from 1 to 65500");
    parse_bad("resize", "{\"input\": \"a\", \"width\": 1.5}", "resize: \"width\" is 1.5; it must be a whole number");
    parse_bad("resize", "{\"input\": \"a\", \"width\": \"5\"}",
              "resize: \"width\" is of type string; it must be a whole");
    parse_bad("resize", "{\"input\": \"a\", \"width\": 5, \"fit\": \"fill\"}",
              "resize: \"fit\" is \"fill\"; it must be cover, contain or inside");
    parse_bad("resize", "{\"input\": \"a\", \"width\": 5, \"background\": \"red\"}",
              "resize: \"background\" is \"red\"; it must be like \"#rrggbb\"");
    parse_bad("resize", "{\"input\": \"\", \"width\": 5}", "resize: \"input\" is empty");
    parse_bad("resize", "{\"input\": \"a\\u0000b\", \"width\": 5}", "resize: \"input\" is a string with a zero byte");
    parse_bad("resize", "{\"bytes\": \"a\", \"width\": 5}", "resize: \"bytes\" is of type string; it must be bytes or");
    parse_bad("convert", "{\"input\": \"a\"}", "convert: \"format\" is needed");
    parse_bad("convert", "{\"input\": \"a\", \"format\": \"bmp\"}",
              "convert: \"format\" is \"bmp\"; it must be jpeg, png, webp, avif, gif or tiff");
    parse_bad("convert", "{\"input\": \"a\", \"format\": \"png\", \"quality\": 101}",
              "convert: \"quality\" is 101; it must be from 1 to 100");
    parse_bad("rotate", "{\"input\": \"a\"}", "rotate: \"angle\" is needed");
    parse_bad("sharpen", "{\"input\": \"a\", \"sigma\": 11}", "sharpen: \"sigma\" is 11; it must be from 0.01 to 10");
    parse_bad("grayscale", "{\"input\": \"a\", \"fsync\": 1}",
              "grayscale: \"fsync\" is of type int; it must be true or");
    parse_bad("swirl", "{\"input\": \"a\"}", "unknown operation \"swirl\"; known are resize, thumbnail");
    parse_bad("pipeline", "{\"input\": \"a\"}", "pipeline: \"operations\" is needed");
    parse_bad("pipeline", "{\"input\": \"a\", \"operations\": []}", "pipeline: \"operations\" is needed");
    parse_bad("pipeline", "{\"input\": \"a\", \"operations\": [5]}", "each entry of \"operations\" must be a map with");
    parse_bad("pipeline", "{\"input\": \"a\", \"operations\": [{\"op\": \"pipeline\"}]}",
              "unknown operation \"pipeline\"");
    parse_bad("pipeline", "{\"input\": \"a\", \"operations\": [{\"op\": \"blur\", \"width\": 5}]}",
              "blur: unknown key \"width\"; known are op, sigma");
}

static void a_pipeline_is_bounded(void **state)
{
    char json[4096] = "{\"input\": \"a\", \"operations\": [{\"op\": \"grayscale\"}";

    (void)state;
    for (int i = 0; i < IMAGE_OPS_MAX; i++)
        strcat(json, ", {\"op\": \"grayscale\"}");
    strcat(json, "]}");
    parse_bad("pipeline", json, "more than 32 operations");
}

static void bytes_and_buffers_are_borrowed(void **state)
{
    brg_builder *builder = NULL;
    brg_buffer *buffer = NULL;
    image_request request;
    image_error error;

    (void)state;
    for (int way = 0; way < 2; way++) {
        brg_value *value = NULL;
        assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
        brg_builder_map(builder);
        brg_builder_key(builder, "bytes");
        if (way == 0) {
            brg_builder_bytes(builder, "12345", 5);
        } else {
            assert_int_equal(brg_buffer_create(&buffer, 5, NULL), BRG_OK);
            memcpy(brg_buffer_data(buffer), "12345", 5);
            brg_builder_buffer(builder, &buffer);
        }
        brg_builder_end(builder);
        assert_int_equal(brg_builder_finish(builder, &value, NULL), BRG_OK);
        assert_true(image_request_parse("thumbnail", brg_value_root(value), &request, &error));
        assert_null(request.input);
        assert_int_equal(request.byte_count, 5);
        assert_memory_equal(request.bytes, "12345", 5);
        brg_value_unref(value);
        brg_builder_destroy(builder);
    }
}

static int teardown(void **state)
{
    (void)state;
    parse(NULL, NULL, NULL, NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resize_has_a_box),          cmocka_unit_test(tasks_have_their_defaults),
        cmocka_unit_test(a_pipeline_lists_operations), cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_pipeline_is_bounded),       cmocka_unit_test(bytes_and_buffers_are_borrowed),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
