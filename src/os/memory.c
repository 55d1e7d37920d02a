/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/util.h"
#include "os/fd.h"
#include "os/sys.h"

#define MEMORY_TMPFS 0x01021994 /* linux/magic.h */

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

void *brg__malloc(size_t size) { return brg__os.allocate(size == 0 ? 1 : size); }

void *brg__calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    void *memory = brg__malloc(total);
    return memory == NULL ? NULL : memset(memory, 0, total);
}

void *brg__realloc(void *memory, size_t size) { return brg__os.reallocate(memory, size == 0 ? 1 : size); }

char *brg__strdup(const char *string)
{
    size_t size = strlen(string) + 1;
    char *copy = brg__malloc(size);
    return copy == NULL ? NULL : memcpy(copy, string, size);
}

void brg__mfree(void *memory)
{
    if (memory != NULL)
        brg__os.release(memory);
}

void brg_free(void *memory) { brg__mfree(memory); }

/* Not aligned_alloc, which is not in the table: the start of the block stands just before what is handed out. */
void *brg__calloc_aligned(size_t size)
{
    size_t total;
    if (__builtin_add_overflow(size, sizeof(void *) + BRG__CACHE_LINE - 1, &total))
        return NULL;
    char *block = brg__malloc(total);
    if (block == NULL)
        return NULL;
    uintptr_t start = (uintptr_t)brg__align_up((uintptr_t)block + sizeof(void *), BRG__CACHE_LINE);
    char *memory = block + (start - (uintptr_t)block);
    memcpy(memory - sizeof(block), &block, sizeof(block));
    return memset(memory, 0, size);
}

void brg__mfree_aligned(void *memory)
{
    if (memory == NULL)
        return;
    void *block;
    memcpy(&block, (char *)memory - sizeof(block), sizeof(block));
    brg__mfree(block);
}

void brg__error_set_memory(brg_error *error, const char *what)
{
    brg_error_set(error, BRG_NO_MEMORY, "os", "%s: out of memory", what);
    if (error != NULL)
        error->os_errno = ENOMEM;
}

brg_status brg__error_errno(brg_error *error, const char *what, int os_errno)
{
    brg_status status = os_errno == ENOMEM ? BRG_NO_MEMORY : BRG_SYSTEM;
    if (error == NULL)
        return status;
    char buffer[128];
    const char *text = strerror_r(os_errno, buffer, sizeof(buffer));
    brg_error_set(error, status, "os", "%s: %s", what, text);
    error->os_errno = os_errno;
    return status;
}

static int memory_new_file(const char *name)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = brg__os.memfd(name, flags | MFD_NOEXEC_SEAL);
    /* Kernels before 6.3 do not know the flag. */
    return fd < 0 && errno == EINVAL ? brg__os.memfd(name, flags) : fd;
}

static brg_status memory_create_file(int *out, const char *name, size_t size, int seals, brg_error *error)
{
    const char *what = "creating a shared memory file";
    int fd = memory_new_file(name);
    if (fd < 0)
        return brg__error_errno(error, what, errno);
    if (brg__os.truncate(fd, (off_t)size) == 0) {
        what = "sealing a shared memory file";
        if (brg__os.seal(fd, seals) == 0) {
            *out = fd;
            return BRG_OK;
        }
    }
    int failed = errno;
    brg__fd_close(&fd);
    return brg__error_errno(error, what, failed);
}

brg_status brg__memfd_create(int *out, const char *name, size_t size, brg_error *error)
{
    return memory_create_file(out, name, size, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, error);
}

brg_status brg__memfd_create_freezable(int *out, const char *name, size_t size, brg_error *error)
{
    return memory_create_file(out, name, size, F_SEAL_SHRINK | F_SEAL_GROW, error);
}

bool brg__memfd_freeze(int fd) { return brg__os.seal(fd, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0; }

static bool memory_can_map(int fd, int seals, bool writable)
{
    int mode = fcntl(fd, F_GETFL);
    if (!writable)
        return mode >= 0 && (mode & O_ACCMODE) != O_WRONLY;
    return mode >= 0 && (mode & O_ACCMODE) == O_RDWR && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) == 0;
}

bool brg__memfd_is_sound(int fd, size_t size, bool writable)
{
    struct stat about;
    struct statfs system;
    int wanted = F_SEAL_SHRINK | F_SEAL_GROW, seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & wanted) != wanted || !memory_can_map(fd, seals, writable))
        return false;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size < 0 || (size_t)about.st_size != size)
        return false;
    /* Huge pages have the same seals, but there may be none left when one is touched: that is SIGBUS. */
    return size % brg__page_size() == 0 && fstatfs(fd, &system) == 0 && system.f_type == MEMORY_TMPFS;
}

void brg__memfd_empty(int fd, size_t size)
{
    /* Best effort: where it fails the pages stay until the last mapping goes. */
    (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
}

/*
 * A page fault, or giving a page back, costs some fifty times what clearing it does; asking which pages there are costs
 * about as much as clearing them. So first whether all are there, which is one call.
 */
void brg__memfd_clear(int fd, void *memory, size_t offset, size_t size)
{
    struct stat about;
    off_t from = (off_t)offset, end = (off_t)(offset + size);
    bool sparse = fstat(fd, &about) == 0 && about.st_blocks < about.st_size / 512;
    while (from < end) {
        off_t data = sparse ? lseek(fd, from, SEEK_DATA) : from;
        if (data < 0 && errno == ENXIO) /* no more of it */
            return;
        off_t hole = sparse && data >= 0 ? lseek(fd, data, SEEK_HOLE) : end;
        if (data < 0 || hole < 0) { /* it cannot tell: all of it */
            data = from;
            hole = end;
        }
        hole = hole < end ? hole : end;
        if (data < hole)
            memset((char *)memory + data, 0, (size_t)(hole - data));
        from = hole;
    }
}

size_t brg__page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

brg_status brg__memfd_reserve(int fd, size_t offset, size_t size, brg_error *error)
{
    int result;
    do
        result = brg__os.reserve(fd, (off_t)offset, (off_t)size);
    while (result != 0 && errno == EINTR);
    return result == 0 ? BRG_OK : brg__error_errno(error, "reserving shared memory", errno);
}

void brg__memory_discard(void *memory, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)memory, end = start + size;
    uintptr_t first = (uintptr_t)brg__align_up(start, page), last = end & ~(page - 1);
    if (first >= last) {
        memset(memory, 0, size);
        return;
    }
    memset(memory, 0, first - start);
    memset((char *)memory + (last - start), 0, end - last);
    void *pages = (char *)memory + (first - start);
    /* Only shared files take MADV_REMOVE, only private memory reads as zero after MADV_DONTNEED. */
    if (madvise(pages, last - first, MADV_REMOVE) != 0 && madvise(pages, last - first, MADV_DONTNEED) != 0)
        memset(pages, 0, last - first);
}

static brg_status memory_map(void **out, size_t size, int protection, int flags, int fd, brg_error *error)
{
    void *memory = brg__os.map(size, protection, flags, fd);
    if (memory == NULL)
        return brg__error_errno(error, "mapping memory", errno);
    *out = memory;
    return BRG_OK;
}

brg_status brg__map_shared(void **out, int fd, size_t size, brg_error *error)
{
    return memory_map(out, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, error);
}

brg_status brg__map_shared_read(void **out, int fd, size_t size, brg_error *error)
{
    return memory_map(out, size, PROT_READ, MAP_SHARED, fd, error);
}

brg_status brg__map_private(void **out, size_t size, brg_error *error)
{
    return memory_map(out, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, error);
}

void brg__unmap(void *memory, size_t size)
{
    if (memory != NULL)
        munmap(memory, size);
}
