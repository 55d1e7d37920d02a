/* SPDX-License-Identifier: MIT */
#include "module.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#ifndef BRIGADE_MODULE_DIR
#define BRIGADE_MODULE_DIR "/usr/local/lib/brigade/modules"
#endif

const char *module_directory(void) { return BRIGADE_MODULE_DIR; }

static bool module_try(char *path, const char *directory, const char *below, const char *name)
{
    return snprintf(path, MODULE_PATH_MAX, "%s%s/%s.so", directory, below, name) < MODULE_PATH_MAX &&
           access(path, R_OK) == 0;
}

static bool module_try_glob(char *path, const char *directory, const char *below, const char *name)
{
    char full[MODULE_PATH_MAX];
    glob_t found;
    if (snprintf(full, sizeof(full), "%s%s/%s.so", directory, below, name) >= MODULE_PATH_MAX ||
        glob(full, 0, NULL, &found) != 0)
        return false;
    bool good = snprintf(path, MODULE_PATH_MAX, "%s", found.gl_pathv[0]) < MODULE_PATH_MAX && access(path, R_OK) == 0;
    globfree(&found);
    return good;
}

bool module_find_file(const char *file, char path[MODULE_PATH_MAX])
{
    char *whole = realpath(file, NULL);
    if (whole == NULL)
        return false;
    bool good = access(whole, R_OK) == 0;
    if (good && snprintf(path, MODULE_PATH_MAX, "%s", whole) >= MODULE_PATH_MAX) {
        errno = ENAMETOOLONG;
        good = false;
    }
    free(whole);
    return good;
}

bool module_find_shipped(const char *name, char path[MODULE_PATH_MAX])
{
    const char *named = getenv("BRIGADE_MODULE_PATH");
    if (named != NULL && named[0] != '\0' && module_try(path, named, "", name))
        return true;
    char self[MODULE_PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length > 0) {
        self[length] = '\0';
        char *slash = strrchr(self, '/');
        if (slash != NULL)
            *slash = '\0';
        if (module_try(path, self, "/modules", name) || module_try_glob(path, self, "/../lib*/brigade/modules", name) ||
            module_try_glob(path, self, "/../lib*/*/brigade/modules", name))
            return true;
    }
    return module_try(path, BRIGADE_MODULE_DIR, "", name);
}

bool module_find(const char *command, const char *name, char path[MODULE_PATH_MAX])
{
    size_t length = strlen(name);
    bool is_file = strchr(name, '/') != NULL || (length > 3 && strcmp(name + length - 3, ".so") == 0);
    if (is_file)
        return module_find_file(name, path) || cli_complain(command, "module %s: %s", name, strerror(errno));
    return module_find_shipped(name, path) ||
           cli_complain(command,
                        "there is no module \"%s\" beside this program nor in %s; give the path of a file, as ./%s.so",
                        name, BRIGADE_MODULE_DIR, name);
}
