/* SPDX-License-Identifier: MIT */
/*
 * One picture from end to end: read the file, tell its format, hold its header against the limits, then the fast
 * path or libvips, then write. Lower files write only the reason into the error; the name of the file is put before
 * it here, once.
 */
#include "fast.h"
#include "file_io.h"
#include "sniff.h"
#include "vips_path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RUN_NAME_MAX 120 /* bytes of a path in a message; the reason must fit behind it */

bool image_fail(image_error *error, image_code code, int os_errno, const char *format, ...)
{
    va_list arguments;

    error->code = code;
    error->os_errno = os_errno;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    return false;
}

bool image_fail_memory(image_error *error) { return image_fail(error, IMAGE_NO_MEMORY, ENOMEM, "out of memory"); }

bool image_check_cancelled(const image_request *request, image_error *error)
{
    if (request->cancelled == NULL || !request->cancelled(request->user_data))
        return true;
    return image_fail(error, IMAGE_CANCELLED, ECANCELED, "cancelled");
}

static const struct {
    image_format format;
    const char *name;
    const char *suffixes[4];
} run_formats[] = {
    {IMAGE_FORMAT_JPEG, "jpeg", {"jpg", "jpeg", "jpe"}},
    {IMAGE_FORMAT_PNG, "png", {"png"}},
    {IMAGE_FORMAT_WEBP, "webp", {"webp"}},
    {IMAGE_FORMAT_AVIF, "avif", {"avif"}},
    {IMAGE_FORMAT_GIF, "gif", {"gif"}},
    {IMAGE_FORMAT_TIFF, "tiff", {"tif", "tiff"}},
    {IMAGE_FORMAT_HEIF, "heif", {"heic", "heif"}},
};

#define RUN_FORMAT_COUNT (sizeof(run_formats) / sizeof(run_formats[0]))

const char *image_format_name(image_format format)
{
    for (size_t i = 0; i < RUN_FORMAT_COUNT; i++)
        if (run_formats[i].format == format)
            return run_formats[i].name;
    return "none";
}

static image_format run_format_from_suffix(const char *suffix)
{
    for (size_t i = 0; i < RUN_FORMAT_COUNT; i++)
        for (size_t j = 0; j < 4 && run_formats[i].suffixes[j] != NULL; j++)
            if (strcasecmp(run_formats[i].suffixes[j], suffix) == 0)
                return run_formats[i].format;
    return IMAGE_FORMAT_NONE;
}

image_format image_format_from_name(const char *name)
{
    return strcmp(name, "jpg") == 0 ? IMAGE_FORMAT_JPEG : run_format_from_suffix(name);
}

image_format image_format_from_path(const char *path)
{
    const char *dot = strrchr(path, '.');

    return dot == NULL || strchr(dot, '/') != NULL ? IMAGE_FORMAT_NONE : run_format_from_suffix(dot + 1);
}

void image_request_init(image_request *request)
{
    static const image_encoding unsaid = {.effort = -1, .progressive = -1, .lossless = -1};
    static const image_color white = {.red = 255, .green = 255, .blue = 255};

    *request = (image_request){.wanted = unsaid,
                               .fallback = unsaid,
                               .background = white,
                               .megapixels_max = IMAGE_MEGAPIXELS_MAX,
                               .bytes_max = IMAGE_BYTES_MAX,
                               .pages_max = IMAGE_PAGES_MAX};
}

/* Said by the caller, else by the output's name, else by the operation, else as the input. */
static image_format run_output_format(const image_request *request, image_format input)
{
    image_format format = request->wanted.format;

    if (format == IMAGE_FORMAT_NONE && request->output != NULL)
        format = image_format_from_path(request->output);
    if (format == IMAGE_FORMAT_NONE)
        format = request->fallback.format;
    if (format == IMAGE_FORMAT_NONE)
        format = input == IMAGE_FORMAT_HEIF ? IMAGE_FORMAT_JPEG : input;
    return format;
}

static int run_said(int wanted, int fallback, int otherwise, int unsaid)
{
    if (wanted != unsaid)
        return wanted;
    return fallback != unsaid ? fallback : otherwise;
}

static void run_resolve(const image_request *request, image_format input, image_encoding *encoding)
{
    const image_encoding *wanted = &request->wanted;
    const image_encoding *fallback = &request->fallback;

    encoding->format = run_output_format(request, input);
    encoding->quality = run_said(wanted->quality, fallback->quality, encoding->format == IMAGE_FORMAT_AVIF ? 50 : 80,
                                 0);
    encoding->effort = run_said(wanted->effort, fallback->effort, -1, -1);
    encoding->progressive = run_said(wanted->progressive, fallback->progressive, 0, -1);
    encoding->lossless = run_said(wanted->lossless, fallback->lossless, 0, -1);
}

static bool run_look(const image_request *request, image_job *job, image_error *error)
{
    const image_input *input = &job->input;

    job->format = image_sniff(input->bytes, input->byte_count);
    if (job->format == IMAGE_FORMAT_NONE)
        return image_fail(error, IMAGE_UNKNOWN_FORMAT, 0,
                          "is no JPEG, PNG, WebP, AVIF, HEIF, GIF or TIFF by its first bytes");
    if (!image_header_read(job->format, input->bytes, input->byte_count, request->pages_max, &job->header, error) ||
        !image_guard_header(request, &job->header, error))
        return false;
    run_resolve(request, job->format, &job->encoding);
    if (job->encoding.format == IMAGE_FORMAT_HEIF)
        return image_fail(error, IMAGE_UNSUPPORTED, 0, "heif cannot be written; formats that can be are %s",
                          "jpeg, png, webp, avif, gif, tiff");
    return image_output_check(request, input, error);
}

static bool run_work(image_cache *cache, image_job *job, image_error *error)
{
    image_path_outcome outcome = job->request->force_vips ? IMAGE_PATH_DECLINED : image_fast_run(cache, job, error);

    if (outcome == IMAGE_PATH_DECLINED)
        return image_vips_run(job, error);
    job->result.fast = true;
    return outcome == IMAGE_PATH_DONE;
}

static bool run_deliver(image_job *job, image_error *error)
{
    const image_request *request = job->request;
    image_result *result = &job->result;

    if (request->output == NULL)
        return true;
    const image_write_options options = {.overwrite = request->overwrite, .fsync = request->fsync};
    bool written = image_file_write(request->output, result->data, result->bytes_out, &options, error);
    free(result->data);
    result->data = NULL;
    return written;
}

static void run_name_error(const image_request *request, image_error *error)
{
    const char *name = request->input != NULL ? request->input : "input bytes";
    bool of_output = (error->code == IMAGE_WRITE_FAILED || error->code == IMAGE_EXISTS) && request->output != NULL;
    char reason[sizeof(error->message)];

    if (of_output)
        name = request->output;
    size_t length = strlen(name);
    const char *dots = length > RUN_NAME_MAX ? "..." : "";
    if (length > RUN_NAME_MAX)
        name += length - RUN_NAME_MAX;
    memcpy(reason, error->message, sizeof(reason));
    int used = snprintf(error->message, sizeof(error->message), "%s%s: ", dots, name);
    snprintf(error->message + used, sizeof(error->message) - (size_t)used, "%s", reason);
}

bool image_run(image_cache *cache, const image_request *request, image_result *result, image_error *error)
{
    image_job job = {.request = request};

    *error = (image_error){0};
    bool done = image_input_open(request, &job.input, error);
    if (done) {
        done = run_look(request, &job, error) && image_check_cancelled(request, error) &&
               run_work(cache, &job, error) && image_check_cancelled(request, error);
        job.result.pages = job.header.pages;
        job.result.pixels_in = (uint64_t)job.header.width * job.header.height;
        job.result.bytes_in = job.input.byte_count;
        job.result.format = job.encoding.format;
        image_input_close(&job.input); /* before the output is written: less memory held, and done with it */
        done = done && run_deliver(&job, error);
    }
    if (!done) {
        free(job.result.data);
        run_name_error(request, error);
        return false;
    }
    *result = job.result;
    return true;
}

void image_result_done(image_result *result)
{
    free(result->data);
    result->data = NULL;
}
