/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/library.h"

#include <dlfcn.h>
#include <string.h>

/* The loader tells only in words whether it was the file itself, and not something it needs, that was missing. */
static bool library_is_missing(const char *path, const char *words)
{
    size_t length = strlen(path);
    return !brg__library_exists(path) ||
           (strncmp(words, path, length) == 0 && strstr(words + length, "No such file or directory") != NULL);
}

brg_status brg__library_open(void **out, const char *path, brg_error *error)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *words = dlerror();
        if (words == NULL)
            words = "unknown reason";
        return brg_error_set(error, library_is_missing(path, words) ? BRG_NOT_FOUND : BRG_START_FAILED, "os",
                             "loading %s: %s", path, words);
    }
    *out = library;
    return BRG_OK;
}

brg_status brg__library_symbol(void *library, const char *name, void **out, brg_error *error)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        const char *words = dlerror();
        return brg_error_set(error, BRG_NOT_FOUND, "os", "looking up %s: %s", name,
                             words == NULL ? "it is null" : words);
    }
    *out = symbol;
    return BRG_OK;
}

void brg__library_close(void *library)
{
    if (library != NULL)
        dlclose(library);
}
