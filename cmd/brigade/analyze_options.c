/* SPDX-License-Identifier: MIT */
/* The options of `brigade analyze`: one table, and what each sets. */
#include <stdlib.h>
#include <string.h>

#include "analyze.h"
#include "sorter.h" /* of modules/analyze */

#define OPTIONS_CHUNK ((uint64_t)2 << 20)
#define OPTIONS_MAX_GROUPS 100000000

const cli_option analyze_option_table[] = {
    {"", 0, CLI_NONE, NULL, "What is computed, a row of the result for each group:"},
    {"group-by", 'g', CLI_REQUIRED, "COLUMN,...", "the columns that make a group; none: all rows are one"},
    {"count", 'c', CLI_NONE, NULL, "how many rows"},
    {"sum", 0, CLI_REQUIRED, "COLUMN,...", "sums"},
    {"mean", 0, CLI_REQUIRED, "COLUMN,...", "means"},
    {"min", 0, CLI_REQUIRED, "COLUMN,...", "least numbers"},
    {"max", 0, CLI_REQUIRED, "COLUMN,...", "greatest numbers"},
    {"median", 0, CLI_REQUIRED, "COLUMN,...", "50th percentiles"},
    {"percentile", 'p', CLI_REQUIRED, "P,...:COLUMN", "percentiles, 0 to 100, at most 0.4 % off"},
    {"exact", 0, CLI_NONE, NULL, "percentiles exactly; needs memory for each different number"},
    {"distinct", 0, CLI_REQUIRED, "COLUMN,...", "how many different values"},
    {"", 0, CLI_NONE, NULL, "Or rows, as they are:"},
    {"select", 's', CLI_REQUIRED, "COLUMN,...", "these columns; without it all"},
    {"", 0, CLI_NONE, NULL, "Which, and in what order:"},
    {"where", 0, CLI_REQUIRED, "EXPRESSION",
     "only rows for which it holds, as 'country == \"DE\" && price > 10'; "
     "several must all hold"},
    {"sort", 0, CLI_REQUIRED, "COLUMN[:desc],...", "order of the result, or of rows"},
    {"limit", 'n', CLI_REQUIRED, "N", "at most N rows of result"},
    {"top", 0, CLI_REQUIRED, "N:COLUMN", "the N with the greatest: --sort COLUMN:desc --limit N"},
    {"", 0, CLI_NONE, NULL, "Input and output:"},
    {"input", 'i', CLI_REQUIRED, "FORMAT", "csv or ndjson; by default ndjson for names in .ndjson and .jsonl"},
    {"delimiter", 'd', CLI_REQUIRED, "CHARACTER", "between fields, or tab; by default a comma"},
    {"no-header", 0, CLI_NONE, NULL, "the first row is data; columns are called 1, 2, ..."},
    {"format", 'f', CLI_REQUIRED, "FORMAT", "table, csv or json; by default table for groups, csv for rows"},
    {"json", 0, CLI_NONE, NULL, "--format json"},
    {"", 0, CLI_NONE, NULL, "Limits:"},
    {"row-max", 0, CLI_REQUIRED, "SIZE", "longer rows are malformed; by default 1M"},
    {"sort-memory", 0, CLI_REQUIRED, "SIZE", "more sorted rows go to a file in $TMPDIR; by default 256M"},
    {"groups-max", 0, CLI_REQUIRED, "N", "more groups are an error; by default 1000000"},
    {"values-max", 0, CLI_REQUIRED, "N", "values kept for percentiles and --distinct; by default 20000000"},
    {"", 0, CLI_NONE, NULL, "Workers:"},
    {"workers", 'w', CLI_REQUIRED, "N", "how many; by default as many as CPUs may be used"},
    {"isolation", 0, CLI_REQUIRED, "KIND", "process (default): a crash costs one chunk's work; or thread"},
    {"chunk", 0, CLI_REQUIRED, "SIZE", "bytes that one task reads; by default 2M"},
    {"module", 0, CLI_REQUIRED, "PATH", "the analyze module, where it is not found by itself"},
    {"", 0, CLI_NONE, NULL, "What is shown:"},
    {"malformed", 0, CLI_REQUIRED, "N", "malformed rows described; by default 5"},
    {"strict", 0, CLI_NONE, NULL, "end with 1 when a row was malformed"},
    {"stats", 0, CLI_NONE, NULL, "a line on standard error: rows, malformed ones, seconds, speed"},
    {"progress", 0, CLI_REQUIRED, "WHEN", "auto (default: on a terminal), always or never"},
    {"quiet", 'q', CLI_NONE, NULL, "only errors and the result"},
    {"help", 'h', CLI_NONE, NULL, "show this"},
    {NULL, 0, CLI_NONE, NULL, NULL},
};

/* Nothing has begun yet. */
static __attribute__((noreturn)) void options_lack_memory(void)
{
    cli_complain_memory("analyze", NULL);
    exit(cli_refused());
}

/* The next of a list with commas, a copy; names with commas in double quotes, as in CSV. NULL at the end. */
static char *options_next(const char **at)
{
    const char *text = *at;
    if (text == NULL)
        return NULL;
    char *name = malloc(strlen(text) + 1), *to = name;
    if (name == NULL)
        options_lack_memory();
    if (*text == '"') {
        for (text++; *text != '\0'; *to++ = *text++)
            if (*text == '"' && *++text != '"')
                break;
    }
    while (*text != '\0' && *text != ',')
        *to++ = *text++;
    *to = '\0';
    *at = *text == ',' ? text + 1 : NULL;
    return name;
}

static bool options_list(const char *option, const char *text, char **list, uint32_t *count)
{
    char *name;
    while ((name = options_next(&text)) != NULL) {
        if (name[0] == '\0' || *count == ANALYZE_LIST_MAX) {
            free(name);
            return *count == ANALYZE_LIST_MAX
                       ? cli_complain("analyze", "--%s: at most %d columns", option, ANALYZE_LIST_MAX)
                       : cli_complain("analyze", "--%s: a name is empty", option);
        }
        list[(*count)++] = name;
    }
    return true;
}

static bool options_measure(analyze_options *options, analyze_measure_kind kind, const char *word, char *column,
                            double percent)
{
    if (options->measure_count == ANALYZE_LIST_MAX || (column != NULL && column[0] == '\0')) {
        bool full = options->measure_count == ANALYZE_LIST_MAX;
        free(column);
        return full ? cli_complain("analyze", "at most %d columns of result", ANALYZE_LIST_MAX)
                    : cli_complain("analyze", "--%s: a name is empty", word);
    }
    analyze_measure *measure = &options->measures[options->measure_count++];
    *measure = (analyze_measure){.kind = kind, .column = column, .percent = percent};
    int length = column == NULL               ? asprintf(&measure->title, "count")
                 : kind == MEASURE_PERCENTILE ? asprintf(&measure->title, "p%g(%s)", percent, column)
                                              : asprintf(&measure->title, "%s(%s)", word, column);
    if (length < 0)
        options_lack_memory();
    return true;
}

static bool options_measures(analyze_options *options, analyze_measure_kind kind, const char *word, const char *text,
                             double percent)
{
    char *name;
    while ((name = options_next(&text)) != NULL)
        if (!options_measure(options, kind, word, name, percent))
            return false;
    return true;
}

static bool options_percentile(analyze_options *options, const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0')
        return cli_complain("analyze", "--percentile: \"%s\" has no column; write 95:price or 50,99:price", text);
    while (text < colon) {
        char number[32];
        size_t size = strcspn(text, ",:");
        snprintf(number, sizeof(number), "%.*s", (int)(size < sizeof(number) ? size : sizeof(number) - 1), text);
        double percent;
        if (!cli_read_number("analyze", "percentile", number, 0, 100, &percent) ||
            !options_measures(options, MEASURE_PERCENTILE, "percentile", colon + 1, percent))
            return false;
        text += size + 1;
    }
    return true;
}

static bool options_sort(analyze_options *options, const char *text)
{
    char *name;
    while ((name = options_next(&text)) != NULL) {
        char *colon = strrchr(name, ':');
        bool descending = colon != NULL && strcmp(colon, ":desc") == 0;
        if (descending || (colon != NULL && strcmp(colon, ":asc") == 0))
            *colon = '\0';
        if (name[0] == '\0' || options->sort_count == ANALYZE_LIST_MAX) {
            free(name);
            return cli_complain("analyze", "--sort: a name is empty, or there are more than %d", ANALYZE_LIST_MAX);
        }
        options->sort[options->sort_count++] = (analyze_order_by){name, descending};
    }
    return true;
}

static bool options_top(analyze_options *options, const char *text)
{
    const char *colon = strchr(text, ':');
    char number[32];
    if (colon == NULL || colon[1] == '\0' || (size_t)(colon - text) >= sizeof(number))
        return cli_complain("analyze", "--top: \"%s\" is no N:COLUMN; write 10:price", text);
    snprintf(number, sizeof(number), "%.*s", (int)(colon - text), text);
    if (options->sort_count == ANALYZE_LIST_MAX)
        return cli_complain("analyze", "--top: too many columns to sort by");
    if (!cli_read_count("analyze", "top", number, 1, UINT64_MAX - 1, &options->limit))
        return false;
    options->has_limit = true;
    analyze_order_by *by = &options->sort[options->sort_count++];
    *by = (analyze_order_by){strdup(colon + 1), true};
    if (by->column == NULL)
        options_lack_memory();
    return true;
}

static bool options_delimiter(analyze_options *options, const char *text)
{
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0)
        text = "\t";
    if (text[0] == '\0' || text[1] != '\0' || strchr("\"\r\n", text[0]) != NULL)
        return cli_complain("analyze", "--delimiter: \"%s\" is no single byte; write ';' or tab", text);
    options->delimiter = text[0];
    options->has_delimiter = true;
    return true;
}

static bool options_flag(analyze_options *options, const char *name)
{
    const cli_flag flags[] = {{"no-header", &options->no_header}, {"exact", &options->exact},
                              {"quiet", &options->quiet},         {"stats", &options->stats},
                              {"strict", &options->strict},       {NULL, NULL}};
    if (cli_set_flag(flags, name))
        return true;
    if (strcmp(name, "json") != 0)
        return false;
    options->print = ANALYZE_PRINT_JSON;
    return true;
}

static bool options_number(analyze_options *options, const char *name, const char *argument, bool *good)
{
    const struct {
        const char *name;
        uint64_t least, most, *number;
    } counts[] = {{"workers", 1, 1024, &options->workers},
                  {"malformed", 0, RESULT_PROBLEMS_MAX, &options->malformed},
                  {"groups-max", 1, OPTIONS_MAX_GROUPS, &options->groups_max},
                  {"values-max", 1, UINT64_MAX / 2, &options->values_max}};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        if (strcmp(counts[i].name, name) == 0) {
            *good = cli_read_count("analyze", name, argument, counts[i].least, counts[i].most, counts[i].number);
            return true;
        }
    if (strcmp(name, "limit") == 0) {
        *good = options->has_limit = cli_read_count("analyze", name, argument, 0, UINT64_MAX - 1, &options->limit);
        return true;
    }
    if (strcmp(name, "sort-memory") == 0) {
        *good = cli_read_size("analyze", name, argument, &options->sort_memory);
        if (*good && options->sort_memory < SORTER_MEMORY_LEAST)
            *good = cli_complain("analyze", "--sort-memory: at least 16k");
        return true;
    }
    uint64_t *size = strcmp(name, "chunk") == 0     ? &options->chunk
                     : strcmp(name, "row-max") == 0 ? &options->row_max
                                                    : NULL;
    if (size == NULL)
        return false;
    *good = cli_read_size("analyze", name, argument, size);
    if (*good && *size > UINT64_C(1) << 27)
        *good = cli_complain("analyze", "--%s: at most 128M", name);
    return true;
}

static bool options_word_of(analyze_options *options, const char *name, const char *argument)
{
    static const char *const isolations[] = {"thread", "process", NULL}, *const whens[] = {"auto", "always", "never",
                                                                                           NULL};
    static const char *const prints[] = {"table", "csv", "json", NULL}, *const inputs[] = {"csv", "ndjson", NULL};
    int word = 0;
    if (strcmp(name, "isolation") == 0 && cli_read_word("analyze", name, argument, isolations, &word))
        options->isolation = word == 0 ? BRG_ISOLATION_THREAD : BRG_ISOLATION_PROCESS;
    else if (strcmp(name, "progress") == 0 && cli_read_word("analyze", name, argument, whens, &word))
        options->progress = (analyze_when)word;
    else if (strcmp(name, "format") == 0 && cli_read_word("analyze", name, argument, prints, &word))
        options->print = (analyze_print)(word + 1);
    else if (strcmp(name, "input") == 0 && cli_read_word("analyze", name, argument, inputs, &word)) {
        options->input = word == 0 ? ANALYZE_CSV : ANALYZE_NDJSON;
        options->has_input = true;
    } else {
        return false;
    }
    return true;
}

bool analyze_take_option(void *state, const cli_option *option, const char *argument)
{
    static const char *const measures[] = {"count", "sum", "mean", "min", "max", NULL, "distinct"};
    analyze_options *options = state;
    const char *name = option->name;
    bool good = false;
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++)
        if (measures[i] != NULL && strcmp(name, measures[i]) == 0)
            return argument == NULL ? options_measure(options, MEASURE_COUNT, name, NULL, 0)
                                    : options_measures(options, (analyze_measure_kind)i, name, argument, 0);
    if (strcmp(name, "median") == 0)
        return options_measures(options, MEASURE_PERCENTILE, name, argument, 50);
    if (strcmp(name, "percentile") == 0)
        return options_percentile(options, argument);
    if (strcmp(name, "group-by") == 0)
        return options_list(name, argument, options->groups, &options->group_count);
    if (strcmp(name, "select") == 0)
        return options_list(name, argument, options->select, &options->select_count);
    if (strcmp(name, "sort") == 0)
        return options_sort(options, argument);
    if (strcmp(name, "top") == 0)
        return options_top(options, argument);
    if (strcmp(name, "delimiter") == 0)
        return options_delimiter(options, argument);
    if (strcmp(name, "where") == 0) {
        if (options->where_count == ANALYZE_LIST_MAX)
            return cli_complain("analyze", "--where: at most %d times", ANALYZE_LIST_MAX);
        options->where[options->where_count++] = argument;
        return true;
    }
    if (strcmp(name, "module") == 0) {
        options->module = argument;
        return true;
    }
    if (options_number(options, name, argument, &good))
        return good;
    return options_flag(options, name) || options_word_of(options, name, argument);
}

bool analyze_check_options(analyze_options *options)
{
    if (options->group_count != 0 && options->measure_count == 0 &&
        !options_measure(options, MEASURE_COUNT, "count", NULL, 0))
        return false;
    bool rows = options->measure_count == 0;
    if (!rows && options->select_count != 0)
        return cli_complain("analyze", "--select shows rows, --group-by and measures show groups: give one of them");
    if (rows && options->print == ANALYZE_PRINT_TABLE && !options->has_limit)
        return cli_complain("analyze", "--format table of rows needs --limit N; or choose csv or json");
    if (options->delimiter == '\0')
        options->delimiter = ',';
    if (options->chunk == 0)
        options->chunk = OPTIONS_CHUNK;
    return true;
}

void analyze_free_options(analyze_options *options)
{
    for (uint32_t i = 0; i < options->group_count; i++)
        free(options->groups[i]);
    for (uint32_t i = 0; i < options->select_count; i++)
        free(options->select[i]);
    for (uint32_t i = 0; i < options->sort_count; i++)
        free(options->sort[i].column);
    for (uint32_t i = 0; i < options->measure_count; i++) {
        free(options->measures[i].column);
        free(options->measures[i].title);
    }
}
