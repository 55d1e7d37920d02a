/* SPDX-License-Identifier: MIT */
/*
 * A trace of a priority inversion that did not happen.
 *
 * There is one worker. "report" is urgent and needs "index", which somebody submitted at low priority, behind many of
 * normal priority. So the urgent one would wait for all of them, as the rover of Mars Pathfinder did in 1997. Here a
 * task that waits for another runs it itself, if nobody has: the trace, which is read back, shows that "index" ran
 * inside "report", and that every "thumbnail" came after both.
 */
#include <brigade/trace.h>

#include <string.h>

#include "gate.h"

#define THUMBNAILS 5
#define TRACE_FILE "inversion.trace.json"
#define HALF_NS 0.0005 /* times are whole nanoseconds, in microseconds: their sums are off by less */

static brg_task *index_task; /* set before the gate opens */

/* About a millisecond, so that there is something to see. */
static void compute(void)
{
    for (volatile int i = 0; i < 500000; i++)
        ;
}

static brg_status make_index(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context, (void)input, (void)output;
    compute();
    return BRG_OK;
}

static brg_status make_report(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context, (void)input, (void)output;
    compute();
    brg_status status = brg_task_wait(index_task, BRG_FOREVER); /* nobody has started it: it runs right here */
    compute();
    return status;
}

static const brg_module studio = {
    .size = sizeof(studio),
    .abi = BRG_MODULE_ABI,
    .name = "studio",
    .tasks = BRG_TASKS({"index", make_index}, {"report", make_report}, {"thumbnail", make_index})};

static void order(brg_pool *pool, const char *name, brg_priority priority, brg_task **task)
{
    brg_error error;
    must(brg_pool_submit(pool, name, NULL, brg_submit_opts(.priority = priority, .error = &error), task), &error);
}

static void work(brg_trace *trace)
{
    gate door = GATE_CLOSED;
    brg_error error;
    brg_pool *pool = NULL;
    must(brg_pool_create(&pool,
                         brg_pool_opts(.name = "studio", .linked_module = &studio, .workers_max = 1,
                                       .queue = brg_queue_priority, .trace = trace),
                         &error),
         &error);
    gate_hold(&door, pool, 0);
    order(pool, "index", BRG_PRIORITY_LOW, &index_task);
    for (int i = 0; i < THUMBNAILS; i++)
        order(pool, "thumbnail", BRG_PRIORITY_NORMAL, NULL);
    order(pool, "report", BRG_PRIORITY_URGENT, NULL);
    gate_open(&door);
    brg_pool_drain(pool, BRG_FOREVER);
    brg_pool_destroy(pool);
    brg_task_unref(index_task);
}

/* ---- the trace, read back ---------------------------------------------------------------------------------------- */

typedef struct slice {
    double start, end; /* microseconds */
} slice;

/* The n-th slice of that name. */
static slice slice_of(brg_view events, const char *name, int n)
{
    for (size_t i = 0; i < brg_view_count(events); i++) {
        brg_view event = brg_view_at(events, i);
        double start = brg_view_get_double(event, "ts", 0);
        if (strcmp(brg_view_get_string(event, "ph", ""), "X") == 0 &&
            strcmp(brg_view_get_string(event, "name", ""), name) == 0 && n-- == 0)
            return (slice){start, start + brg_view_get_double(event, "dur", 0)};
    }
    fprintf(stderr, "no slice %s in the trace\n", name);
    exit(EXIT_FAILURE);
}

static brg_value *read_trace(void)
{
    static char text[1 << 20];
    brg_error error;
    brg_value *trace = NULL;
    FILE *file = fopen(TRACE_FILE, "r");
    if (file == NULL)
        exit(EXIT_FAILURE);
    size_t size = fread(text, 1, sizeof(text), file);
    fclose(file);
    must(brg_value_from_json(&trace, text, size, &error), &error);
    return trace;
}

int main(void)
{
    brg_error error;
    brg_trace *trace = NULL;
    must(brg_trace_create(&trace, NULL, &error), &error);
    work(trace);
    must(brg_trace_write(trace, TRACE_FILE, &error), &error);
    brg_trace_destroy(trace);

    brg_value *written = read_trace();
    brg_view events = brg_view_get(brg_value_root(written), "traceEvents");
    slice report = slice_of(events, "report", 0), index = slice_of(events, "index", 0);
    bool is_inside = index.start >= report.start && index.end <= report.end;
    int before = 0;
    for (int i = 0; i < THUMBNAILS; i++)
        before += slice_of(events, "thumbnail", i).start < report.end - HALF_NS;
    printf("index ran %s report\n", is_inside ? "inside" : "outside");
    printf("thumbnails before the end of report: %d of %d\n", before, THUMBNAILS);
    brg_value_unref(written);
    return is_inside && before == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
