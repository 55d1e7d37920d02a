/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "torture.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message/region.h"
#include "os/fault.h"
#include "os/sys.h"
#include "watch.h"

#define TORTURE_RUN_SECONDS 200 /* far more than a run takes: a run that hangs is named, and ends the test */

static char torture_now[128];

static void torture_hangs(int signal)
{
    (void)signal;
    static const char text[] = "this run hangs: ";
    if (write(2, text, sizeof(text) - 1) > 0 && write(2, torture_now, strlen(torture_now)) > 0 && write(2, "\n", 1) > 0)
        abort();
    abort();
}

/* In a forked child cmocka's way out leads into the parent's test. */
static bool torture_in_child;

#define torture_fail(...)                                                                                              \
    do {                                                                                                               \
        if (!torture_in_child)                                                                                         \
            fail_msg(__VA_ARGS__);                                                                                     \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fputc('\n', stderr);                                                                                           \
        _exit(2);                                                                                                      \
    } while (0)

/* ---- what every call promises ------------------------------------------------------------------------------------ */

bool torture_worked(brg_status status, const brg_error *error, const char *what)
{
    if (status == BRG_OK)
        return true;
    if (strcmp(brg_status_name(status), "BRG_?") == 0)
        torture_fail("%s: %s returned %d", torture_now, what, (int)status);
    if (error != NULL && (error->status != status || error->message[0] == '\0'))
        torture_fail("%s: %s returned %s with the error %s \"%s\"", torture_now, what, brg_status_name(status),
                     brg_status_name(error->status), error->message);
    return false;
}

void torture_expect(bool holds, const char *what)
{
    if (!holds)
        torture_fail("%s: %s", torture_now, what);
}

/* ---- the torture ------------------------------------------------------------------------------------------------- */

static const char *const entries[] = {
#define TORTURE_ENTRY(type, name, parameters) #name,
    BRG__SYS_MAP(TORTURE_ENTRY)
#undef TORTURE_ENTRY
};
enum { ENTRIES = sizeof(entries) / sizeof(entries[0]), CALLS_MAX = 1000 };

/* Fails the nth call of an entry during one run; false when it made fewer. */
static bool torture_once(const torture_scenario *scenario, brg_isolation isolation, const char *entry, uint64_t nth)
{
    snprintf(torture_now, sizeof(torture_now), "%s in a %s, failing %s number %llu", scenario->name,
             isolation == BRG_ISOLATION_THREAD ? "thread" : "process", entry, (unsigned long long)nth);
    alarm(TORTURE_RUN_SECONDS);
    brg__fault_arm(entry, nth);
    scenario->run(isolation);
    bool fired = brg__fault_fired();
    brg__fault_disarm();
    alarm(0);
    return fired;
}

/* Memory that is kept for the next is no leak, whenever it came there. */
static bool torture_files_hold(void *argument)
{
    brg__region_trim();
    return scenario_open_files() <= *(const int *)argument;
}

uint64_t torture_scenarios(const torture_scenario *scenarios, size_t count, brg_isolation isolation)
{
    uint64_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        scenarios[i].run(isolation); /* supervisor and template are there from now on */
        brg__region_trim();
        int files = scenario_open_files();
        for (int entry = 0; entry < ENTRIES; entry++)
            for (uint64_t nth = 1; nth <= CALLS_MAX && torture_once(&scenarios[i], isolation, entries[entry], nth);
                 nth++) {
                failed++;
                if (!watch_until(torture_files_hold, &files))
                    fail_msg("%s: %d descriptors are open, not %d", torture_now, scenario_open_files(), files);
            }
        scenarios[i].run(isolation); /* nothing is left broken */
    }
    assert_int_equal(brg_workers_lost(), 0);
    return failed;
}

static bool torture_cold(const torture_scenario *scenario, brg_isolation isolation, const char *entry, uint64_t nth)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        torture_in_child = true;
        bool fired = torture_once(scenario, isolation, entry, nth);
        alarm(TORTURE_RUN_SECONDS);
        scenario->run(isolation); /* and the second try works */
        _exit(fired ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        fail_msg("cold start: %s, failing %s number %llu: status 0x%x", scenario->name, entry, (unsigned long long)nth,
                 (unsigned)status);
    return WEXITSTATUS(status) == 0;
}

uint64_t torture_cold_starts(const torture_scenario *scenario, brg_isolation isolation)
{
    uint64_t failed = 0;
    if (WATCH_SANITIZED == 2)
        skip(); /* ThreadSanitizer does not let a child of a threaded program start threads */
    for (int entry = 0; entry < ENTRIES; entry++)
        for (uint64_t nth = 1; nth <= CALLS_MAX && torture_cold(scenario, isolation, entries[entry], nth); nth++)
            failed++;
    return failed;
}

void torture_begin(void) { signal(SIGALRM, torture_hangs); }
