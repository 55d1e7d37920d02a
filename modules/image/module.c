/* SPDX-License-Identifier: MIT */
/*
 * The image module: tasks of brigade around image_run. What a task takes is in request.h; it gives back a map:
 *     width, height, format    of the result
 *     pages                    of the input; the first was used
 *     bytes_in, bytes_out
 *     path                     "fast" (JPEG planes) or "vips"
 *     original                 true where optimize kept the coefficients, since encoding anew would gain nothing
 *     output                   the path written, or
 *     bytes                    the picture, as a buffer
 * A failing task has one of the codes of image.h.
 */
#include "image.h"
#include "request.h"

#include <brigade/module.h>

#include <malloc.h>
#include <stdlib.h>

/* Above this many pixels a task's memory is worth handing back at once; below, the next task uses it again. */
#define MODULE_LARGE_PIXELS 12000000u

static brg_status module_fail(brg_context *context, const image_error *error)
{
    brg_status status = BRG_FAILED;

    if (error->code == IMAGE_CANCELLED)
        status = BRG_CANCELLED;
    else if (error->code == IMAGE_NO_MEMORY)
        status = BRG_NO_MEMORY;
    return brg_context_fail_with(context, status, error->code, NULL, "%s", error->message);
}

static void module_release(void *memory, void *user_data)
{
    (void)user_data;
    free(memory);
}

static bool module_cancelled(void *user_data) { return brg_context_cancelled(user_data); }

static brg_status module_put_picture(brg_builder *builder, image_result *result, brg_error *error)
{
    brg_buffer *buffer = NULL;

    brg_status status = brg_buffer_wrap(&buffer, result->data, result->bytes_out, module_release, NULL, error);
    if (status != BRG_OK)
        return status;
    result->data = NULL;
    brg_builder_key(builder, "bytes");
    brg_builder_buffer(builder, &buffer);
    brg_buffer_unref(buffer); /* NULL unless the builder has failed */
    return BRG_OK;
}

static void module_put_int(brg_builder *builder, const char *key, uint64_t number)
{
    brg_builder_key(builder, key);
    brg_builder_uint(builder, number);
}

static void module_put_string(brg_builder *builder, const char *key, const char *string)
{
    brg_builder_key(builder, key);
    brg_builder_string(builder, string);
}

static brg_status module_build(brg_builder *builder, const image_request *request, image_result *result,
                               brg_value **output, brg_error *error)
{
    brg_builder_map(builder);
    module_put_int(builder, "width", result->width);
    module_put_int(builder, "height", result->height);
    module_put_string(builder, "format", image_format_name(result->format));
    module_put_int(builder, "pages", result->pages);
    module_put_int(builder, "bytes_in", result->bytes_in);
    module_put_int(builder, "bytes_out", result->bytes_out);
    module_put_string(builder, "path", result->fast ? "fast" : "vips");
    brg_builder_key(builder, "original");
    brg_builder_bool(builder, result->original);
    if (request->output != NULL) {
        module_put_string(builder, "output", request->output);
    } else {
        brg_status status = module_put_picture(builder, result, error);
        if (status != BRG_OK)
            return status;
    }
    brg_builder_end(builder);
    return brg_builder_finish(builder, output, error);
}

static brg_status module_reply(brg_context *context, const image_request *request, image_result *result,
                               brg_value **output)
{
    brg_builder *builder = NULL;
    brg_error error = {0};

    brg_status status = brg_builder_create(&builder, &error);
    if (status == BRG_OK)
        status = module_build(builder, request, result, output, &error);
    brg_builder_destroy(builder);
    if (status != BRG_OK)
        return brg_context_fail_with(context, status, IMAGE_NO_MEMORY, NULL, "cannot build the result: %s",
                                     error.message);
    return BRG_OK;
}

static brg_status module_task(brg_context *context, const char *task, const brg_value *input, brg_value **output)
{
    image_request request;
    image_result result;
    image_error error;

    brg_view root = {0};
    if (input != NULL)
        root = brg_value_root(input);
    if (!image_request_parse(task, root, &request, &error))
        return module_fail(context, &error);
    request.cancelled = module_cancelled;
    request.user_data = context;
    bool done = image_run(brg_context_state(context), &request, &result, &error);
    brg_status status = done ? module_reply(context, &request, &result, output) : module_fail(context, &error);
    bool large = done && result.pixels_in > MODULE_LARGE_PIXELS;
    if (done)
        image_result_done(&result);
    if (large || !done)
        malloc_trim(0);
    return status;
}

#define MODULE_TASK(name)                                                                                              \
    static brg_status module_##name(brg_context *context, const brg_value *input, brg_value **output)                  \
    {                                                                                                                  \
        return module_task(context, #name, input, output);                                                             \
    }

MODULE_TASK(resize)
MODULE_TASK(thumbnail)
MODULE_TASK(optimize)
MODULE_TASK(blur)
MODULE_TASK(rotate)
MODULE_TASK(sharpen)
MODULE_TASK(grayscale)
MODULE_TASK(convert)
MODULE_TASK(pipeline)

/* libvips starts its threads with the first picture, so the template process stays single-threaded. */
static brg_status module_preload(brg_error *error)
{
    image_error reason;

    if (image_start(&reason))
        return BRG_OK;
    return brg_error_set(error, BRG_FAILED, "image", "%s", reason.message);
}

static brg_status module_worker_start(brg_context *context)
{
    image_cache *cache = image_cache_create();

    if (cache == NULL)
        return brg_context_fail_with(context, BRG_NO_MEMORY, IMAGE_NO_MEMORY, NULL, "out of memory");
    brg_context_set_state(context, cache);
    return BRG_OK;
}

static void module_worker_end(brg_context *context)
{
    image_cache_destroy(brg_context_state(context));
    brg_context_set_state(context, NULL);
    image_thread_end();
}

BRG_MODULE(image,
           .tasks = BRG_TASKS({"resize", module_resize}, {"thumbnail", module_thumbnail}, {"optimize", module_optimize},
                              {"blur", module_blur}, {"rotate", module_rotate}, {"sharpen", module_sharpen},
                              {"grayscale", module_grayscale}, {"convert", module_convert},
                              {"pipeline", module_pipeline}),
           .preload = module_preload, .worker_start = module_worker_start, .worker_end = module_worker_end);
