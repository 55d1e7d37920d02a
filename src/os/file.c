/* SPDX-License-Identifier: MIT */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/memory.h"

#define FILE_NAMES_MAX 1000

static brg_status file_fail(brg_error *error, const char *what, const char *path, int os_errno)
{
    brg_error_set(error, BRG_SYSTEM, "os", "%s %.180s: %s", what, path, strerror(os_errno));
    if (error != NULL)
        error->os_errno = os_errno;
    return BRG_SYSTEM;
}

/* Links followed, if it is there; else as it is. False: too long. */
static bool file_resolve(brg__file *file, const char *path)
{
    char *resolved = realpath(path, NULL);
    const char *from = resolved != NULL ? resolved : path;
    bool fits = strlen(from) < sizeof(file->path) - 32;
    if (fits)
        memcpy(file->path, from, strlen(from) + 1);
    free(resolved);
    return fits;
}

static brg_status file_open_beside(brg__file *file, brg_error *error)
{
    for (int i = 0; i < FILE_NAMES_MAX; i++) {
        snprintf(file->written, sizeof(file->written), "%.4060s.%ld.%d.part", file->path, (long)getpid(), i);
        file->fd = open(file->written, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0 || errno != EEXIST)
            break;
    }
    return file->fd >= 0 ? BRG_OK : file_fail(error, "cannot write", file->path, errno);
}

brg_status brg__file_begin(brg__file *file, const char *path, brg_error *error)
{
    struct stat about;
    file->fd = -1;
    if (path == NULL || path[0] == '\0' || !file_resolve(file, path))
        return brg_error_set(error, BRG_INVALID, "os", "a path has 1 to %zu bytes", sizeof(file->path) - 33);
    bool is_there = stat(file->path, &about) == 0;
    if (is_there && S_ISDIR(about.st_mode))
        return file_fail(error, "cannot write", file->path, EISDIR);
    file->is_renamed = !is_there || S_ISREG(about.st_mode);
    if (file->is_renamed)
        return file_open_beside(file, error);
    file->fd = open(file->path, O_WRONLY | O_CLOEXEC);
    return file->fd >= 0 ? BRG_OK : file_fail(error, "cannot write", file->path, errno);
}

brg_status brg__file_write(brg__file *file, const void *bytes, size_t size, brg_error *error)
{
    const char *at = bytes;
    while (size != 0) {
        ssize_t written = write(file->fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return file_fail(error, "cannot write", file->path, errno);
        at += written;
        size -= (size_t)written;
    }
    return BRG_OK;
}

void brg__file_drop(brg__file *file)
{
    if (file->fd < 0)
        return;
    close(file->fd);
    file->fd = -1;
    if (file->is_renamed)
        unlink(file->written);
}

brg_status brg__file_end(brg__file *file, brg_error *error)
{
    int fd = file->fd;
    file->fd = -1;
    bool good = close(fd) == 0 && (!file->is_renamed || rename(file->written, file->path) == 0);
    int os_errno = errno;
    if (good)
        return BRG_OK;
    if (file->is_renamed)
        unlink(file->written);
    return file_fail(error, "cannot write", file->path, os_errno);
}
