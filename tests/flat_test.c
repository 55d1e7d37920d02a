/* SPDX-License-Identifier: MIT */
/*
 * 100,000 channels and 10,000 workers of each kind, made and ended: memory and descriptors stay flat. Fewer under
 * sanitizers.
 */
#include <malloc.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "scenario.h"
#include "watch.h"

#define BOUND SCENARIO_BOUND
#define GROWTH_KB 8192 /* what the C library keeps for threads that were alive at once */

#define COUNT(full) (WATCH_SANITIZED ? (full) / 50 : (full))

typedef struct flat {
    int files;
    long memory_kb;
} flat;

/* Memory in use, shared files included: segments and regions are such. Counted page by page, without the program's
 * text, which comes and goes as the machine needs memory, and without what the C library keeps of what was freed. */
static long flat_memory_kb(void)
{
    char line[256];
    long anonymous = -1, shared = -1;
    (void)malloc_trim(0);
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    if (file == NULL) /* a kernel that does not count so: its own sums do */
        file = fopen("/proc/self/status", "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "Anonymous: %ld", &anonymous) != 1)
            (void)sscanf(line, "RssAnon: %ld", &anonymous);
        if (sscanf(line, "Pss_Shmem: %ld", &shared) != 1)
            (void)sscanf(line, "RssShmem: %ld", &shared);
    }
    fclose(file);
    assert_true(anonymous >= 0 && shared >= 0);
    return anonymous + shared;
}

static bool flat_no_ports(void *argument)
{
    (void)argument;
    return brg_ports_open() == 0;
}

/* Once the last worker's thread has closed its end too: that is after it answered. */
static flat flat_now(void)
{
    assert_true(watch_until(flat_no_ports, NULL));
    return (flat){.files = scenario_open_files(), .memory_kb = flat_memory_kb()};
}

static void flat_check(const char *what, int count, const flat *before)
{
    assert_true(watch_until_files(before->files));
    flat now = flat_now();
    printf("%d %s: %ld KiB before, %ld after; %d descriptors before, %d after\n", count, what, before->memory_kb,
           now.memory_kb, before->files, now.files);
    if (!WATCH_SANITIZED && now.memory_kb > before->memory_kb + GROWTH_KB)
        fail_msg("%d %s: memory grew from %ld to %ld KiB", count, what, before->memory_kb, now.memory_kb);
}

static void post_int(brg_port *port, int64_t number)
{
    brg_value *message = NULL;
    assert_int_equal(brg_value_int(&message, number, NULL), BRG_OK);
    assert_int_equal(brg_port_post(port, message, BOUND, NULL), BRG_OK);
}

static void expect_int(brg_port *port, int64_t number)
{
    brg_value *message = NULL;
    int64_t got = -1;
    assert_int_equal(brg_port_receive(port, &message, BOUND), BRG_OK);
    assert_int_equal(brg_view_int(brg_value_root(message), &got), BRG_OK);
    assert_int_equal(got, number);
    brg_value_unref(message);
}

static brg_worker *flat_worker(brg_isolation isolation)
{
    char module[512];
    brg_error error;
    brg_worker *worker = NULL;
    snprintf(module, sizeof(module), "%s/objects.so", getenv("TEST_MODULE_DIR"));
    if (brg_worker_create(&worker,
                          brg_worker_opts(.isolation = isolation, .module = module, .grace_ns = SCENARIO_LONG,
                                          .start_timeout_ns = SCENARIO_LONG),
                          &error) != BRG_OK)
        fail_msg("%s", error.message);
    return worker;
}

/* So many at a time: each costs the same, and fewer wait for the machine to go on with the other side. Divides all. */
#define TOGETHER 10

/* Sends the worker one end of a channel, and a number to the other. */
static brg_port *send_port(brg_worker *worker, int64_t number)
{
    brg_port *ours = NULL, *theirs = NULL;
    brg_builder *builder = NULL;
    brg_value *message = NULL;
    assert_int_equal(brg_channel_create(&ours, &theirs, NULL, NULL), BRG_OK);
    assert_int_equal(brg_builder_create(&builder, NULL), BRG_OK);
    brg_builder_map(builder);
    brg_builder_key(builder, "port");
    brg_builder_port(builder, &theirs);
    brg_builder_end(builder);
    assert_int_equal(brg_builder_finish(builder, &message, NULL), BRG_OK);
    brg_builder_destroy(builder);
    assert_int_equal(brg_worker_post(worker, message, BOUND, NULL), BRG_OK);
    post_int(ours, number);
    return ours;
}

/* What it heard there it says back. */
static void hear_back(brg_port *ours, int64_t number)
{
    brg_value *message = NULL;
    expect_int(ours, number);
    assert_int_equal(brg_port_receive(ours, &message, BOUND), BRG_CLOSED);
    brg_port_destroy(ours);
}

static void local_channel(int64_t number)
{
    brg_port *one = NULL, *other = NULL;
    assert_int_equal(brg_channel_create(&one, &other, NULL, NULL), BRG_OK);
    post_int(one, number);
    expect_int(other, number);
    post_int(other, number + 1);
    expect_int(one, number + 1);
    brg_port_destroy(one);
    brg_port_destroy(other);
}

static void channels_of_the_program(void **state)
{
    (void)state;
    int count = COUNT(100000);
    flat before = {0};
    for (int i = 0; i < count + count / 10; i++) {
        if (i == count / 10)
            before = flat_now();
        local_channel(i);
    }
    flat_check("channels", count, &before);
}

static void channels_to_a_worker(void **state)
{
    int count = COUNT(100000);
    brg_worker *worker = flat_worker(scenario_isolation(state));
    flat before = {0};
    for (int i = 0; i < count + count / 10; i += TOGETHER) {
        brg_port *ports[TOGETHER];
        if (i == count / 10)
            before = flat_now();
        for (int j = 0; j < TOGETHER; j++)
            ports[j] = send_port(worker, i + j);
        for (int j = 0; j < TOGETHER; j++)
            hear_back(ports[j], i + j);
    }
    flat_check("channels to a worker", count, &before);
    brg_worker_destroy(worker);
}

static void workers_that_get_a_port(void **state)
{
    brg_isolation isolation = scenario_isolation(state);
    int count = COUNT(10000);
    flat before = {0};
    for (int i = 0; i < count + count / 10; i += TOGETHER) {
        brg_worker *workers[TOGETHER];
        brg_port *ports[TOGETHER];
        if (i == count / 10)
            before = flat_now();
        for (int j = 0; j < TOGETHER; j++) {
            workers[j] = flat_worker(isolation);
            ports[j] = send_port(workers[j], i + j);
        }
        for (int j = 0; j < TOGETHER; j++) {
            hear_back(ports[j], i + j);
            brg_worker_destroy(workers[j]);
        }
    }
    flat_check("workers", count, &before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_of_the_program),
        SCENARIO_BOTH(channels_to_a_worker),
        SCENARIO_BOTH(workers_that_get_a_port),
    };
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* the kernel makes no large pages of small ones meanwhile */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
