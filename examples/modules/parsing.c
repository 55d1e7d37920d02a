/* SPDX-License-Identifier: MIT */
/* A module that one would rather not have in one's own process: a parser of text that anybody may send. */
#include <brigade.h>

#include <stdlib.h>
#include <string.h>

/* The number in "key=number". It believes that there always is one, and that nobody says "crash". */
static brg_status parse(brg_context *context, const brg_value *input, brg_value **output)
{
    const char *text = brg_view_string(brg_value_root(input), NULL);
    const char *equals = text == NULL ? NULL : strchr(text, '=');
    if (text != NULL && strcmp(text, "crash") == 0)
        abort();
    if (equals == NULL)
        return brg_context_fail(context, 0, "\"%s\" has no =", text == NULL ? "" : text);
    return brg_value_int(output, strtoll(equals + 1, NULL, 10), NULL);
}

BRG_MODULE(parsing, .tasks = BRG_TASKS({"parse", parse}));
