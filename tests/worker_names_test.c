/* SPDX-License-Identifier: MIT */
/* What top -H, gdb and perf show: a thread or process of the library says what it is, and workers tell each other apart. */
#include "scenario.h"
#include "watch.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

/* Whether a thread of this process has that name. */
static bool has_thread(void *name)
{
    bool found = false;
    DIR *directory = opendir("/proc/self/task");
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL && !found;) {
        char path[300], read[32] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = isdigit((unsigned char)entry->d_name[0]) ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue; /* it is gone by now */
        if (fgets(read, sizeof(read), file) != NULL)
            read[strcspn(read, "\n")] = '\0';
        fclose(file);
        found = strcmp(read, name) == 0;
    }
    closedir(directory);
    return found;
}

static bool has_child(void *name) { return watch_find_child(name) != 0; }

static void must_show(void **state, const char *name)
{
    bool is_process = scenario_isolation(state) == BRG_ISOLATION_PROCESS;
    if (!watch_until(is_process ? has_child : has_thread, (void *)(uintptr_t)name))
        fail_msg("no worker shows as %s", name);
}

static void workers_show_their_pool_and_place(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), brg_pool_opts(.name = "photos", .workers_max = 3));
    must_show(state, "photos-0");
    must_show(state, "photos-1");
    must_show(state, "photos-2");
    brg_pool_destroy(pool);
}

/* Fifteen bytes are what the kernel keeps: the place of the worker is not what is cut. */
static void long_names_keep_the_place(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state),
                                   brg_pool_opts(.name = "thumbnails-of-holidays", .workers_max = 11));
    must_show(state, "thumbnails-of-0");
    must_show(state, "thumbnails-of-9");
    must_show(state, "thumbnails-o-10");
    brg_pool_destroy(pool);
}

static void the_others_have_names_too(void **state)
{
    brg_pool *pool = scenario_pool(scenario_isolation(state), NULL);
    scenario_expect(pool, "noop", NULL, BRG_OK);
    assert_true(watch_until(has_thread, (void *)(uintptr_t) "brigade-super"));
    if (scenario_isolation(state) == BRG_ISOLATION_PROCESS)
        assert_true(watch_until(has_child, (void *)(uintptr_t) "brigade-tmpl"));
    brg_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENARIO_BOTH(workers_show_their_pool_and_place),
        SCENARIO_BOTH(long_names_keep_the_place),
        SCENARIO_BOTH(the_others_have_names_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
