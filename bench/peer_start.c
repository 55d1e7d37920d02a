/* SPDX-License-Identifier: MIT */
/*
 * What the kernel charges for a new thread or process: until its first instruction (`first`), until its maker
 * has seen it run (`seen`), and the memory of an idle one (`memory`).
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define START_IDLE_COUNT 64
#define START_STACK_BYTES ((size_t)1 << 20) /* as a thread worker's default */

typedef struct start_cell {
    uint64_t first_ns;
    _Atomic uint32_t ready;
    _Atomic uint32_t leave;
} start_cell;

static void start_wake(_Atomic uint32_t *word)
{
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void start_await(_Atomic uint32_t *word)
{
    while (atomic_load(word) == 0)
        syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void *start_body(void *argument)
{
    start_cell *cell = argument;
    cell->first_ns = bench_now_ns();
    start_wake(&cell->ready);
    start_await(&cell->leave);
    return NULL;
}

static pthread_t start_thread(start_cell *cell)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, START_STACK_BYTES);
    if (pthread_create(&thread, &attributes, start_body, cell) != 0)
        bench_fail("pthread_create failed");
    pthread_attr_destroy(&attributes);
    start_await(&cell->ready);
    return thread;
}

static void start_one_thread(start_cell *cell, uint64_t *seen_ns)
{
    pthread_t thread = start_thread(cell);
    *seen_ns = bench_now_ns();
    start_wake(&cell->leave);
    pthread_join(thread, NULL);
}

static void start_one_process(start_cell *cell, uint64_t *seen_ns)
{
    pid_t child = fork();
    if (child < 0)
        bench_fail("fork failed");
    if (child == 0) {
        start_body(cell);
        _exit(0);
    }
    start_await(&cell->ready);
    *seen_ns = bench_now_ns();
    start_wake(&cell->leave);
    waitpid(child, NULL, 0);
}

static void start_measure(void (*start_one)(start_cell *cell, uint64_t *seen_ns))
{
    bench_samples first = {NULL, 0, 0};
    bench_samples seen = {NULL, 0, 0};
    start_cell *cell = mmap(NULL, sizeof(*cell), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                            0); /* fork's child too */
    if (cell == MAP_FAILED)
        bench_fail("mmap failed");
    bench_samples_open(&first, BENCH_WINDOW_NS);
    bench_samples_open(&seen, BENCH_WINDOW_NS);
    uint64_t before_ns = bench_now_ns();
    while (bench_samples_wanted(&first, before_ns)) {
        uint64_t seen_ns;
        atomic_store(&cell->ready, 0);
        atomic_store(&cell->leave, 0);
        before_ns = bench_now_ns();
        start_one(cell, &seen_ns);
        bench_samples_add(&first, cell->first_ns - before_ns);
        bench_samples_add(&seen, seen_ns - before_ns);
    }
    bench_print("first", bench_samples_close_us(&first));
    bench_print("seen", bench_samples_close_us(&seen));
}

static void start_threads(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    start_measure(start_one_thread);
}

static void start_processes(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    start_measure(start_one_process);
}

static void start_memory(int argc, char **argv)
{
    static start_cell cells[START_IDLE_COUNT + 1];
    pthread_t threads[START_IDLE_COUNT + 1];
    (void)argc;
    (void)argv;
    threads[0] = start_thread(&cells[0]); /* what only the first one costs is not counted */
    double before_kb = bench_resident_kb();
    for (size_t i = 1; i <= START_IDLE_COUNT; i++)
        threads[i] = start_thread(&cells[i]);
    bench_print("memory", (bench_resident_kb() - before_kb) / START_IDLE_COUNT);
    for (size_t i = 0; i <= START_IDLE_COUNT; i++) {
        start_wake(&cells[i].leave);
        pthread_join(threads[i], NULL);
    }
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {
        {"thread", start_threads}, {"process", start_processes}, {"memory", start_memory}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
