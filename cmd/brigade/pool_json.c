/* SPDX-License-Identifier: MIT */
/* Options whose argument is JSON, on the command line or in a file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pool_options.h"

static char *json_load(const char *file, size_t *size)
{
    FILE *from = fopen(file, "rb");
    char *text = NULL;
    size_t capacity = 0;
    *size = 0;
    while (from != NULL) {
        if (*size == capacity) {
            capacity = capacity == 0 ? 4096 : 2 * capacity;
            char *larger = realloc(text, capacity);
            if (larger == NULL)
                break;
            text = larger;
        }
        size_t count = fread(text + *size, 1, capacity - *size, from);
        *size += count;
        if (count == 0) {
            bool whole = !ferror(from);
            fclose(from);
            if (whole)
                return text;
            from = NULL;
        }
    }
    if (from != NULL)
        fclose(from);
    free(text);
    return NULL;
}

bool pool_read_json(const char *command, const char *option, const char *text, brg_value **out)
{
    brg_error error = {.status = BRG_OK};
    char *loaded = NULL;
    size_t size = strlen(text);
    errno = 0;
    if (text[0] == '@' && (loaded = json_load(text + 1, &size)) == NULL)
        return cli_complain(command, "--%s: %s: %s", option, text + 1, strerror(errno != 0 ? errno : ENOMEM));
    brg_value *value = NULL;
    brg_status status = brg_value_from_json(&value, loaded != NULL ? loaded : text, size, &error);
    free(loaded);
    if (status == BRG_NO_MEMORY)
        return cli_complain_memory(command, option);
    if (status != BRG_OK)
        return cli_complain(command, "--%s: %s%s%s is no JSON: %s", option, loaded != NULL ? "" : "\"",
                            text[0] == '@' ? text + 1 : text, loaded != NULL ? "" : "\"", error.message);
    brg_value_unref(*out);
    *out = value;
    return true;
}
