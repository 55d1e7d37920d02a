/* SPDX-License-Identifier: MIT */
/* One run under way: what run.c knows when it picks a path, and where the path puts its picture. */
#ifndef IMAGE_JOB_H
#define IMAGE_JOB_H

#include "file_io.h"
#include "sniff.h"

typedef struct image_job {
    const image_request *request;
    image_input input;
    image_format format; /* of the input */
    image_header header;
    image_encoding encoding; /* everything said */
    image_result result;     /* data comes from malloc */
} image_job;

typedef enum image_path_outcome {
    IMAGE_PATH_DONE,
    IMAGE_PATH_DECLINED, /* not for this path; nothing was changed */
    IMAGE_PATH_FAILED
} image_path_outcome;

#endif
