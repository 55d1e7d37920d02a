/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

const char *scenario_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/scenario.so", directory != NULL ? directory : ".");
    return path;
}

/* Nobody is ended because the machine stood still, where the test did not ask for it. */
static brg_pool *scenario_create(brg_pool_options *options)
{
    brg_pool *pool = NULL;
    brg_error error;
    if (options->grace_ns == 0)
        options->grace_ns = SCENARIO_LONG;
    if (options->start_timeout_ns == 0)
        options->start_timeout_ns = SCENARIO_LONG;
    if (brg_pool_create(&pool, options, &error) != BRG_OK)
        fail_msg("pool: %s", error.message);
    return pool;
}

brg_pool *scenario_pool(brg_isolation isolation, const brg_pool_options *options)
{
    brg_pool_options complete = {.size = sizeof(complete)};
    if (options != NULL)
        complete = *options;
    complete.isolation = isolation;
    if (complete.module == NULL)
        complete.module = scenario_module();
    if (complete.workers_max == 0)
        complete.workers_max = 2;
    return scenario_create(&complete);
}

brg_pool *scenario_function_pool(const brg_pool_options *options)
{
    brg_pool_options complete = *options;
    return scenario_create(&complete);
}

brg_task *scenario_submit(brg_pool *pool, const char *name, brg_value *input, const brg_submit_options *options)
{
    brg_task *task = NULL;
    brg_status status = brg_pool_submit(pool, name, input, options, &task);
    if (status != BRG_OK)
        fail_msg("submit %s: %s", name, brg_status_name(status));
    return task;
}

const brg_result *scenario_result(brg_task *task)
{
    assert_int_equal(brg_task_wait(task, SCENARIO_BOUND), BRG_OK);
    const brg_result *result = brg_task_result(task);
    assert_non_null(result);
    return result;
}

void scenario_expect(brg_pool *pool, const char *name, brg_value *input, brg_status status)
{
    brg_task *task = scenario_submit(pool, name, input, NULL);
    const brg_result *result = scenario_result(task);
    if (result->status != status)
        fail_msg("%s: %s, not %s: %s", name, brg_status_name(result->status), brg_status_name(status),
                 result->error != NULL ? result->error->message : "");
    brg_task_unref(task);
}

brg_metrics *scenario_metrics(const brg_pool *pool)
{
    brg_metrics *metrics = NULL;
    brg_error error;
    if (brg_pool_metrics(pool, &metrics, &error) != BRG_OK)
        fail_msg("metrics: %s", error.message);
    return metrics;
}

brg_pool_stats scenario_stats(const brg_pool *pool)
{
    brg_pool_stats stats = {.size = sizeof(stats)};
    assert_int_equal(brg_pool_get_stats(pool, &stats), BRG_OK);
    return stats;
}

brg_value *scenario_int(const char *key, int64_t value)
{
    brg_value *map = NULL;
    assert_int_equal(brg_value_map(&map, NULL, brg_field_int(key, value)), BRG_OK);
    return map;
}

brg_value *scenario_string(const char *key, const char *value)
{
    brg_value *map = NULL;
    assert_int_equal(brg_value_map(&map, NULL, brg_field_string(key, value)), BRG_OK);
    return map;
}

void scenario_gate_open(scenario_gate *gate)
{
    snprintf(gate->directory, sizeof(gate->directory), "/tmp/brigade-test-XXXXXX");
    assert_non_null(mkdtemp(gate->directory));
    snprintf(gate->reach, sizeof(gate->reach), "%s/reach", gate->directory);
    snprintf(gate->hold, sizeof(gate->hold), "%s/hold", gate->directory);
    assert_int_equal(mkfifo(gate->reach, 0600), 0);
    assert_int_equal(mkfifo(gate->hold, 0600), 0);
}

void scenario_gate_close(scenario_gate *gate)
{
    unlink(gate->reach);
    unlink(gate->hold);
    rmdir(gate->directory);
}

brg_value *scenario_gate_input(const scenario_gate *gate, bool hold)
{
    brg_value *input = NULL;
    assert_int_equal(brg_value_map(&input, NULL, brg_field_string("reach", gate->reach),
                                   brg_field_string("hold", hold ? gate->hold : NULL)),
                     BRG_OK);
    return input;
}

void scenario_gate_reached(const scenario_gate *gate)
{
    char byte;
    int fd = open(gate->reach, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, &byte, 1), 1);
    close(fd);
}

void scenario_gate_release(const scenario_gate *gate)
{
    int fd = open(gate->hold, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

int scenario_open_files(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}
