/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "os/fault.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/thread.h"

static brg_status spawn_shell(const char *script, int inherited_fd, int *pidfd, brg_error *error)
{
    char shell[] = "sh", option[] = "-c";
    char *argv[] = {shell, option, (char *)(uintptr_t)script, NULL};
    pid_t pid = -1;
    brg_status status = brg__process_spawn(&pid, pidfd, "/bin/sh", argv, inherited_fd, error);
    assert_int_equal(pid > 0, status == BRG_OK);
    return status;
}

static brg__process_end reap(int *pidfd)
{
    brg__process_end end = {.exit_code = -1, .signal = -1};
    assert_true(brg__fd_wait_readable(*pidfd, UINT64_MAX));
    assert_true(brg__process_reap(*pidfd, &end));
    brg__fd_close(pidfd);
    return end;
}

static brg__process_end run_shell(const char *script, int inherited_fd)
{
    int pidfd = -1;
    assert_int_equal(spawn_shell(script, inherited_fd, &pidfd, NULL), BRG_OK);
    return reap(&pidfd);
}

static void exit_codes_come_back(void **state)
{
    (void)state;
    int fd = -1;
    assert_int_equal(brg__event_create(&fd, NULL), BRG_OK);
    brg__process_end end = run_shell("exit 5", fd);
    assert_int_equal(end.exit_code, 5);
    assert_int_equal(end.signal, 0);
    end = run_shell("kill -KILL $$", fd);
    assert_int_equal(end.exit_code, 0);
    assert_int_equal(end.signal, SIGKILL);
    brg__fd_close(&fd);
}

static void running_child_is_signalled_and_reaped(void **state)
{
    (void)state;
    int ends[2], pidfd = -1;
    brg__process_end end = {.exit_code = 7, .signal = 7};
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(spawn_shell("read line <&3", ends[0], &pidfd, NULL), BRG_OK);
    assert_true((fcntl(pidfd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_false(brg__process_reap(pidfd, &end));
    assert_int_equal(end.exit_code, 7);
    assert_false(brg__fd_wait_readable(pidfd, 0));
    assert_true(brg__process_signal(pidfd, SIGTERM));
    int again = dup(pidfd);
    end = reap(&pidfd);
    assert_int_equal(end.signal, SIGTERM);
    assert_false(brg__process_signal(again, SIGTERM));
    close(again);
    close(ends[0]);
    close(ends[1]);
}

static void child_gets_descriptor_3_and_no_other(void **state)
{
    (void)state;
    int ends[2];
    char text[16];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(dup2(ends[0], 200), 200); /* not close-on-exec */
    brg__process_end end = run_shell("[ ! -e /proc/$$/fd/200 ] && echo hello >&3", ends[1]);
    assert_int_equal(end.exit_code, 0);
    assert_int_equal(read(ends[0], text, sizeof(text)), 6);
    assert_memory_equal(text, "hello\n", 6);
    close(200);
    /* The same where it is number 3 here too, and close-on-exec. */
    int saved = fcntl(3, F_DUPFD_CLOEXEC, 10);
    int writer = fcntl(ends[1], F_DUPFD_CLOEXEC, 20), reader = fcntl(ends[0], F_DUPFD_CLOEXEC, 20);
    assert_int_equal(dup3(writer, 3, O_CLOEXEC), 3);
    end = run_shell("echo again >&3", 3);
    if (saved >= 0)
        dup3(saved, 3, O_CLOEXEC);
    else
        close(3);
    assert_int_equal(end.exit_code, 0);
    assert_int_equal(read(reader, text, sizeof(text)), 6);
    assert_memory_equal(text, "again\n", 6);
    for (int i = 0; i < 2; i++)
        close(ends[i]);
    close(writer);
    close(reader);
    close(saved);
}

static void child_starts_with_clean_signals(void **state)
{
    (void)state;
    int fd = -1;
    sigset_t blocked, before;
    assert_int_equal(brg__event_create(&fd, NULL), BRG_OK);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    signal(SIGINT, SIG_IGN);
    assert_int_equal(run_shell("kill -TERM $$; exit 1", fd).signal, SIGTERM);
    assert_int_equal(run_shell("kill -INT $$; exit 1", fd).signal, SIGINT);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    brg__fd_close(&fd);
}

static void failed_spawns_are_reported(void **state)
{
    (void)state;
    int fd = -1, pidfd = 77;
    pid_t pid = 66;
    brg_error error;
    char name[] = "missing";
    char *argv[] = {name, NULL};
    assert_int_equal(brg__event_create(&fd, NULL), BRG_OK);
    assert_int_equal(brg__process_spawn(&pid, &pidfd, "/no/such/program", argv, fd, &error), BRG_SYSTEM);
    assert_int_equal(error.os_errno, ENOENT);
    assert_non_null(strstr(error.message, "/no/such/program"));
    assert_int_equal(pid, 66);
    brg__fault_arm("spawn", 1);
    assert_int_equal(spawn_shell("exit 0", fd, &pidfd, &error), BRG_SYSTEM);
    assert_int_equal(error.os_errno, EAGAIN);
    brg__fault_arm("pidfd", 1);
    assert_int_equal(spawn_shell("read line <&3", fd, &pidfd, &error), BRG_SYSTEM);
    assert_int_equal(error.os_errno, EMFILE);
    brg__fault_disarm();
    assert_int_equal(pidfd, 77);
    /* The child whose pidfd failed was killed and reaped. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    brg__fd_close(&fd);
}

/* A program that waits for any child takes our status away: the end is still noticed. */
static void child_reaped_by_others_has_ended(void **state)
{
    (void)state;
    int fd = -1, pidfd = -1;
    assert_int_equal(brg__event_create(&fd, NULL), BRG_OK);
    assert_int_equal(spawn_shell("exit 5", fd, &pidfd, NULL), BRG_OK);
    assert_true(waitpid(-1, NULL, 0) > 0);
    brg__process_end end = {0};
    assert_true(brg__process_reap(pidfd, &end));
    assert_true(end.exit_code == 5 || end.exit_code == 255);
    assert_int_equal(end.signal, 0);
    brg__fd_close(&pidfd);
    brg__fd_close(&fd);
}

typedef struct siblings {
    int socket;
    pid_t owner;
} siblings;

static void be_a_template(void *argument)
{
    siblings *given = argument;
    int pidfd = -1;
    pid_t helper = getpid(), made = brg__process_fork_sibling(&pidfd);
    if (made == 0) {
        pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
        child_check(pidfd == -1);
        child_check(getpid() != helper);
        child_check(getppid() == given->owner);
        child_check(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0);
        free(malloc(100));
        _exit(42);
    }
    child_check(made > 0);
    child_check(brg__socket_send(given->socket, &made, sizeof(made), &pidfd, 1, NULL) == BRG_OK);
    /* Not this one's child, though it made it. */
    child_check(waitpid(made, NULL, __WALL) == -1 && errno == ECHILD);
}

static void sibling_is_the_owners_child(void **state)
{
    (void)state;
    int ends[2], pidfd = -1;
    pid_t pid = -1;
    size_t size = sizeof(pid), count = 1;
    assert_int_equal(brg__socket_pair(ends, NULL), BRG_OK);
    siblings given = {.socket = ends[1], .owner = getpid()};
    pid_t helper = test_fork(be_a_template, &given);
    assert_true(brg__fd_wait_readable(ends[0], UINT64_MAX));
    assert_int_equal(brg__socket_receive(ends[0], &pid, &size, &pidfd, &count, NULL), BRG_OK);
    assert_int_equal(count, 1);
    assert_int_not_equal(pid, helper);
    brg__process_end end = reap(&pidfd);
    assert_int_equal(end.exit_code, 42);
    assert_int_equal(test_wait(helper), 0);
    brg__fd_close(&ends[0]);
    brg__fd_close(&ends[1]);
}

/* The middle process exits once its child watches it; the child's end closes the pipe. */
static void be_in_the_middle(void *argument)
{
    int *ends = argument, ready[2];
    char byte;
    pid_t self = getpid();
    child_check(pipe(ready) == 0);
    close(ends[0]);
    if (fork() == 0) {
        brg__process_die_with_parent(self);
        child_check(write(ready[1], "x", 1) == 1);
        for (;;)
            pause();
    }
    child_check(read(ready[0], &byte, 1) == 1);
}

static void child_dies_with_its_parent(void **state)
{
    (void)state;
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t middle = test_fork(be_in_the_middle, ends);
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    assert_int_equal(test_wait(middle), 0);
    close(ends[0]);
}

static void pretend_orphan(void *argument)
{
    (void)argument;
    brg__process_die_with_parent(getppid() + 1);
}

static void child_whose_parent_is_gone_exits_at_once(void **state)
{
    (void)state;
    int status = test_wait(test_fork(pretend_orphan, NULL));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

static void close_most(void *argument)
{
    (void)argument;
    const int keep[] = {60, -1, 57, 58};
    for (int fd = 0; fd <= 2; fd++) /* it may have been started without */
        if (!is_open(fd))
            child_check(open("/dev/null", O_RDWR) == fd);
    for (int fd = 50; fd <= 70; fd++)
        child_check(dup2(0, fd) == fd);
    brg__process_close_others(keep, 4);
    for (int fd = 3; fd <= 80; fd++)
        child_check(is_open(fd) == (fd == 57 || fd == 58 || fd == 60));
    child_check(is_open(0) && is_open(1) && is_open(2));
    brg__process_close_others(NULL, 0);
    child_check(!is_open(57));
}

static void others_are_closed(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(close_most, NULL)), 0);
}

static void check_limit(int resource, rlim_t expected)
{
    struct rlimit limit;
    child_check(getrlimit((__rlimit_resource_t)resource, &limit) == 0);
    child_check(limit.rlim_cur == expected);
}

static void harden_and_look(void *argument)
{
    (void)argument;
    void *small = NULL, *large = NULL;
    struct rlimit core;
    const brg__process_limits limits = {
        .memory_bytes = (size_t)16 << 20, .stack_bytes = (size_t)1 << 20, .files = 40, .cpu_seconds = 30};
    child_check(getrlimit(RLIMIT_CORE, &core) == 0);
    child_check(brg__process_harden(&limits, NULL) == BRG_OK);
    child_check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    check_limit(RLIMIT_CORE, core.rlim_max == 0 ? 0 : 1);
    check_limit(RLIMIT_STACK, (rlim_t)1 << 20);
    check_limit(RLIMIT_NOFILE, 40);
    check_limit(RLIMIT_CPU, 30);
    child_check(dup2(2, 40) == -1);
    child_check(brg__map_private(&small, (size_t)4 << 20, NULL) == BRG_OK);
    child_check(brg__map_private(&large, (size_t)32 << 20, NULL) == BRG_NO_MEMORY);
    /* A higher limit than the hard one now is cut to it, not refused. */
    const brg__process_limits higher = {.files = 1000};
    child_check(brg__process_harden(&higher, NULL) == BRG_OK);
    check_limit(RLIMIT_NOFILE, 40);
}

static void hardened_process_has_its_limits(void **state)
{
    (void)state;
    assert_int_equal(test_wait(test_fork(harden_and_look, NULL)), 0);
}

static void wait_for_pipe(void *argument)
{
    char byte;
    assert_int_equal(read(*(int *)argument, &byte, 1), 1);
}

static void know_oneself(void **state)
{
    (void)state;
    char name[16], path[4096];
    int ends[2];
    assert_int_equal(brg__process_id(), getpid());
    assert_int_equal(brg__process_parent(), getppid());
    brg__process_set_name("kitchen");
    assert_int_equal(prctl(PR_GET_NAME, name), 0);
    assert_string_equal(name, "kitchen");
    /* Differences, and after the first start: a sanitizer may have a thread of its own. */
    assert_true(brg__process_thread_count() >= 1);
    assert_int_equal(pipe(ends), 0);
    brg__thread threads[2];
    assert_int_equal(brg__thread_start(&threads[0], "one", 0, wait_for_pipe, &ends[0], NULL), BRG_OK);
    uint32_t before = brg__process_thread_count();
    assert_true(before >= 2);
    assert_int_equal(brg__thread_start(&threads[1], "two", 0, wait_for_pipe, &ends[0], NULL), BRG_OK);
    assert_int_equal(brg__process_thread_count(), before + 1);
    assert_int_equal(write(ends[1], "xy", 2), 2);
    brg__thread_join(&threads[0]);
    brg__thread_join(&threads[1]);
    close(ends[0]);
    close(ends[1]);
    assert_true(brg__object_path((const void *)(uintptr_t)know_oneself, path, sizeof(path)));
    assert_int_equal(path[0], '/');
    assert_non_null(strstr(path, program_invocation_short_name));
    assert_false(brg__object_path((const void *)(uintptr_t)know_oneself, path, 3));
    assert_false(brg__object_path(NULL, path, sizeof(path)));
    assert_true(brg__object_path((const void *)(uintptr_t)getpid, path, sizeof(path)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_codes_come_back),
        cmocka_unit_test(running_child_is_signalled_and_reaped),
        cmocka_unit_test(child_gets_descriptor_3_and_no_other),
        cmocka_unit_test(child_starts_with_clean_signals),
        cmocka_unit_test(failed_spawns_are_reported),
        cmocka_unit_test(child_reaped_by_others_has_ended),
        cmocka_unit_test(sibling_is_the_owners_child),
        cmocka_unit_test(child_dies_with_its_parent),
        cmocka_unit_test(child_whose_parent_is_gone_exits_at_once),
        cmocka_unit_test(others_are_closed),
        cmocka_unit_test(hardened_process_has_its_limits),
        cmocka_unit_test(know_oneself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
