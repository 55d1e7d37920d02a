/* SPDX-License-Identifier: MIT */
/* Files that are there whole or not at all. */
#ifndef BRG_OS_FILE_H
#define BRG_OS_FILE_H

#include <brigade/status.h>

#define BRG__FILE_PATH_MAX 4096

/* A file on its way to `path`: written beside it under another name, then renamed. What is no regular file, as a pipe
 * or a device, is written straight. */
typedef struct brg__file {
    int fd;
    bool is_renamed;                  /* it has another name until the end */
    char path[BRG__FILE_PATH_MAX];    /* where it shall be, links followed */
    char written[BRG__FILE_PATH_MAX]; /* where it is */
} brg__file;

/* Errors: BRG_SYSTEM with the errno; BRG_INVALID: the path is empty or too long. */
brg_status brg__file_begin(brg__file *file, const char *path, brg_error *error);
brg_status brg__file_write(brg__file *file, const void *bytes, size_t size, brg_error *error);
brg_status brg__file_end(brg__file *file, brg_error *error); /* on failure it is dropped */
void brg__file_drop(brg__file *file);                        /* what was there before stays */

#endif
