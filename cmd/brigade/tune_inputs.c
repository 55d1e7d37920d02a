/* SPDX-License-Identifier: MIT */
/* What the tasks get: one value, or the lines of a file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tune.h"

#define INPUTS_MAX 100000

static bool inputs_is_blank(const char *line, ssize_t length)
{
    for (ssize_t i = 0; i < length; i++)
        if (strchr(" \t\r\n", line[i]) == NULL || line[i] == '\0')
            return false;
    return true;
}

static bool inputs_add(tune_run *run, brg_value *value)
{
    if ((run->input_count & (run->input_count + 1)) == 0 || run->inputs == NULL) { /* 2^n - 1 of them: full */
        brg_value **larger = realloc(run->inputs, (2 * run->input_count + 2) * sizeof(brg_value *));
        if (larger == NULL)
            return false;
        run->inputs = larger;
    }
    run->inputs[run->input_count++] = value;
    return true;
}

static bool inputs_line(tune_run *run, const char *line, ssize_t length, uint64_t number)
{
    brg_error error;
    brg_value *value = NULL;
    brg_status status = brg_value_from_json(&value, line, (size_t)length, &error);
    if (status == BRG_NO_MEMORY)
        return cli_complain_memory("tune", run->options.inputs);
    if (status != BRG_OK)
        return cli_complain("tune", "%s, line %llu: %s", run->options.inputs, (unsigned long long)number,
                            error.message);
    if (inputs_add(run, value))
        return true;
    brg_value_unref(value);
    return cli_complain_memory("tune", NULL);
}

static bool inputs_read(tune_run *run, FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    bool good = true;
    uint64_t number = 0;
    errno = 0;
    while (good && run->input_count < INPUTS_MAX) {
        ssize_t length = getline(&line, &capacity, file);
        if (length < 0)
            break;
        size_t mark = number++ == 0 && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        if (!inputs_is_blank(line + mark, length - (ssize_t)mark))
            good = inputs_line(run, line + mark, length - (ssize_t)mark, number);
    }
    free(line);
    if (good && ferror(file))
        return cli_complain("tune", "%s: %s", run->options.inputs, strerror(errno));
    if (good && run->input_count == 0)
        return cli_complain("tune", "%s: there is no line of JSON in it", run->options.inputs);
    return good;
}

bool tune_load_inputs(tune_run *run)
{
    const char *name = run->options.inputs;
    if (name == NULL && run->options.input == NULL)
        return true;
    if (name == NULL) {
        brg_value *value = NULL;
        if (!pool_read_json("tune", "input", run->options.input, &value))
            return false;
        if (inputs_add(run, value))
            return true;
        brg_value_unref(value);
        return cli_complain_memory("tune", NULL);
    }
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(name, "r");
    if (file == NULL)
        return cli_complain("tune", "--inputs %s: %s", name, strerror(errno));
    bool good = inputs_read(run, file);
    if (!is_stdin)
        fclose(file);
    return good;
}

void tune_free_inputs(tune_run *run)
{
    for (size_t i = 0; i < run->input_count; i++)
        brg_value_unref(run->inputs[i]);
    free(run->inputs);
    run->inputs = NULL;
    run->input_count = 0;
}
