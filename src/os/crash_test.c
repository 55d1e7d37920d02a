/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "os/test_support.h"

#include <errno.h>
#include <sys/resource.h>

#include "os/crash.h"
#include "os/fd.h"
#include "os/memory.h"
#include "os/process.h"

typedef struct crash {
    brg__crash_report *report;
    void (*how)(void);
} crash;

__attribute__((noinline)) static void crash_by_write(void)
{
    volatile int *volatile nowhere = (volatile int *)(uintptr_t)64;
    *nowhere = 1;
}

__attribute__((noinline)) static void crash_by_abort(void) { abort(); }

__attribute__((noinline)) static void crash_by_call(void)
{
    void (*volatile nowhere)(void) = (void (*)(void))(uintptr_t)64;
    nowhere();
    fputs("not reached", stderr);
}

__attribute__((noinline)) static void crash_by_trap(void) { __builtin_trap(); }
__attribute__((noinline)) static void crash_by_kill(void) { kill(getpid(), SIGSEGV); }

/* What an overflown buffer does to the frames around it: return addresses that lead nowhere. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static void crash_by_smashed_stack(void)
{
    uintptr_t *volatile frame = __builtin_frame_address(0);
    frame[0] = 0x1234567;
    frame[1] = 0x7654321;
    abort();
}

/* Large frames, so that few are enough under sanitizers too. */
__attribute__((noinline)) static int recurse(int depth)
{
    volatile char stack[32768];
    stack[0] = (char)depth;
    return depth < 0 ? 0 : recurse(depth + 1) + stack[0];
}

__attribute__((noinline)) static void crash_by_stack_overflow(void)
{
    struct rlimit stack; /* it may have been unlimited */
    child_check(getrlimit(RLIMIT_STACK, &stack) == 0);
    stack.rlim_cur = stack.rlim_cur < (8u << 20) ? stack.rlim_cur : 8u << 20;
    child_check(setrlimit(RLIMIT_STACK, &stack) == 0);
    recurse(0);
}

static void install_and_crash(void *argument)
{
    crash *given = argument;
    child_check(brg__crash_install(given->report, NULL) == BRG_OK);
    given->how();
}

typedef struct outcome {
    int status;
    int signal;
    uint64_t address;
    char text[2000];
} outcome;

static outcome crash_in_a_child(void (*how)(void))
{
    int fd = -1;
    void *memory = NULL;
    outcome found = {.signal = -1};
    assert_int_equal(brg__memfd_create(&fd, "report", sizeof(brg__crash_report), NULL), BRG_OK);
    assert_int_equal(brg__map_shared(&memory, fd, sizeof(brg__crash_report), NULL), BRG_OK);
    crash given = {.report = memory, .how = how};
    assert_false(brg__crash_read(memory, &found.signal, &found.address, found.text, sizeof(found.text)));
    found.status = test_wait(test_fork(install_and_crash, &given));
    assert_true(brg__crash_read(memory, &found.signal, &found.address, found.text, sizeof(found.text)));
    brg__unmap(memory, sizeof(brg__crash_report));
    brg__fd_close(&fd);
    return found;
}

/* How an address in this program begins. */
static const char *here(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "%.39s+0x", program_invocation_short_name);
    return text;
}

static int count_lines(const char *text)
{
    int count = 0;
    for (; *text != '\0'; text++)
        count += *text == '\n';
    return count;
}

static void check_ended_by(const outcome *found, int signal)
{
    assert_true(WIFSIGNALED(found->status));
    assert_int_equal(WTERMSIG(found->status), signal);
    assert_int_equal(found->signal, signal);
    if (count_lines(found->text) < 3)
        print_message("%s", found->text);
    assert_true(count_lines(found->text) >= 3);
    assert_non_null(strstr(found->text, here()));
}

static void bad_write_is_reported(void **state)
{
    (void)state;
    outcome found = crash_in_a_child(crash_by_write);
    check_ended_by(&found, SIGSEGV);
    assert_true(found.address == 64);
    assert_int_equal(strncmp(found.text, here(), strlen(here())), 0);
}

static void abort_is_reported(void **state)
{
    (void)state;
    outcome found = crash_in_a_child(crash_by_abort);
    check_ended_by(&found, SIGABRT);
    assert_non_null(strstr(found.text, "(abort+0x"));
}

static void bad_call_names_its_caller(void **state)
{
    (void)state;
    outcome found = crash_in_a_child(crash_by_call);
    assert_int_equal(WTERMSIG(found.status), SIGSEGV);
    assert_int_equal(strncmp(found.text, "0x40\n", 5), 0);
    assert_non_null(strstr(found.text, here()));
}

static void smashed_stack_is_reported_as_far_as_it_goes(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* its signal handlers do not nest */
#endif
    outcome found = crash_in_a_child(crash_by_smashed_stack);
    assert_true(WIFSIGNALED(found.status));
    assert_int_equal(WTERMSIG(found.status), SIGABRT);
    assert_int_equal(found.signal, SIGABRT);
    assert_non_null(strstr(found.text, "(abort+0x"));
}

static void trap_is_reported(void **state)
{
    (void)state;
    outcome found = crash_in_a_child(crash_by_trap);
    assert_true(WIFSIGNALED(found.status));
    check_ended_by(&found, WTERMSIG(found.status));
}

static void sent_signal_still_ends_the_process(void **state)
{
    (void)state;
    outcome found = crash_in_a_child(crash_by_kill);
    check_ended_by(&found, SIGSEGV);
}

static void stack_overflow_is_reported(void **state)
{
    (void)state;
    outcome found = crash_in_a_child(crash_by_stack_overflow);
    check_ended_by(&found, SIGSEGV);
    assert_non_null(strstr(found.text, "the same, times "));
}

static void hostile_report_is_cleaned(void **state)
{
    (void)state;
    brg__crash_report report = {.xready = 1, .signal = SIGSEGV, .text_size = UINT32_MAX, .address = 5};
    memset(report.text, '\x1b', sizeof(report.text));
    memcpy(report.text, "a\nb", 3);
    char text[2000], short_text[3];
    int signal = 0;
    uint64_t address = 0;
    memset(text, 'z', sizeof(text));
    assert_true(brg__crash_read(&report, &signal, &address, text, sizeof(text)));
    assert_int_equal(strlen(text), sizeof(report.text));
    assert_int_equal(strncmp(text, "a\nb????", 7), 0);
    assert_null(strchr(text, '\x1b'));
    assert_true(brg__crash_read(&report, &signal, &address, short_text, sizeof(short_text)));
    assert_string_equal(short_text, "a\n");
    assert_true(brg__crash_read(&report, &signal, &address, NULL, 0));
    const int32_t bad_signals[] = {0, -1, NSIG, INT32_MAX};
    for (int i = 0; i < 4; i++) {
        report.signal = bad_signals[i];
        assert_false(brg__crash_read(&report, &signal, &address, text, sizeof(text)));
    }
    assert_int_equal(signal, SIGSEGV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_write_is_reported),      cmocka_unit_test(abort_is_reported),
        cmocka_unit_test(bad_call_names_its_caller),  cmocka_unit_test(smashed_stack_is_reported_as_far_as_it_goes),
        cmocka_unit_test(trap_is_reported),           cmocka_unit_test(sent_signal_still_ends_the_process),
        cmocka_unit_test(stack_overflow_is_reported), cmocka_unit_test(hostile_report_is_cleaned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
