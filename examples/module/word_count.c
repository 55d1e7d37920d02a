/* SPDX-License-Identifier: MIT */
/* A module of one's own: the task "count" tells how many lines and words a text file has. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <brigade/module.h>

typedef struct counts {
    int64_t lines;
    int64_t words;
} counts;

static counts count_stream(FILE *stream)
{
    counts total = {0};
    bool in_word = false;
    for (int byte = getc(stream); byte != EOF; byte = getc(stream)) {
        total.lines += byte == '\n';
        total.words += !isspace(byte) && !in_word;
        in_word = !isspace(byte);
    }
    return total;
}

static brg_status count(brg_context *context, const brg_value *input, brg_value **output)
{
    const char *path = brg_view_get_string(brg_value_root(input), "path", NULL);
    if (path == NULL)
        return brg_context_fail(context, EINVAL, "the input needs a \"path\"");
    FILE *stream = fopen(path, "r");
    if (stream == NULL)
        return brg_context_fail(context, errno, "%s", strerror(errno));

    counts total = count_stream(stream);
    bool unreadable = ferror(stream) != 0;
    fclose(stream);
    if (unreadable)
        return brg_context_fail(context, EIO, "not readable as a file");
    return brg_value_map(output, NULL, brg_field_int("lines", total.lines), brg_field_int("words", total.words));
}

BRG_MODULE(word_count, .tasks = BRG_TASKS({"count", count}));
