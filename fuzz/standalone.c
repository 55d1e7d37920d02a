/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target where libFuzzer is not: over each file of a corpus, and over a fixed number of mutations of
 * each, always the same ones. Linked with one fuzz_*.c:
 *     fuzz_value-standalone fuzz/corpus/value 2000
 */
#include <dirent.h>
#include <errno.h>

#include "message/value_fixture.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_file(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* In memory of exactly its size, so that sanitizers see a read past it. */
static unsigned char *exact_copy(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = malloc(size > 0 ? size : 1);
    fixture_require(copy != NULL, "no memory");
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static void run_one(const unsigned char *bytes, size_t size)
{
    unsigned char *copy = exact_copy(bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int run_file(const char *directory, const char *name, uint64_t seed, unsigned long mutations)
{
    static unsigned char bytes[FILE_BYTES_MAX];
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return 1;
    }
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    run_one(bytes, size);
    for (unsigned long i = 0; i < mutations; i++) {
        unsigned char *mutated = exact_copy(bytes, size);
        size_t mutated_bytes = fixture_mutate(mutated, size, &seed);
        run_one(mutated, mutated_bytes);
        free(mutated);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY MUTATIONS-PER-FILE\n", argv[0]);
        return 2;
    }
    struct dirent **entries = NULL;
    unsigned long mutations = strtoul(argv[2], NULL, 10);
    int count = scandir(argv[1], &entries, is_file, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: %s\n", argv[1], count < 0 ? strerror(errno) : "no files");
        return 1;
    }
    int failed = 0;
    for (int i = 0; i < count; i++) {
        failed |= run_file(argv[1], entries[i]->d_name, (uint64_t)i + 1, mutations);
        free(entries[i]);
    }
    free(entries);
    printf("%d files, %lu mutations of each\n", count, mutations);
    return failed;
}
