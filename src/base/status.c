/* SPDX-License-Identifier: MIT */
#include <brigade/status.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *brg_version(void) { return BRG_VERSION; }

const char *brg_status_name(brg_status status)
{
    switch (status) {
#define STATUS_NAME(name, number, text)                                                                                \
    case BRG_##name:                                                                                                   \
        return "BRG_" #name;
        BRG_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    }
    return "BRG_?";
}

const char *brg_status_text(brg_status status)
{
    switch (status) {
#define STATUS_TEXT(name, number, text)                                                                                \
    case BRG_##name:                                                                                                   \
        return text;
        BRG_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

brg_status brg_error_set(brg_error *error, brg_status status, const char *domain, const char *format, ...)
{
    if (error == NULL)
        return status;
    int saved_errno = errno;
    /* Made aside first: the arguments may point into *error. */
    brg_error made = {.status = status};
    snprintf(made.domain, sizeof(made.domain), "%s", domain == NULL ? "" : domain);
    if (format != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(made.message, sizeof(made.message), format, arguments);
        va_end(arguments);
    }
    memcpy(error, &made, sizeof(made));
    errno = saved_errno;
    return status;
}
