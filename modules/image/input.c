/* SPDX-License-Identifier: MIT */
#include "file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool input_unreadable(image_error *error, int os_errno, const char *what)
{
    return image_fail(error, IMAGE_UNREADABLE, os_errno, "%s: %s", what, strerror(os_errno));
}

static bool input_check_kind(const struct stat *status, uint64_t bytes_max, image_error *error)
{
    if (S_ISDIR(status->st_mode))
        return image_fail(error, IMAGE_UNREADABLE, EISDIR, "is a directory");
    if (!S_ISREG(status->st_mode))
        return image_fail(error, IMAGE_UNREADABLE, 0, "is not a regular file");
    if ((uint64_t)status->st_size > bytes_max)
        return image_fail(error, IMAGE_LIMIT, 0, "has %lld bytes; the limit is %llu", (long long)status->st_size,
                          (unsigned long long)bytes_max);
    return true;
}

/* A file that shrinks while it is read gives what was there; one that grows gives no more than its first size. */
static bool input_read(int fd, uint8_t *bytes, size_t wanted, size_t *byte_count, image_error *error)
{
    size_t got = 0;

    while (got < wanted) {
        ssize_t part = read(fd, bytes + got, wanted - got);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return input_unreadable(error, errno, "cannot read");
        if (part == 0)
            break;
        got += (size_t)part;
    }
    *byte_count = got;
    return true;
}

static bool input_load(int fd, uint64_t bytes_max, image_input *input, image_error *error)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return input_unreadable(error, errno, "cannot read");
    if (!input_check_kind(&status, bytes_max, error))
        return false;
    size_t wanted = (size_t)status.st_size;
    uint8_t *bytes = malloc(wanted + 1);
    if (bytes == NULL)
        return image_fail_memory(error);
    size_t byte_count = 0;
    if (!input_read(fd, bytes, wanted, &byte_count, error)) {
        free(bytes);
        return false;
    }
    *input = (image_input){.bytes = bytes,
                           .byte_count = byte_count,
                           .owned = bytes,
                           .is_file = true,
                           .device = status.st_dev,
                           .inode = status.st_ino};
    return true;
}

static bool input_open_file(const image_request *request, image_input *input, image_error *error)
{
    /* O_NONBLOCK: opening a pipe without a writer would wait for ever. */
    int fd = open(request->input, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return input_unreadable(error, errno, "cannot open");
    bool loaded = input_load(fd, request->bytes_max, input, error);
    close(fd);
    return loaded;
}

bool image_input_open(const image_request *request, image_input *input, image_error *error)
{
    image_input opened = {.bytes = request->bytes, .byte_count = request->byte_count};

    if (request->input != NULL) {
        if (!input_open_file(request, &opened, error))
            return false;
    } else if (request->byte_count > request->bytes_max) {
        return image_fail(error, IMAGE_LIMIT, 0, "has %zu bytes; the limit is %llu", request->byte_count,
                          (unsigned long long)request->bytes_max);
    }
    if (opened.byte_count == 0) {
        image_input_close(&opened);
        return image_fail(error, IMAGE_UNKNOWN_FORMAT, 0, "is empty");
    }
    *input = opened;
    return true;
}

void image_input_close(image_input *input)
{
    free(input->owned);
    *input = (image_input){0};
}
