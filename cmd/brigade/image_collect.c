/* SPDX-License-Identifier: MIT */
/* Which pictures: files and directories become jobs with an input and an output name. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "image.h"

#define COLLECT_DEPTH_MAX 64

void image_fail_job(image_jobs *jobs, image_job *job, brg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    free(job->error);
    if (vasprintf(&job->error, format, arguments) < 0)
        job->error = NULL;
    va_end(arguments);
    job->status = status;
    job->settled = true;
    jobs->failed++;
}

void image_free_jobs(image_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        free(jobs->list[i].input);
        free(jobs->list[i].output);
        free(jobs->list[i].error);
    }
    free(jobs->list);
}

static image_job *collect_add(image_jobs *jobs, const char *input)
{
    if (jobs->count == jobs->capacity) {
        size_t capacity = jobs->capacity == 0 ? 64 : jobs->capacity * 2;
        image_job *list = realloc(jobs->list, capacity * sizeof(*list));
        if (list == NULL)
            return NULL;
        jobs->list = list;
        jobs->capacity = capacity;
    }
    image_job *job = &jobs->list[jobs->count];
    memset(job, 0, sizeof(*job));
    job->input = strdup(input);
    if (job->input == NULL)
        return NULL;
    jobs->count++;
    return job;
}

/* NULL: the input's own. HEIF can be read but not written: such a picture becomes a JPEG. */
static const char *collect_suffix(const image_options *options, const char *relative)
{
    const char *wanted = image_output_suffix(options), *dot = strrchr(relative, '.');
    bool heif = dot != NULL && (strcasecmp(dot, ".heic") == 0 || strcasecmp(dot, ".heif") == 0);
    return wanted == NULL && heif ? ".jpg" : wanted;
}

/* The output's name: DIR/relative, with the suffix of the output's format. */
static char *collect_output(const image_options *options, const char *relative)
{
    const char *suffix = collect_suffix(options, relative);
    const char *slash = strrchr(relative, '/'), *dot = strrchr(relative, '.');
    size_t stem = dot != NULL && (slash == NULL || dot > slash + 1) && dot != relative ? (size_t)(dot - relative)
                                                                                       : strlen(relative);
    char *output = NULL;
    const char *separator = options->output[strlen(options->output) - 1] == '/' ? "" : "/";
    int length = suffix == NULL
                     ? asprintf(&output, "%s%s%s", options->output, separator, relative)
                     : asprintf(&output, "%s%s%.*s%s", options->output, separator, (int)stem, relative, suffix);
    return length < 0 ? NULL : output;
}

static bool collect_file(image_jobs *jobs, const image_options *options, const char *path, const char *relative)
{
    image_job *job = collect_add(jobs, path);
    if (job == NULL || (job->output = collect_output(options, relative)) == NULL)
        return false;
    struct stat info;
    if (stat(path, &info) != 0) {
        image_fail_job(jobs, job, BRG_SYSTEM, "%s", strerror(errno));
        return true;
    }
    if (S_ISDIR(info.st_mode))
        image_fail_job(jobs, job, BRG_INVALID, "is a directory; -r goes into it");
    else if (!S_ISREG(info.st_mode))
        image_fail_job(jobs, job, BRG_INVALID, "is no regular file");
    job->device = info.st_dev;
    job->inode = info.st_ino;
    return true;
}

static bool collect_is_picture(const char *name)
{
    static const char *const suffixes[] = {".jpg", ".jpeg", ".jpe",  ".png",  ".webp", ".avif",
                                           ".gif", ".tif",  ".tiff", ".heic", ".heif"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (strcasecmp(dot, suffixes[i]) == 0)
            return true;
    return false;
}

static bool collect_is_output(const image_options *options, const struct stat *directory)
{
    struct stat info;
    return stat(options->output, &info) == 0 && info.st_dev == directory->st_dev && info.st_ino == directory->st_ino;
}

static bool collect_directory(image_jobs *jobs, const image_options *options, const char *path, const char *relative,
                              int depth)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        int why = errno;
        image_job *job = collect_add(jobs, path);
        if (job != NULL)
            image_fail_job(jobs, job, BRG_SYSTEM, "%s", strerror(why));
        return job != NULL;
    }
    bool good = true;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char *child = NULL, *below = NULL;
        struct stat info;
        if (good && name[0] != '.') {
            good = asprintf(&child, "%s/%s", path, name) >= 0 &&
                   asprintf(&below, "%s%s%s", relative, relative[0] == '\0' ? "" : "/", name) >= 0;
            /* Links to directories are not followed: they may lead in circles. */
            bool directory = good && lstat(child, &info) == 0 && S_ISDIR(info.st_mode);
            if (directory && options->recursive && collect_is_output(options, &info))
                ; /* earlier results are no input */
            else if (directory && options->recursive && depth < COLLECT_DEPTH_MAX)
                good = collect_directory(jobs, options, child, below, depth + 1);
            else if (good && collect_is_picture(name))
                good = collect_file(jobs, options, child, below);
        }
        free(child);
        free(below);
        free(entries[i]);
    }
    free(entries);
    return good;
}

static int collect_compare_files(const void *a, const void *b)
{
    const image_job *first = *(image_job *const *)a, *second = *(image_job *const *)b;
    if (first->device != second->device)
        return first->device < second->device ? -1 : 1;
    return (first->inode > second->inode) - (first->inode < second->inode);
}

/* No result replaces an input, be it its own or another's. */
static bool collect_protect_inputs(image_jobs *jobs)
{
    image_job **sorted = malloc((jobs->count + 1) * sizeof(*sorted));
    size_t count = 0;
    if (sorted == NULL)
        return false;
    for (size_t i = 0; i < jobs->count; i++)
        if (jobs->list[i].inode != 0)
            sorted[count++] = &jobs->list[i];
    qsort(sorted, count, sizeof(*sorted), collect_compare_files);
    for (size_t i = 0; i < jobs->count; i++) {
        image_job *job = &jobs->list[i];
        struct stat info;
        if (job->settled || stat(job->output, &info) != 0)
            continue;
        const image_job key = {.device = info.st_dev, .inode = info.st_ino}, *wanted = &key;
        image_job *const *hit = bsearch(&wanted, sorted, count, sizeof(*sorted), collect_compare_files);
        if (hit == NULL)
            continue;
        bool own = job->device == info.st_dev && job->inode == info.st_ino;
        image_fail_job(jobs, job, BRG_INVALID, "its result would replace %s: choose another -o DIR",
                       own ? "it" : (*hit)->input);
    }
    free(sorted);
    return true;
}

static int collect_compare(const void *a, const void *b)
{
    const image_job *first = *(image_job *const *)a, *second = *(image_job *const *)b;
    int order = strcmp(first->output, second->output);
    return order != 0 ? order : (first > second) - (first < second); /* the earlier one first */
}

/* Of several pictures with the same output, all but the first fail. */
static bool collect_refuse_clashes(image_jobs *jobs)
{
    image_job **sorted = malloc((jobs->count + 1) * sizeof(*sorted));
    size_t count = 0;
    if (sorted == NULL)
        return false;
    for (size_t i = 0; i < jobs->count; i++)
        if (!jobs->list[i].settled)
            sorted[count++] = &jobs->list[i];
    qsort(sorted, count, sizeof(*sorted), collect_compare);
    for (size_t i = 1, first = 0; i < count; i++) {
        if (strcmp(sorted[first]->output, sorted[i]->output) == 0)
            image_fail_job(jobs, sorted[i], BRG_INVALID, "its result has the same name as that of %s",
                           sorted[first]->input);
        else
            first = i;
    }
    free(sorted);
    return true;
}

bool image_collect(image_jobs *jobs, const image_options *options, char **operands, int count)
{
    for (int i = 0; i < count; i++) {
        struct stat info;
        const char *path = operands[i], *slash = strrchr(path, '/');
        bool good = stat(path, &info) == 0 && S_ISDIR(info.st_mode)
                        ? collect_directory(jobs, options, path, "", 0)
                        : collect_file(jobs, options, path, slash == NULL ? path : slash + 1);
        if (!good)
            return false;
    }
    return collect_protect_inputs(jobs) && collect_refuse_clashes(jobs);
}
