/* SPDX-License-Identifier: MIT */
/* The guards: what is too large is refused from its header, and from the size its operations would give it. */
#include "geometry.h"
#include "sniff.h"

#include <math.h>

static bool limits_pixels(const image_request *request, const char *what, double width, double height,
                          image_error *error)
{
    if (width * height > request->megapixels_max * 1e6)
        return image_fail(error, IMAGE_LIMIT, 0, "%s is %.0fx%.0f, %.1f megapixels; the limit is %g", what, width,
                          height, width * height / 1e6, request->megapixels_max);
    return true;
}

bool image_guard_header(const image_request *request, const image_header *header, image_error *error)
{
    if (header->pages > request->pages_max)
        return image_fail(error, IMAGE_LIMIT, 0, "the file has more than %u pages, which is the limit",
                          request->pages_max);
    return limits_pixels(request, "the picture", header->width, header->height, error);
}

bool image_guard_output(const image_request *request, uint32_t width, uint32_t height, image_error *error)
{
    double now_width = width;
    double now_height = height;

    for (size_t i = 0; i < request->op_count; i++) {
        const image_op *op = &request->ops[i];
        if (op->kind == IMAGE_OP_RESIZE) {
            image_geometry geometry;
            image_geometry_fit((uint32_t)now_width, (uint32_t)now_height, op, &geometry);
            if (!limits_pixels(request, "the scaled picture", geometry.scaled_width, geometry.scaled_height, error))
                return false;
            now_width = geometry.canvas_width;
            now_height = geometry.canvas_height;
        } else if (op->kind == IMAGE_OP_ROTATE) {
            double radians = op->angle * M_PI / 180.0;
            double turned = fabs(now_width * cos(radians)) + fabs(now_height * sin(radians));
            now_height = round(fabs(now_width * sin(radians)) + fabs(now_height * cos(radians)));
            now_width = round(turned);
        }
        if (!limits_pixels(request, "the result", now_width, now_height, error))
            return false;
        if (now_width > IMAGE_SIDE_MAX || now_height > IMAGE_SIDE_MAX)
            return image_fail(error, IMAGE_LIMIT, 0, "the result is %.0fx%.0f; a side may have %d pixels", now_width,
                              now_height, IMAGE_SIDE_MAX);
    }
    return true;
}
