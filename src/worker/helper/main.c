/* SPDX-License-Identifier: MIT */
/*
 * brigade-worker: the program that templates and process workers run. All it does itself is to notice when memory runs
 * out, so that a crash that follows is reported as what it is: it stands in front of the C library's allocator, and
 * tells the library when that returns NULL.
 */
#include <stdlib.h> /* before asking for __GLIBC__: it defines it */

int brg__worker_main(int argc, char **argv);

int main(int argc, char **argv) { return brg__worker_main(argc, argv); }

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void brg__worker_memory_failed(void);

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size)
{
    void *memory = __libc_malloc(size);
    if (memory == NULL)
        brg__worker_memory_failed();
    return memory;
}

void *calloc(size_t count, size_t size)
{
    void *memory = __libc_calloc(count, size);
    if (memory == NULL)
        brg__worker_memory_failed();
    return memory;
}

void *realloc(void *memory, size_t size)
{
    void *result = __libc_realloc(memory, size);
    if (result == NULL && size != 0)
        brg__worker_memory_failed();
    return result;
}

#endif
