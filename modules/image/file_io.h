/* SPDX-License-Identifier: MIT */
/* Files in and out: whole, checked before the work is done, and never half-written. */
#ifndef IMAGE_FILE_IO_H
#define IMAGE_FILE_IO_H

#include "image.h"

#include <sys/stat.h>

typedef struct image_input {
    const uint8_t *bytes;
    size_t byte_count;
    void *owned; /* what to free, or NULL */
    bool is_file;
    dev_t device; /* of a file: which one it is */
    ino_t inode;
} image_input;

/* Reads the request's file, or borrows its bytes. Errors: UNREADABLE, LIMIT, UNKNOWN_FORMAT when empty, NO_MEMORY. */
bool image_input_open(const image_request *request, image_input *input, image_error *error);
void image_input_close(image_input *input);

/* Before the work: an output that could not be taken anyway. Errors: EXISTS, WRITE_FAILED. */
bool image_output_check(const image_request *request, const image_input *input, image_error *error);

/*
 * Writes a file so that its name shows either what was there before or all of `bytes`. Without `overwrite` a name
 * that came to exist meanwhile is kept. `named` uses a temporary name from the start, as file systems without
 * O_TMPFILE need it. Errors: EXISTS, WRITE_FAILED; nothing is left behind.
 */
typedef struct image_write_options {
    bool overwrite;
    bool fsync;
    bool named;
} image_write_options;

bool image_file_write(const char *path, const void *bytes, size_t byte_count, const image_write_options *options,
                      image_error *error);

#endif
