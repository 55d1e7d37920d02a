/* SPDX-License-Identifier: MIT */
/* What a full queue does, in each of the five ways: room for two, and three tasks a, b and c come while the worker is
 * busy. */
#include "gate.h"

static brg_status note_run(brg_context *context, void *argument)
{
    (void)context;
    *(bool *)argument = true;
    return BRG_OK;
}

static void serve(const char *label, brg_admission admission)
{
    gate door = GATE_CLOSED;
    brg_error error;
    brg_pool *pool = NULL;
    brg_task *tasks[3] = {NULL, NULL, NULL};
    bool has_run[3] = {false, false, false};
    const brg_pool_options *options = brg_pool_opts(.workers_max = 1, .queue_max = 2, .admission = admission,
                                                    .admission_timeout_ns = BRG_MILLISECONDS(1));

    must(brg_pool_create(&pool, options, &error), &error);
    gate_hold(&door, pool, 0);
    brg_status status = BRG_OK;
    for (int i = 0; i < 3; i++)
        status = brg_pool_submit_call(pool, note_run, &has_run[i], NULL, &tasks[i]);
    printf("%-12s submit of c: %s%s", label, brg_status_name(status), has_run[2] ? ", and it has run;" : ";");
    gate_open(&door);
    for (int i = 0; i < 3; i++)
        if (tasks[i] != NULL) {
            brg_task_wait(tasks[i], BRG_FOREVER);
            printf(" %c %s", 'a' + i, brg_status_name(brg_task_result(tasks[i])->status));
            brg_task_unref(tasks[i]);
        }
    printf("\n");
    brg_pool_destroy(pool);
}

int main(void)
{
    serve("reject", BRG_ADMISSION_REJECT);
    serve("block", BRG_ADMISSION_BLOCK);
    serve("caller runs", BRG_ADMISSION_CALLER_RUNS);
    serve("drop oldest", BRG_ADMISSION_DROP_OLDEST);
    serve("drop newest", BRG_ADMISSION_DROP_NEWEST);
    return EXIT_SUCCESS;
}
