/* SPDX-License-Identifier: MIT */
/*
 * image_loop PROCESSES WIDTH HEIGHT QUALITY OUT IN: the floor of `brigade image`. A plain loop over the image module's
 * own calls in a few forked processes that take the next picture from a shared counter; nothing is isolated,
 * bounded or reported. It includes the module's private header, which nothing else outside the module may.
 */
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "image.h"

typedef struct loop_work {
    const char *in;
    const char *out;
    struct dirent **entries;
    uint32_t count;
    image_op resize;
    int quality;
    _Atomic uint32_t *next;
} loop_work;

static int loop_is_picture(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && (strcmp(dot, ".jpg") == 0 || strcmp(dot, ".jpeg") == 0);
}

static void loop_picture(image_cache *cache, const loop_work *work, const char *name)
{
    char input[1024];
    char output[1024];
    image_request request;
    image_result result;
    image_error error;
    snprintf(input, sizeof(input), "%s/%s", work->in, name);
    snprintf(output, sizeof(output), "%s/%s", work->out, name);
    image_request_init(&request);
    request.input = input;
    request.output = output;
    request.ops[0] = work->resize;
    request.op_count = 1;
    request.wanted.quality = work->quality;
    request.overwrite = true;
    if (!image_run(cache, &request, &result, &error))
        bench_fail("%s: %s", input, error.message);
    image_result_done(&result);
}

static void loop_child(const loop_work *work)
{
    image_cache *cache = image_cache_create();
    if (cache == NULL)
        bench_fail("out of memory");
    for (;;) {
        uint32_t index = atomic_fetch_add(work->next, 1);
        if (index >= work->count)
            break;
        loop_picture(cache, work, work->entries[index]->d_name);
    }
    image_cache_destroy(cache);
    image_thread_end();
}

static bool loop_reap(void)
{
    int status;
    bool good = true;
    while (wait(&status) > 0)
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return good;
}

int main(int argc, char **argv)
{
    image_error error;
    loop_work work = {.resize = {.kind = IMAGE_OP_RESIZE, .fit = IMAGE_FIT_COVER}};
    int processes = atoi(bench_argument(argc, argv, 1, "processes"));
    work.resize.width = (uint32_t)atoi(bench_argument(argc, argv, 2, "width"));
    work.resize.height = (uint32_t)atoi(bench_argument(argc, argv, 3, "height"));
    work.quality = atoi(bench_argument(argc, argv, 4, "quality"));
    work.out = bench_argument(argc, argv, 5, "out");
    work.in = bench_argument(argc, argv, 6, "in");
    int count = scandir(work.in, &work.entries, loop_is_picture, alphasort);
    if (count <= 0)
        bench_fail("no pictures in %s", work.in);
    work.count = (uint32_t)count;
    work.next = mmap(NULL, sizeof(*work.next), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (work.next == MAP_FAILED)
        bench_fail("mmap failed");
    if (!image_start(&error)) /* before the fork, as the template does */
        bench_fail("%s", error.message);
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0)
            bench_fail("fork failed");
        if (child == 0) {
            loop_child(&work);
            _exit(EXIT_SUCCESS);
        }
    }
    return loop_reap() ? EXIT_SUCCESS : EXIT_FAILURE;
}
