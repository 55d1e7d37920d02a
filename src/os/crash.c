/* SPDX-License-Identifier: MIT */
/*
 * The handler runs in a process of which nothing can be trusted: the heap may be broken, any lock may be held, the
 * stack may be used up. So:
 * - Everything it reads was laid out at install or refresh: which modules lie where, and where their symbol tables are
 *   (crash_modules.c). No dladdr, which takes the loader's lock.
 * - It runs on an alternate stack and allocates nothing. backtrace() is called once at install, because its first
 *   call loads libgcc; after that it only reads unwind tables.
 * - The report is useful from the first line on: signal, address and the faulting instruction are published before the
 *   unwinder, which may itself run into broken memory, is asked for more. Each further line counts from when
 *   text_size covers it. Where the unwinder faults (it reads the code at return addresses, which may be garbage after a
 *   stack was overwritten), the handler runs a second time, nested, and jumps out of the first one's unwinding.
 * - The owner reads only when the process is dead, so xready needs no more than its release.
 * At the end the default action is restored and the signal sent again, so that the owner sees the true status.
 */
#define _GNU_SOURCE 1
#include "os/crash.h"

#include <errno.h>
#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/crash_modules.h"
#include "os/memory.h"

#define CRASH_STACK_MIN (64u * 1024u)
#define CRASH_FRAMES_MAX 128

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
static brg__crash_report *crash_report;
static pid_t crash_xthread; /* the first thread that crashed; 0: none */
static volatile sig_atomic_t crash_unwinding;
static sigjmp_buf crash_escape;
static void *crash_frames[CRASH_FRAMES_MAX];

/* Adds a line, unless it no longer fits. */
static void crash_append_line(brg__crash_report *report, const char *line, size_t size)
{
    size_t used = report->text_size;
    if (used + size + 1 > sizeof(report->text))
        return;
    memcpy(report->text + used, line, size);
    report->text[used + size] = '\0';
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    report->text_size = (uint32_t)(used + size);
}

static void crash_append(brg__crash_report *report, uintptr_t pc, bool is_call)
{
    char line[200] = "";
    size_t size = brg__crash_describe(pc, is_call, line, sizeof(line));
    crash_append_line(report, line, size);
}

static void crash_append_repeats(brg__crash_report *report, uint32_t count)
{
    char line[48] = "    the same, times ";
    size_t size = strlen(line);
    size += brg__crash_decimal(count, line + size);
    line[size++] = '\n';
    crash_append_line(report, line, size);
}

static uintptr_t crash_pc(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

/* By system call, which fails where a plain read would fault. */
static bool crash_read_word(uintptr_t address, uintptr_t *out)
{
    struct iovec to = {.iov_base = out, .iov_len = sizeof(*out)};
    struct iovec from = {.iov_base = (void *)address, .iov_len = sizeof(*out)};
    return syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0) == (long)sizeof(*out);
}

/* After a call through a bad pointer there is no code to unwind from: steps back to where the call came from. */
static bool crash_undo_call(ucontext_t *context)
{
#if defined(__x86_64__)
    greg_t *registers = context->uc_mcontext.gregs;
    uintptr_t caller;
    if (!crash_read_word((uintptr_t)registers[REG_RSP], &caller))
        return false;
    registers[REG_RIP] = (greg_t)caller;
    registers[REG_RSP] += (greg_t)sizeof(caller);
    return true;
#elif defined(__aarch64__)
    context->uc_mcontext.pc = context->uc_mcontext.regs[30];
    return true;
#else
    (void)context;
    return false;
#endif
}

static void crash_append_frames(brg__crash_report *report, void **frames, int count)
{
    uint32_t repeats = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && frames[i] == frames[i - 1]) {
            repeats++;
            continue;
        }
        if (repeats > 0)
            crash_append_repeats(report, repeats);
        repeats = 0;
        crash_append(report, (uintptr_t)frames[i], true);
    }
    if (repeats > 0)
        crash_append_repeats(report, repeats);
}

/*
 * Fills crash_frames, this handler's own first. If the unwinder faults, the frames up to there are in place: backtrace
 * stores each as it goes. False when there is nothing to unwind from.
 */
static bool crash_unwind(brg__crash_report *report, ucontext_t *context)
{
    uintptr_t code;
    if (!crash_read_word(crash_pc(context), &code)) {
        if (!crash_undo_call(context))
            return false;
        crash_append(report, crash_pc(context), true);
    }
    if (sigsetjmp(crash_escape, 0) == 0) {
        crash_unwinding = 1;
        backtrace(crash_frames, CRASH_FRAMES_MAX);
    }
    crash_unwinding = 0;
    return true;
}

/* The frames outside of the one at `pc`, which is reported already. */
static void crash_append_unwound(brg__crash_report *report, uintptr_t pc)
{
    int count = 0, first = 0;
    while (count < CRASH_FRAMES_MAX && crash_frames[count] != NULL)
        count++;
    while (first < count && (uintptr_t)crash_frames[first] != pc)
        first++;
    if (first < count)
        crash_append_frames(report, crash_frames + first + 1, count - first - 1);
}

static void crash_write(brg__crash_report *report, int signal, const siginfo_t *info, ucontext_t *context)
{
    report->signal = signal;
    report->code = info->si_code;
    report->address = (uint64_t)(uintptr_t)info->si_addr;
    report->text_size = 0;
    crash_append(report, crash_pc(context), false);
    brg_store_release(&report->xready, 1u); /* pairs with the acquire in brg__crash_read */
    if (crash_unwind(report, context))
        crash_append_unwound(report, crash_pc(context));
}

static void crash_handle(int signal, siginfo_t *info, void *context)
{
    pid_t self = (pid_t)syscall(SYS_gettid), first = 0;
    if (!brg_cas_acq_rel(&crash_xthread, &first, self) && first != self)
        for (;;)
            pause(); /* the first one's end is the end of us all */
    if (first == self && crash_unwinding) {
        crash_unwinding = 0;
        siglongjmp(crash_escape, 1);
    }
    if (first == 0)
        crash_write(crash_report, signal, info, context);
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(signal, &action, NULL);
    /* A fault of the kernel's making would come again by itself, an abort would not. */
    syscall(SYS_tgkill, getpid(), self, signal);
}

static brg_status crash_set_stack(brg_error *error)
{
    long least = sysconf(_SC_SIGSTKSZ);
    size_t size = (size_t)brg__max(CRASH_STACK_MIN, least > 0 ? (uint64_t)least * 4 : 0);
    void *memory = NULL;
    brg_status status = brg__map_private(&memory, size, error);
    if (status != BRG_OK)
        return status;
    stack_t stack = {.ss_sp = memory, .ss_size = size};
    if (sigaltstack(&stack, NULL) != 0) {
        status = brg__error_errno(error, "setting the alternate signal stack", errno);
        brg__unmap(memory, size);
    }
    return status;
}

brg_status brg__crash_install(brg__crash_report *report, brg_error *error)
{
    /* Loads libgcc now: in the handler it would allocate. */
    void *frame;
    backtrace(&frame, 1);
    brg__crash_refresh();
    brg_status status = crash_set_stack(error);
    if (status != BRG_OK)
        return status;
    crash_report = report;
    crash_xthread = 0;
    struct sigaction action = {.sa_sigaction = crash_handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < brg__count_of(crash_signals); i++)
        sigdelset(&action.sa_mask, crash_signals[i]);
    for (size_t i = 0; i < brg__count_of(crash_signals); i++)
        sigaction(crash_signals[i], &action, NULL);
    return BRG_OK;
}

bool brg__crash_read(const brg__crash_report *report, int *signal, uint64_t *address, char *text, size_t text_size)
{
    if (brg_load_acquire(&report->xready) != 1)
        return false;
    /* The other side may still write: each field is read once and judged after that. */
    int32_t number = brg_load_relaxed(&report->signal);
    size_t size = brg_load_relaxed(&report->text_size);
    if (number <= 0 || number >= NSIG)
        return false;
    *signal = number;
    *address = brg_load_relaxed(&report->address);
    if (text_size == 0)
        return true;
    size = (size_t)brg__min(brg__min(size, sizeof(report->text)), text_size - 1);
    size_t length = 0;
    for (; length < size; length++) {
        char byte = brg_load_relaxed(&report->text[length]);
        if (byte == '\0')
            break;
        text[length] = (byte >= ' ' && byte <= '~') || byte == '\n' ? byte : '?';
    }
    text[length] = '\0';
    return true;
}
