/* SPDX-License-Identifier: MIT */
/* Writes the seed files: make-corpus fuzz/corpus. To be run again when the format changes. */
#include <errno.h>

#include "message/value_fixture.h"
#include "message/wire.h"

static const char *root;

static void write_file(const char *kind, const char *name, const void *bytes, size_t size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s/%s", root, kind, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(1);
    }
}

static void write_value(const char *name, const brg_value *value)
{
    size_t size = brg__wire_size(value, NULL);
    void *bytes = malloc(size);
    fixture_require(bytes != NULL, "no memory");
    brg__wire_write(value, NULL, bytes);
    write_file("value", name, brg_value_data(value), brg_value_size(value));
    write_file("wire", name, bytes, size);
    free(bytes);
}

static void write_json(const char *name, const char *text)
{
    brg_value *value = NULL;
    brg_error error;
    char path[256];
    snprintf(path, sizeof(path), "%s.json", name);
    write_file("json", path, text, strlen(text));
    if (brg_value_from_json(&value, text, strlen(text), &error) == BRG_OK)
        write_value(name, value);
    brg_value_unref(value);
}

static void write_everything(const char *name, bool with_buffers)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    fixture_require(brg_builder_create(&builder, NULL) == BRG_OK, "no memory");
    fixture_everything(builder, with_buffers);
    fixture_require(brg_builder_finish(builder, &value, NULL) == BRG_OK, "not built");
    write_value(name, value);
    brg_value_unref(value);
    brg_builder_destroy(builder);
}

/* References, a cycle, a set, an error, an array, numbers of every kind. */
static void write_graph(void)
{
    static const float numbers[] = {1, -2.5F};
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    brg_error error;
    brg_error_set(&error, BRG_FAILED, "corpus", "an error");
    error.os_errno = error.signal = error.exit_code = 0;
    error.attempt = 0;
    error.code = 1;
    error.backtrace[0] = '\0';
    fixture_require(brg_builder_create(&builder, NULL) == BRG_OK, "no memory");
    brg_builder_list(builder);
    brg_mark list = brg_builder_mark(builder);
    brg_builder_set(builder);
    brg_builder_int(builder, 1);
    brg_builder_ref(builder, list);
    brg_builder_string(builder, "x");
    brg_builder_end(builder);
    brg_builder_ref(builder, brg_builder_mark(builder));
    brg_builder_error_open(builder, &error);
    brg_builder_ref(builder, list);
    brg_builder_error(builder, &error);
    brg_builder_end(builder);
    brg_builder_timestamp(builder, -1);
    brg_builder_bigint(builder, true, "\x01\x02", 2);
    brg_builder_array(builder, BRG_ELEMENT_F32, numbers, 2);
    brg_builder_end(builder);
    fixture_require(brg_builder_finish(builder, &value, NULL) == BRG_OK, "not built");
    write_value("graph", value);
    brg_value_unref(value);
    brg_builder_destroy(builder);
}

static void write_large_map(void)
{
    char text[4096] = "{";
    for (int i = 0; i < 100; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\"key %d\":%d", i > 0 ? "," : "", i, i * i);
    strcat(text, "}");
    write_json("large-map", text);
}

static void write_deep_list(void)
{
    char text[2 * BRG_VALUE_DEPTH_MAX + 1];
    memset(text, '[', BRG_VALUE_DEPTH_MAX);
    memset(text + BRG_VALUE_DEPTH_MAX, ']', BRG_VALUE_DEPTH_MAX);
    text[2 * BRG_VALUE_DEPTH_MAX] = '\0';
    write_json("deep-list", text);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    root = argv[1];
    write_everything("everything", false);
    write_everything("everything-with-buffers", true);
    write_json("nil", "null");
    write_json("task", "{\"path\":\"photo-12.jpg\",\"width\":800,\"height\":600,\"fit\":\"cover\",\"sharpen\":false}");
    write_json("numbers", "[0,-1,9223372036854775807,-9223372036854775808,9223372036854775808,18446744073709551615,"
                          "18446744073709551616,100000000000000000000000000000,0.1,-0.0,1e300,5e-324]");
    write_json("strings", "[\"\",\"\\u0000\\u001f\",\"\\ud83c\\udf73\",\"gr\xc3\xbc\xc3\x9f\",\"\\\"\\\\\\/\"]");
    write_json("nested", "{\"a\":{\"b\":[{\"c\":[[],{}]},[1,[2,[3]]]]},\"d\":[{\"a\":1},{\"a\":2}]}");
    write_json("malformed", "{\"a\":1,\"a\":[1,,2}");
    write_graph();
    write_large_map();
    write_deep_list();
    return 0;
}
