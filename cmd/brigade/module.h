/* SPDX-License-Identifier: MIT */
/* Where task modules are: given as a file, or by the name of one that ships. */
#ifndef BRIGADE_MODULE_FIND_H
#define BRIGADE_MODULE_FIND_H

#include <stdbool.h>

#define MODULE_PATH_MAX 4096

/* The whole path of a file: a name without a slash would be looked for among the system's libraries. False with errno. */
bool module_find_file(const char *file, char path[MODULE_PATH_MAX]);

/* NAME.so in BRIGADE_MODULE_PATH, beside this program (a build tree), below its prefix, or where it was installed. */
bool module_find_shipped(const char *name, char path[MODULE_PATH_MAX]);

/* Either: with a slash, or ending in ".so", it is a file. False after it printed an error, as "brigade COMMAND: ...". */
bool module_find(const char *command, const char *name, char path[MODULE_PATH_MAX]);

/* Where they are when they are installed. */
const char *module_directory(void);

#endif
