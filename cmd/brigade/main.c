/* SPDX-License-Identifier: MIT */
/* brigade: the command. Each subcommand is a file and a line in the table. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <brigade.h>

#include "cli.h"

static const cli_command *const main_commands[] = {&cli_image, &cli_run, &cli_analyze, &cli_tune, &cli_bench};
#define MAIN_COMMAND_COUNT (sizeof(main_commands) / sizeof(main_commands[0]))

static void main_help(FILE *to)
{
    fprintf(to, "usage: brigade COMMAND [OPTION...]\n\nRuns CPU-heavy work on isolated workers.\n\nCommands:\n");
    for (size_t i = 0; i < MAIN_COMMAND_COUNT; i++)
        fprintf(to, "  %-10s %s\n", main_commands[i]->name, main_commands[i]->summary);
    fprintf(to, "\n  brigade COMMAND --help   the options of a command\n"
                "  brigade --version        the version\n");
}

static const cli_command *main_find(const char *name)
{
    for (size_t i = 0; i < MAIN_COMMAND_COUNT; i++)
        if (strcmp(main_commands[i]->name, name) == 0)
            return main_commands[i];
    return NULL;
}

/* For the completion and the tests: "brigade --options image". */
static int main_options(const char *name)
{
    const cli_command *command = name == NULL ? NULL : main_find(name);
    if (command == NULL) {
        for (size_t i = 0; i < MAIN_COMMAND_COUNT; i++)
            printf("%s\n", main_commands[i]->name);
        printf("--help\n--version\n");
        return CLI_OK;
    }
    cli_print_options(command, stdout);
    return CLI_OK;
}

/* A standard descriptor that is closed would be the number of the next thing opened: of a worker's channel, say. So each
 * gets something that fails as a closed one does, like stdopen of the GNU utilities. */
static void main_fill_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int main_run(int argc, char **argv)
{
    if (argc < 2) {
        main_help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        main_help(stdout);
        return CLI_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("brigade %s\n", brg_version());
        return CLI_OK;
    }
    if (strcmp(argv[1], "--options") == 0)
        return main_options(argv[2]);
    const cli_command *command = main_find(argv[1]);
    if (command == NULL) {
        cli_complain("", "there is no command \"%s\"; \"brigade --help\" lists them", argv[1]);
        return CLI_USAGE;
    }
    return command->run(argc - 1, argv + 1);
}

/* What nobody got is a failure, also of --help: some of it may be in a buffer still, and some file systems tell on close
 * only. A command that found out by itself has said so. */
static int main_end(int code)
{
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    int error = errno;
    if (fclose(stdout) != 0 && written) {
        written = false;
        error = errno;
    }
    if (written || code != CLI_OK)
        return code;
    cli_complain("", "standard output could not be written: %s", strerror(error));
    return CLI_SOME_FAILED;
}

int main(int argc, char **argv)
{
    main_fill_descriptors();
    return main_end(main_run(argc, argv));
}
