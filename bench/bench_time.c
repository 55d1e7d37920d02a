/* SPDX-License-Identifier: MIT */
/* bench_time COUNT COMMAND ...: runs the command once and prints how many of COUNT things it did in a second. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

int main(int argc, char **argv)
{
    pid_t child;
    int status;
    posix_spawn_file_actions_t actions;
    double count = strtod(bench_argument(argc, argv, 1, "count"), NULL);
    const char *command = bench_argument(argc, argv, 2, "command");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO); /* standard output is for the result */
    uint64_t before_ns = bench_now_ns();
    int error = posix_spawnp(&child, command, &actions, NULL, argv + 2, environ);
    if (error == ENOENT)
        bench_missing("%s is not installed", command);
    if (error != 0)
        bench_fail("%s: %s", command, strerror(error));
    if (waitpid(child, &status, 0) != child)
        bench_fail("waitpid: %s", strerror(errno));
    double seconds = (double)(bench_now_ns() - before_ns) / 1e9;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
    bench_print("images", count / seconds);
    bench_print("lines", count / seconds);
    return EXIT_SUCCESS;
}
