/* SPDX-License-Identifier: MIT */
/*
 * Writing a file that is never half there. The bytes go into a file without a name (O_TMPFILE) in the directory of
 * the output; a worker killed in the middle leaves nothing. Then:
 *   - overwrite unset: linkat gives it the name, and fails if the name exists, in one step;
 *   - overwrite set: linkat gives it a temporary name, and rename puts it in the place of the old one.
 * File systems without O_TMPFILE get a temporary name from the start; there a kill can leave ".brigade-*.tmp".
 */
#define _GNU_SOURCE 1
#include "file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define OUTPUT_TRIES 100

typedef struct output_file {
    int directory;      /* descriptor of the output's directory */
    const char *name;   /* of the output in it */
    int fd;             /* the new file */
    char temporary[48]; /* its name while it has one, else "" */
} output_file;

static bool output_failed(image_error *error, int os_errno, const char *what)
{
    return image_fail(error, IMAGE_WRITE_FAILED, os_errno, "cannot %s the output: %s", what, strerror(os_errno));
}

static bool output_exists(image_error *error)
{
    return image_fail(error, IMAGE_EXISTS, EEXIST, "the output exists and \"overwrite\" is not set");
}

bool image_output_check(const image_request *request, const image_input *input, image_error *error)
{
    struct stat status;

    if (request->output == NULL)
        return true;
    if (stat(request->output, &status) != 0)
        return true; /* writing will say what is wrong, if anything */
    if (S_ISDIR(status.st_mode))
        return image_fail(error, IMAGE_WRITE_FAILED, EISDIR, "the output is a directory");
    if (request->overwrite)
        return true;
    if (input->is_file && status.st_dev == input->device && status.st_ino == input->inode)
        return image_fail(error, IMAGE_EXISTS, EEXIST,
                          "the output is the input itself; set \"overwrite\" to replace it");
    return output_exists(error);
}

static bool output_open_directory(output_file *file, const char *path, image_error *error)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    char directory[PATH_MAX];

    file->name = slash == NULL ? path : slash + 1;
    if (*file->name == '\0')
        return image_fail(error, IMAGE_WRITE_FAILED, EISDIR, "the output names a directory");
    if (length >= sizeof(directory))
        return output_failed(error, ENAMETOOLONG, "create");
    if (slash == NULL)
        strcpy(directory, ".");
    else if (length == 0)
        strcpy(directory, "/");
    else
        snprintf(directory, sizeof(directory), "%.*s", (int)length, path);
    file->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return file->directory >= 0 || output_failed(error, errno, "create");
}

static void output_make_name(output_file *file)
{
    uint64_t number = 0;

    /* Any number will do: O_EXCL and linkat catch a clash and try the next. */
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
        number = (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)&number;
    snprintf(file->temporary, sizeof(file->temporary), ".brigade-%016llx.tmp", (unsigned long long)number);
}

static bool output_open_named(output_file *file, image_error *error)
{
    for (int i = 0; i < OUTPUT_TRIES; i++) {
        output_make_name(file);
        file->fd = openat(file->directory, file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0)
            return true;
        if (errno != EEXIST)
            break;
    }
    file->temporary[0] = '\0';
    return output_failed(error, errno, "create");
}

static bool output_open(output_file *file, bool named, image_error *error)
{
    if (!named) {
        file->fd = openat(file->directory, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
        if (file->fd >= 0)
            return true;
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
            return output_failed(error, errno, "create");
    }
    return output_open_named(file, error);
}

static bool output_write(output_file *file, const uint8_t *bytes, size_t byte_count, bool sync, image_error *error)
{
    while (byte_count > 0) {
        ssize_t part = write(file->fd, bytes, byte_count);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return output_failed(error, part < 0 ? errno : ENOSPC, "write");
        bytes += part;
        byte_count -= (size_t)part;
    }
    if (sync && fsync(file->fd) != 0)
        return output_failed(error, errno, "sync");
    return true;
}

static int output_link(output_file *file, const char *name)
{
    char from[40];

    if (file->temporary[0] != '\0')
        return linkat(file->directory, file->temporary, file->directory, name, 0);
    snprintf(from, sizeof(from), "/proc/self/fd/%d", file->fd);
    return linkat(AT_FDCWD, from, file->directory, name, AT_SYMLINK_FOLLOW);
}

static bool output_give_temporary_name(output_file *file, image_error *error)
{
    output_file named = *file;

    for (int i = 0; i < OUTPUT_TRIES; i++) {
        output_make_name(&named);
        if (output_link(file, named.temporary) == 0) {
            memcpy(file->temporary, named.temporary, sizeof(file->temporary));
            return true;
        }
        if (errno != EEXIST)
            break;
    }
    return output_failed(error, errno, "name");
}

static bool output_publish_over(output_file *file, image_error *error)
{
    if (file->temporary[0] == '\0' && !output_give_temporary_name(file, error))
        return false;
    if (renameat(file->directory, file->temporary, file->directory, file->name) != 0)
        return output_failed(error, errno, "rename");
    file->temporary[0] = '\0';
    return true;
}

static bool output_publish_new(output_file *file, image_error *error)
{
    if (file->temporary[0] != '\0') {
        /* Also on file systems without hard links, where they know the flag. */
        if (renameat2(file->directory, file->temporary, file->directory, file->name, RENAME_NOREPLACE) == 0) {
            file->temporary[0] = '\0';
            return true;
        }
        if (errno == EEXIST)
            return output_exists(error);
        if (errno != EINVAL && errno != ENOSYS)
            return output_failed(error, errno, "rename");
    }
    if (output_link(file, file->name) == 0)
        return true;
    return errno == EEXIST ? output_exists(error) : output_failed(error, errno, "name");
}

static bool output_sync_directory(output_file *file, image_error *error)
{
    int fd = openat(file->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return output_failed(error, errno, "sync");
    bool synced = fsync(fd) == 0 || output_failed(error, errno, "sync");
    close(fd);
    return synced;
}

static void output_close(output_file *file)
{
    if (file->temporary[0] != '\0')
        unlinkat(file->directory, file->temporary, 0);
    if (file->fd >= 0)
        close(file->fd);
    if (file->directory >= 0)
        close(file->directory);
}

bool image_file_write(const char *path, const void *bytes, size_t byte_count, const image_write_options *options,
                      image_error *error)
{
    output_file file = {.directory = -1, .fd = -1};

    bool done = output_open_directory(&file, path, error) && output_open(&file, options->named, error) &&
                output_write(&file, bytes, byte_count, options->fsync, error) &&
                (options->overwrite ? output_publish_over(&file, error) : output_publish_new(&file, error)) &&
                (!options->fsync || output_sync_directory(&file, error));
    output_close(&file);
    return done;
}
