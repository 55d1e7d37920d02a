/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/test_support.h"

#include <sched.h>
#include <sys/stat.h>

#include "os/atomic.h"
#include "os/cgroup.h"
#include "os/fault.h"
#include "os/thread.h"

typedef struct seen {
    char name[16];
    sigset_t mask;
    uint32_t id;
    uint32_t id_again;
} seen;

static void look_around(void *argument)
{
    seen *out = argument;
    volatile char stack[4096];
    memset((char *)(uintptr_t)stack, 1, sizeof(stack));
    pthread_getname_np(pthread_self(), out->name, sizeof(out->name));
    pthread_sigmask(SIG_BLOCK, NULL, &out->mask);
    out->id = brg__thread_id();
    out->id_again = brg__thread_id();
}

static void thread_has_name_mask_and_id(void **state)
{
    (void)state;
    seen found = {0};
    brg__thread thread;
    sigset_t before, after;
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    assert_int_equal(brg__thread_start(&thread, "a-name-that-is-too-long", 1, look_around, &found, NULL), BRG_OK);
    brg__thread_join(&thread);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    assert_string_equal(found.name, "a-name-that-is-");
    assert_int_equal(found.id, found.id_again);
    assert_int_not_equal(found.id, 0);
    assert_int_not_equal(found.id, brg__thread_id());
    const int blocked[] = {SIGTERM, SIGINT, SIGCHLD, SIGUSR1, SIGPIPE}, open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    for (size_t i = 0; i < 5; i++)
        assert_true(sigismember(&found.mask, blocked[i]));
    for (size_t i = 0; i < 4; i++)
        assert_false(sigismember(&found.mask, open[i]));
    for (int i = 1; i < 32; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

static void failed_start_is_reported(void **state)
{
    (void)state;
    brg__thread thread;
    brg_error error;
    seen found = {0};
    brg__fault_arm("thread_start", 1);
    assert_int_equal(brg__thread_start(&thread, "x", 0, look_around, &found, &error), BRG_SYSTEM);
    assert_true(brg__fault_fired());
    brg__fault_arm("allocate", 1);
    assert_int_equal(brg__thread_start(&thread, "x", 0, look_around, &found, &error), BRG_NO_MEMORY);
    brg__fault_disarm();
    assert_int_equal(found.id, 0);
}

static void set_flag(void *argument) { brg_store_release((uint32_t *)argument, 1u); }

static void detached_thread_runs(void **state)
{
    (void)state;
    static uint32_t xflag;
    brg__thread thread;
    assert_int_equal(brg__thread_start(&thread, "detached", 64 * 1024, set_flag, &xflag, NULL), BRG_OK);
    brg__thread_detach(&thread);
    while (brg_load_acquire(&xflag) == 0)
        sched_yield();
}

static void check_grandchild(void *argument)
{
    (void)argument;
    child_check(brg__fork_generation() == 2);
}

static void check_child(void *argument)
{
    child_check(brg__fork_generation() == 1);
    pid_t pid = test_fork(check_grandchild, argument);
    int status;
    child_check(waitpid(pid, &status, 0) == pid && status == 0);
}

static void forks_are_counted(void **state)
{
    (void)state;
    assert_int_equal(brg__fork_generation(), 0);
    assert_int_equal(test_wait(test_fork(check_child, NULL)), 0);
    assert_int_equal(brg__fork_generation(), 0);
}

static void cpus_are_within_the_affinity(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    assert_int_equal(brg__cpu_online(), CPU_COUNT(&before));
    assert_in_range(brg__cpu_count(), 1, CPU_COUNT(&before));
    CPU_ZERO(&one);
    CPU_SET(brg__cpu_current(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(brg__cpu_count(), 1);
    assert_int_equal(brg__cpu_online(), CPU_COUNT(&before)); /* cached */
    sched_setaffinity(0, sizeof(before), &before);
}

static char folder[] = P_tmpdir "/brigade-thread-test-XXXXXX";

static const char *at(const char *path)
{
    static char whole[2][256];
    static int turn;
    turn = !turn;
    snprintf(whole[turn], sizeof(whole[turn]), "%s%s", folder, path);
    return whole[turn];
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(at(path), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static uint32_t quota_of(const char *membership)
{
    write_file("/membership", membership);
    return brg__cgroup_cpus(at("/membership"), folder);
}

static int make_hierarchy(void **state)
{
    (void)state;
    const char *const folders[] = {"/a", "/a/b", "/cpu,cpuacct", "/cpu,cpuacct/c"};
    if (mkdtemp(folder) == NULL)
        return -1;
    for (size_t i = 0; i < 4; i++)
        if (mkdir(at(folders[i]), 0700) != 0)
            return -1;
    return 0;
}

static int remove_hierarchy(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

static void quota_of_version_2_is_read(void **state)
{
    (void)state;
    assert_true(quota_of("0::/a/b\n") == UINT32_MAX);
    write_file("/a/b/cpu.max", "max 100000\n");
    assert_true(quota_of("0::/a/b\n") == UINT32_MAX);
    write_file("/a/b/cpu.max", "250000 100000\n");
    assert_int_equal(quota_of("0::/a/b\n"), 3);
    write_file("/a/cpu.max", "20000 10000\n");
    assert_int_equal(quota_of("0::/a/b\n"), 2);
    write_file("/cpu.max", "10000 100000\n");
    assert_int_equal(quota_of("0::/a/b\n"), 1);
    /* The host's path, unknown inside a container: the container's own limit is at the mount's root. */
    assert_int_equal(quota_of("0::/host/slice/x\n"), 1);
    assert_int_equal(quota_of("0::/\n"), 1);
    unlink(at("/cpu.max"));
}

static void quota_of_version_1_is_read(void **state)
{
    (void)state;
    const char *membership = "11:memory:/c\n4:cpu,cpuacct:/c\n1:cpuset:/c\n0::/\n";
    assert_true(quota_of(membership) == UINT32_MAX);
    write_file("/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
    write_file("/cpu,cpuacct/c/cpu.cfs_quota_us", "-1\n");
    assert_true(quota_of(membership) == UINT32_MAX);
    write_file("/cpu,cpuacct/c/cpu.cfs_quota_us", "400000\n");
    assert_int_equal(quota_of(membership), 4);
    assert_true(quota_of("3:cpuset:/c\n") == UINT32_MAX);
}

static void broken_membership_limits_nothing(void **state)
{
    (void)state;
    assert_true(quota_of("no colons\n0:\n::\n:::\n5:cpu\n5:cpu:relative\n") == UINT32_MAX);
    assert_true(brg__cgroup_cpus(at("/missing"), folder) == UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thread_has_name_mask_and_id),  cmocka_unit_test(failed_start_is_reported),
        cmocka_unit_test(detached_thread_runs),         cmocka_unit_test(forks_are_counted),
        cmocka_unit_test(cpus_are_within_the_affinity), cmocka_unit_test(quota_of_version_2_is_read),
        cmocka_unit_test(quota_of_version_1_is_read),   cmocka_unit_test(broken_membership_limits_nothing),
    };
    return cmocka_run_group_tests(tests, make_hierarchy, remove_hierarchy);
}
