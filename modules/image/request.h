/* SPDX-License-Identifier: MIT */
/* From the value a task was sent to a request. */
#ifndef IMAGE_REQUEST_H
#define IMAGE_REQUEST_H

#include "image.h"

#include <brigade/value.h>

/*
 * Fills `request` for the task `task` ("resize", "pipeline" and so on). Strings and bytes stay borrowed from the
 * value. Errors: BAD_REQUEST, naming what is wrong and what would be right.
 */
bool image_request_parse(const char *task, brg_view input, image_request *request, image_error *error);

/*
 * The input is a map. Every task takes:
 *     input            path of the picture, or
 *     bytes            the picture itself, as bytes or a buffer
 *     output           path to write to; without it the result holds the bytes
 *     format           jpeg, png, webp, avif, gif, tiff; by default what the output's name ends in, else what the
 *                      task says (thumbnail and optimize: jpeg), else the input's own
 *     quality          1 to 100: jpeg, webp, avif
 *     effort           0 (fast) to 9 (small): png, webp, avif
 *     progressive      bool: jpeg, png
 *     lossless         bool: webp, avif
 *     background       "#rrggbb": under transparency where the format has none, beside letterboxed pictures; white
 *     keep_metadata    bool; by default only what turns the picture upright is used, and everything is dropped
 *     overwrite        bool; by default an output that exists is an error, also when it is the input
 *     fsync            bool: wait until the output is on the disk
 *     megapixels_max   50, of input and output
 *     bytes_max        268435456, of the input
 *     pages_max        1000: a file with more pages or frames is refused; of others the first page is used
 * and its own:
 *     resize           width, height (one may be missing), fit: cover (default), contain, inside
 *     thumbnail        the same; 200 x 200, jpeg, quality 80 by default
 *     optimize         jpeg, quality 85, progressive by default; never larger than it was
 *     rotate           angle, degrees clockwise
 *     blur             sigma, 0.01 to 100, by default 1.5
 *     sharpen          sigma, 0.01 to 10, by default 1
 *     grayscale
 *     convert          format is needed
 *     pipeline         operations: a list of maps {"op": a task's name, its keys}, at most 32; one decode, one encode
 */
#endif
