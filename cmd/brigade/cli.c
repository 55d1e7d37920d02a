/* SPDX-License-Identifier: MIT */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define CLI_OPTIONS_MAX 128
#define CLI_HELP_COLUMN 32
#define CLI_COLUMNS 80 /* of what is no terminal */

bool cli_complain(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "brigade%s%s: ", command[0] != '\0' ? " " : "", command);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

static bool cli_lacked_memory;

bool cli_complain_memory(const char *command, const char *what)
{
    cli_lacked_memory = true;
    return cli_complain(command, "%s%sout of memory", what != NULL ? what : "", what != NULL ? ": " : "");
}

int cli_refused(void) { return cli_lacked_memory ? CLI_CANNOT_RUN : CLI_USAGE; }

/* ---- the table --------------------------------------------------------------------------------------------------- */

/* The option as --help shows it: "-o, --output=DIR". */
static void cli_spell(const cli_option *option, char *text, size_t size)
{
    char letter[8] = "    ";
    if (option->letter != 0)
        snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    const char *open = option->argument == CLI_OPTIONAL ? "[=" : option->argument == CLI_REQUIRED ? " " : "";
    const char *close = option->argument == CLI_OPTIONAL ? "]" : "";
    snprintf(text, size, "  %s--%s%s%s%s", letter, option->name, open,
             option->argument == CLI_NONE ? "" : option->value, close);
}

/* Words of `text` wrapped behind `column`. */
static void cli_wrap(FILE *to, const char *text, int column)
{
    int at = column;
    while (*text != '\0') {
        int word = (int)strcspn(text, " ");
        if (at > column && at + 1 + word > 100) {
            fprintf(to, "\n%*s", column, "");
            at = column;
        }
        at += fprintf(to, "%s%.*s", at > column ? " " : "", word, text);
        text += word + (text[word] == ' ');
    }
    fputc('\n', to);
}

static void cli_print_table(const cli_option *option, FILE *to)
{
    for (; option->name != NULL; option++) {
        if (option->name[0] == '\0') {
            fprintf(to, "\n%s\n", option->help);
            continue;
        }
        char text[80];
        cli_spell(option, text, sizeof(text));
        int length = fprintf(to, "%s", text);
        if (length >= CLI_HELP_COLUMN - 1)
            fprintf(to, "\n%*s", CLI_HELP_COLUMN, "");
        else
            fprintf(to, "%*s", CLI_HELP_COLUMN - length, "");
        cli_wrap(to, option->help, CLI_HELP_COLUMN);
    }
}

void cli_print_help(const cli_command *command, FILE *to)
{
    fprintf(to, "usage: %s\n\n%s\n", command->usage, command->summary);
    cli_print_table(command->options, to);
    if (command->shared != NULL)
        cli_print_table(command->shared, to);
}

static void cli_print_names(const cli_option *option, FILE *to)
{
    for (; option->name != NULL; option++)
        if (option->name[0] != '\0')
            fprintf(to, "--%s\n", option->name);
}

void cli_print_options(const cli_command *command, FILE *to)
{
    cli_print_names(command->options, to);
    if (command->shared != NULL)
        cli_print_names(command->shared, to);
}

typedef struct cli_table {
    struct option list[CLI_OPTIONS_MAX + 1];
    const cli_option *of[CLI_OPTIONS_MAX];
    char letters[2 * CLI_OPTIONS_MAX + 2];
    int count;
} cli_table;

static void cli_add_options(cli_table *table, const cli_option *option)
{
    static const int kinds[] = {no_argument, required_argument, optional_argument};
    char *letters = table->letters + strlen(table->letters);
    for (; option->name != NULL && table->count < CLI_OPTIONS_MAX; option++) {
        if (option->name[0] == '\0')
            continue;
        table->list[table->count] = (struct option){option->name, kinds[option->argument], NULL, 1000 + table->count};
        table->of[table->count++] = option;
        if (option->letter != 0) {
            *letters++ = option->letter;
            if (option->argument == CLI_REQUIRED)
                *letters++ = ':';
        }
    }
    table->list[table->count] = (struct option){NULL, 0, NULL, 0};
    *letters = '\0';
}

static const cli_option *cli_find(const cli_table *table, int code)
{
    for (int i = 0; i < table->count; i++)
        if (code == 1000 + i || (code > 0 && code < 256 && table->of[i]->letter == code))
            return table->of[i];
    return NULL;
}

/* What getopt_long refused. It moves operands behind options, so the word at fault is the one before optind. */
static int cli_refuse(const cli_command *command, const cli_table *table, int code, char **argv)
{
    const cli_option *option = optopt == 0 ? NULL : cli_find(table, optopt);
    char letter[3] = {'-', (char)optopt, '\0'};
    const char *word = optopt > 0 && optopt < 256 ? letter : argv[optind - 1];

    if (code == ':')
        cli_complain(command->name, "option %s needs an argument; see \"brigade %s --help\"", word, command->name);
    else if (option != NULL)
        cli_complain(command->name, "option --%s takes no argument", option->name);
    else
        cli_complain(command->name, "unknown or ambiguous option %s; see \"brigade %s --help\"", word, command->name);
    return CLI_USAGE;
}

int cli_parse(const cli_command *command, int argc, char **argv, void *state, int *first)
{
    cli_table table = {.count = 0, .letters = ":"};
    cli_add_options(&table, command->options);
    if (command->shared != NULL)
        cli_add_options(&table, command->shared);
    optind = 1;
    opterr = 0;
    for (;;) {
        int code = getopt_long(argc, argv, table.letters, table.list, NULL);
        if (code == -1)
            break;
        if (code == '?' || code == ':')
            return cli_refuse(command, &table, code, argv);
        const cli_option *option = cli_find(&table, code);
        if (strcmp(option->name, "help") == 0) {
            cli_print_help(command, stdout);
            return CLI_OK;
        }
        if (!command->take(state, option, optarg))
            return cli_refused();
    }
    *first = optind;
    return -1;
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

bool cli_set_flag(const cli_flag *flags, const char *name)
{
    for (; flags->name != NULL; flags++)
        if (strcmp(flags->name, name) == 0) {
            *flags->flag = true;
            return true;
        }
    return false;
}

bool cli_read_count(const char *command, const char *option, const char *text, uint64_t least, uint64_t most,
                    uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' || number < least || number > most)
        return cli_complain(command, "--%s: \"%s\" is no whole number from %llu to %llu", option, text,
                            (unsigned long long)least, (unsigned long long)most);
    *out = number;
    return true;
}

bool cli_read_number(const char *command, const char *option, const char *text, double least, double most, double *out)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= least && number <= most))
        return cli_complain(command, "--%s: \"%s\" is no number from %g to %g", option, text, least, most);
    *out = number;
    return true;
}

static bool cli_read_unit(const char *text, const char *const units[], const double factors[], double *out)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || !(number >= 0) || !isfinite(number))
        return false;
    for (size_t i = 0; units[i] != NULL; i++)
        if (strcmp(end, units[i]) == 0) {
            *out = number * factors[i];
            return *out < 9e18;
        }
    return false;
}

bool cli_read_duration(const char *command, const char *option, const char *text, uint64_t *ns)
{
    static const char *const units[] = {"us", "ms", "s", "m", "h", NULL};
    static const double factors[] = {1e3, 1e6, 1e9, 60e9, 3600e9};
    double value = 0;
    if (!cli_read_unit(text, units, factors, &value) || value < 1)
        return cli_complain(command, "--%s: \"%s\" is no time; write 500ms, 5s, 2m or 1h", option, text);
    *ns = (uint64_t)value;
    return true;
}

bool cli_read_size(const char *command, const char *option, const char *text, uint64_t *bytes)
{
    static const char *const units[] = {"", "k", "K", "M", "G", NULL};
    static const double factors[] = {1, 1024, 1024, 1048576, 1073741824};
    double value = 0;
    if (!cli_read_unit(text, units, factors, &value) || value < 1)
        return cli_complain(command, "--%s: \"%s\" is no size; write 100k, 512M or 2G", option, text);
    *bytes = (uint64_t)value;
    return true;
}

bool cli_read_word(const char *command, const char *option, const char *text, const char *const words[], int *out)
{
    char list[160] = "";
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return true;
        }
        size_t used = strlen(list);
        const char *between = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
        snprintf(list + used, sizeof(list) - used, "%s%s", between, words[i]);
    }
    return cli_complain(command, "--%s: \"%s\" is unknown; it is %s", option, text, list);
}

bool cli_wants_colour(FILE *to)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return (no == NULL || no[0] == '\0') && isatty(fileno(to)) && (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

int cli_columns(FILE *to)
{
    struct winsize size;
    return ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : CLI_COLUMNS;
}

uint64_t cli_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void cli_format_bytes(char *text, size_t size, uint64_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit < 4) {
        value /= 1000;
        unit++;
    }
    snprintf(text, size, unit == 0 ? "%.0f %s" : "%.3g %s", value, units[unit]);
}
