/* SPDX-License-Identifier: MIT */
/* What every command shares: one option table that feeds parsing, --help, the manual's check and the completion. */
#ifndef BRIGADE_CLI_H
#define BRIGADE_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes, documented in brigade(1). */
enum { CLI_OK = 0, CLI_SOME_FAILED = 1, CLI_USAGE = 2, CLI_CANNOT_RUN = 3, CLI_INTERRUPTED = 130 };

typedef enum cli_argument { CLI_NONE, CLI_REQUIRED, CLI_OPTIONAL } cli_argument;

typedef struct cli_option {
    const char *name; /* long name; NULL ends the table; "" starts a group whose title is `help` */
    char letter;      /* short name, or 0 */
    cli_argument argument;
    const char *value; /* what the argument is called, as "WxH" */
    const char *help;
} cli_option;

typedef struct cli_command {
    const char *name;
    const char *summary;
    const char *usage; /* lines after "usage: " */
    const cli_option *options;
    const cli_option *shared; /* a second table, of what several commands take (pool_options.h); or NULL */
    /* Called for each option in the order of the command line; false after it printed an error. */
    bool (*take)(void *state, const cli_option *option, const char *argument);
    int (*run)(int argc, char **argv);
} cli_command;

extern const cli_command cli_analyze, cli_bench, cli_image, cli_run, cli_tune;

/*
 * Parses argv[1...]; operands end up in argv[*first] and after. Returns -1 to go on, or an exit code (--help, a bad
 * option: both printed).
 */
int cli_parse(const cli_command *command, int argc, char **argv, void *state, int *first);
void cli_print_help(const cli_command *command, FILE *to);
/* One option a line, "--name", for the completion and the check of the manual. */
void cli_print_options(const cli_command *command, FILE *to);

/* "brigade image: ..." on standard error. Returns false, for `return`. */
bool cli_complain(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same where memory is out, which is not the fault of the command line. `what` may be NULL. */
bool cli_complain_memory(const char *command, const char *what);
/* What a command ends with whose command line was refused: CLI_USAGE, or where memory was out CLI_CANNOT_RUN. */
int cli_refused(void);

/* Sets the flag of that name, in a list that ends with a NULL name; false: there is none. */
typedef struct cli_flag {
    const char *name;
    bool *flag;
} cli_flag;
bool cli_set_flag(const cli_flag *flags, const char *name);

/* Whole arguments, with a message that says what would be right. */
bool cli_read_count(const char *command, const char *option, const char *text, uint64_t least, uint64_t most,
                    uint64_t *out);
bool cli_read_number(const char *command, const char *option, const char *text, double least, double most, double *out);
bool cli_read_duration(const char *command, const char *option, const char *text,
                       uint64_t *ns); /* 5s, 500ms, 50us, 2m */
bool cli_read_size(const char *command, const char *option, const char *text, uint64_t *bytes); /* 512M, 2G, 100k */
/* One of `words`, which end with NULL, by its index. */
bool cli_read_word(const char *command, const char *option, const char *text, const char *const words[], int *out);

/* Whether `to` is a terminal that wants colour: honours NO_COLOR and TERM=dumb. */
bool cli_wants_colour(FILE *to);

/* How wide the terminal `to` is; 80 where it is none. */
int cli_columns(FILE *to);

/* Of the monotonic clock. */
uint64_t cli_now_ns(void);

/* "1.5 MB" into `text`. */
void cli_format_bytes(char *text, size_t size, uint64_t bytes);

#endif
