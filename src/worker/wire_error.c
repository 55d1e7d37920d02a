/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "worker/protocol.h"

void brg__wire_error_from(brg__wire_error *to, const brg_error *from)
{
    memset(to, 0, sizeof(*to));
    to->status = from->status;
    to->os_errno = from->os_errno;
    to->code = from->code;
    memcpy(to->domain, from->domain, sizeof(to->domain));
    memcpy(to->message, from->message, sizeof(to->message));
}

/* Terminates, and replaces control characters: the text may end on a terminal. */
static void wire_error_clean(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

void brg__wire_error_to(brg_error *to, const brg__wire_error *from)
{
    memset(to, 0, sizeof(*to));
    bool known = from->status < 0 && strcmp(brg_status_name((brg_status)from->status), "BRG_?") != 0;
    to->status = known ? (brg_status)from->status : BRG_FAILED;
    to->os_errno = from->os_errno;
    to->code = from->code;
    memcpy(to->domain, from->domain, sizeof(to->domain));
    memcpy(to->message, from->message, sizeof(to->message));
    wire_error_clean(to->domain, sizeof(to->domain));
    wire_error_clean(to->message, sizeof(to->message));
}
