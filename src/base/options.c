/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include <string.h>

#include "base/util.h"

/* No option struct comes near this; a size above it was never set. */
#define OPTIONS_SIZE_MAX 65536

brg_status brg__options_read(void *to, size_t to_size, const void *from, const char *what, brg_error *error)
{
    size_t from_size = 0;
    if (from != NULL) {
        memcpy(&from_size, from, sizeof(from_size));
        if (from_size < sizeof(from_size) || from_size > OPTIONS_SIZE_MAX)
            return brg_error_set(error, BRG_INVALID, "options",
                                 "%s: size is %zu; set it to the size of the struct, or use the _opts() macro", what,
                                 from_size);
        const unsigned char *bytes = from;
        for (size_t i = to_size; i < from_size; i++)
            if (bytes[i] != 0)
                return brg_error_set(error, BRG_UNSUPPORTED, "options",
                                     "%s: an option at byte %zu is set that version " BRG_VERSION " does not know",
                                     what, i);
    }
    size_t known = (size_t)brg__min(from_size, to_size);
    if (known > 0)
        memcpy(to, from, known);
    memset((char *)to + known, 0, to_size - known);
    memcpy(to, &to_size, sizeof(to_size));
    return BRG_OK;
}
