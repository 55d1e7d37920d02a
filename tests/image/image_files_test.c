/* SPDX-License-Identifier: MIT */
/* Files: what cannot be read or written fails with its reason, and nothing half-written is ever to be seen. */
#include "file_io.h"
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static image_request file_request(const char *input, const char *output)
{
    image_request request;

    image_request_init(&request);
    request.input = input;
    request.output = output;
    fixture_add_resize(&request, 20, 15, IMAGE_FIT_COVER);
    return request;
}

static void write_jpeg(const char *name)
{
    picture made = fixture_jpeg(64, 48);

    fixture_write(name, made.data, made.size);
    fixture_free(&made);
}

static void reads_and_writes_files(void **state)
{
    struct stat status;

    (void)state;
    write_jpeg("in.jpg");
    image_request request = file_request(fixture_path("in.jpg"), fixture_path("out.webp"));
    request.fsync = true;
    mode_t mask = umask(027);
    image_result result = fixture_run(&request);
    umask(mask);
    assert_null(result.data);
    assert_int_equal(result.format, IMAGE_FORMAT_WEBP); /* by the name */
    assert_int_equal(stat(request.output, &status), 0);
    assert_int_equal(status.st_size, result.bytes_out);
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_int_equal(fixture_count_files(), 2);
}

static void unreadable_inputs_say_why(void **state)
{
    (void)state;
    image_request request = file_request(fixture_path("none.jpg"), fixture_path("out.jpg"));
    fixture_run_fails(&request, IMAGE_UNREADABLE, "none.jpg: cannot open: No such file or directory");
    assert_int_equal(mkdir(fixture_path("folder.jpg"), 0777), 0);
    request.input = fixture_path("folder.jpg");
    fixture_run_fails(&request, IMAGE_UNREADABLE, "folder.jpg: is a directory");
    assert_int_equal(mkfifo(fixture_path("pipe.jpg"), 0777), 0);
    request.input = fixture_path("pipe.jpg");
    fixture_run_fails(&request, IMAGE_UNREADABLE, "pipe.jpg: is not a regular file");
    write_jpeg("secret.jpg");
    assert_int_equal(chmod(fixture_path("secret.jpg"), 0), 0);
    request.input = fixture_path("secret.jpg");
    if (access(request.input, R_OK) != 0) /* root reads everything */
        fixture_run_fails(&request, IMAGE_UNREADABLE, "Permission denied");
    fixture_write("empty.jpg", "", 0);
    request.input = fixture_path("empty.jpg");
    fixture_run_fails(&request, IMAGE_UNKNOWN_FORMAT, "empty.jpg: is empty");
    assert_int_equal(access(request.output, F_OK), -1);
}

static void a_long_name_leaves_room_for_the_reason(void **state)
{
    char path[4000];

    (void)state;
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    image_request request = file_request(path, NULL);
    fixture_run_fails(&request, IMAGE_UNREADABLE, "File name too long");
}

static void outputs_are_not_overwritten_by_accident(void **state)
{
    (void)state;
    write_jpeg("in.jpg");
    fixture_write("out.jpg", "mine", 4);
    image_request request = file_request(fixture_path("in.jpg"), fixture_path("out.jpg"));
    fixture_run_fails(&request, IMAGE_EXISTS, "out.jpg: the output exists");
    assert_int_equal(link(fixture_path("in.jpg"), fixture_path("same.jpg")), 0);
    request.output = fixture_path("same.jpg");
    fixture_run_fails(&request, IMAGE_EXISTS, "the output is the input itself");
    request.overwrite = true;
    request.output = request.input;
    image_result result = fixture_run(&request);
    assert_int_equal(result.width, 20);
    assert_int_equal(fixture_count_files(), 3);
}

static void outputs_that_cannot_be_say_why(void **state)
{
    (void)state;
    write_jpeg("in.jpg");
    image_request request = file_request(fixture_path("in.jpg"), fixture_path("none/out.jpg"));
    fixture_run_fails(&request, IMAGE_WRITE_FAILED, "No such file or directory");
    request.output = fixture_path("in.jpg/out.jpg");
    fixture_run_fails(&request, IMAGE_WRITE_FAILED, "Not a directory");
    assert_int_equal(mkdir(fixture_path("folder"), 0777), 0);
    request.output = fixture_path("folder");
    request.wanted.format = IMAGE_FORMAT_JPEG;
    fixture_run_fails(&request, IMAGE_WRITE_FAILED, "is a directory");
    assert_int_equal(fixture_count_files(), 2);
}

/* A full disk stands for any write that fails half-way: the limit on file size acts in the same place. */
static void a_full_disk_leaves_nothing_behind(void **state)
{
    struct rlimit before;
    uint8_t bytes[8192] = {1};
    image_error error = {0};

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit small = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
    fixture_write("old.jpg", "old", 3);
    for (int way = 0; way < 8; way++) {
        const image_write_options options = {
            .overwrite = (way & 1) != 0, .fsync = (way & 2) != 0, .named = (way & 4) != 0};
        const char *path = fixture_path(options.overwrite ? "old.jpg" : "new.jpg");
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        bool written = image_file_write(path, bytes, sizeof(bytes), &options, &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_false(written);
        assert_int_equal(error.code, IMAGE_WRITE_FAILED);
        assert_int_equal(error.os_errno, EFBIG);
        assert_int_equal(fixture_count_files(), 1); /* the old one, and no temporary name */
    }
    struct stat status;
    assert_int_equal(stat(fixture_path("old.jpg"), &status), 0);
    assert_int_equal(status.st_size, 3);
}

static void every_way_of_writing_publishes_whole_files(void **state)
{
    image_error error = {0};

    (void)state;
    for (int way = 0; way < 8; way++) {
        const image_write_options options = {
            .overwrite = (way & 1) != 0, .fsync = (way & 2) != 0, .named = (way & 4) != 0};
        const char *path = fixture_path("out.bin");
        char read[16] = "";
        if (options.overwrite)
            fixture_write("out.bin", "old", 3);
        if (!image_file_write(path, "picture", 7, &options, &error))
            fail_msg("way %d: %s", way, error.message);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        assert_int_equal(fread(read, 1, sizeof(read), file), 7);
        fclose(file);
        assert_string_equal(read, "picture");
        if (!options.overwrite) { /* it came to exist after the check */
            assert_false(image_file_write(path, "other", 5, &options, &error));
            assert_int_equal(error.code, IMAGE_EXISTS);
        }
        assert_int_equal(fixture_count_files(), 1);
        remove(path);
    }
}

static void a_failing_picture_leaves_its_output_alone(void **state)
{
    picture made = fixture_jpeg(200, 150);

    (void)state;
    fixture_write("broken.jpg", made.data, made.size / 2);
    fixture_free(&made);
    fixture_write("out.jpg", "old", 3);
    image_request request = file_request(fixture_path("broken.jpg"), fixture_path("out.jpg"));
    request.overwrite = true;
    fixture_run_fails(&request, IMAGE_CORRUPT, "broken.jpg: corrupt JPEG: Premature end of JPEG file");
    struct stat status;
    assert_int_equal(stat(request.output, &status), 0);
    assert_int_equal(status.st_size, 3);
    assert_int_equal(fixture_count_files(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(reads_and_writes_files, fixture_teardown),
        cmocka_unit_test_teardown(unreadable_inputs_say_why, fixture_teardown),
        cmocka_unit_test_teardown(a_long_name_leaves_room_for_the_reason, fixture_teardown),
        cmocka_unit_test_teardown(outputs_are_not_overwritten_by_accident, fixture_teardown),
        cmocka_unit_test_teardown(outputs_that_cannot_be_say_why, fixture_teardown),
        cmocka_unit_test_teardown(a_full_disk_leaves_nothing_behind, fixture_teardown),
        cmocka_unit_test_teardown(every_way_of_writing_publishes_whole_files, fixture_teardown),
        cmocka_unit_test_teardown(a_failing_picture_leaves_its_output_alone, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
