/* SPDX-License-Identifier: MIT */
/* `brigade tune`: asks the search for a worker count, measures it, tells the search, until it has found the best. */
#include "tune.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "module.h"

static void tune_record(tune_run *run, uint32_t workers, const measure_result *result)
{
    tune_count *count = &run->counts[workers - run->options.from];
    search_add(&run->search, workers, result->rate);
    if (count->times == NULL) {
        count->times = calloc(1, sizeof(*count->times));
        if (count->times == NULL)
            return;
    }
    histogram_merge(count->times, &run->measure.times);
    count->tasks += result->tasks;
    count->failed += result->failed;
    count->cpus = count->cpus < 0 || result->cpus < 0 ? -1 : count->cpus + result->cpus;
}

/* Measures until the search has its answer. False after it printed why nothing could be measured. */
static bool tune_measure(tune_run *run)
{
    measure *load = &run->measure;
    brg_error error = {.status = BRG_OK};
    uint32_t workers = 0;
    if (!measure_try(load, &error))
        return load->interrupts > 0 ||
               cli_complain("tune", "%s of %s: %s", run->options.task, run->options.module, error.message);
    run->started_ns = cli_now_ns();
    while (search_next(&run->search, &workers)) {
        measure_result result;
        run->at = workers;
        if (load->tick != NULL)
            load->tick(load->tick_state); /* a short round may be over before a tick */
        if (!measure_round(load, workers, run->options.round_ns, &result, &error))
            return load->interrupts > 0 || cli_complain("tune", "%s", error.message);
        if (result.tasks == 0)
            return cli_complain("tune", "with %u workers every task failed: %s", workers, load->first_error.message);
        tune_record(run, workers, &result);
    }
    return true;
}

static bool tune_prepare(tune_run *run)
{
    const tune_options *options = &run->options;
    search_options wanted = {.from = (uint32_t)options->from,
                             .to = (uint32_t)options->to,
                             .rounds = (uint32_t)options->rounds,
                             .tolerance = options->tolerance / 100,
                             .sweep = options->sweep};
    run->counts = calloc(options->to - options->from + 1, sizeof(*run->counts));
    if (run->counts == NULL || !search_init(&run->search, &wanted))
        return cli_complain("tune", "out of memory");
    run->shows_progress = options->progress == TUNE_ALWAYS || (options->progress == TUNE_AUTO && !options->quiet &&
                                                               !options->json && isatty(STDERR_FILENO));
    run->measure.command = "tune";
    run->measure.task = options->task;
    run->measure.inputs = run->inputs;
    run->measure.input_count = run->input_count;
    if (run->shows_progress) {
        run->measure.tick = tune_draw_progress;
        run->measure.tick_state = run;
    }
    return true;
}

static int tune_report(tune_run *run, bool good)
{
    bool interrupted = run->measure.interrupts > 0, told = true;
    if (search_best(&run->search) != 0 || run->options.json) {
        told = run->options.json ? tune_print_json(run, interrupted) : tune_print(run, interrupted);
        if (!told)
            cli_complain("tune", "standard output could not be written");
        if (run->options.svg != NULL && search_best(&run->search) != 0)
            told = tune_write_svg(run) && told;
    }
    if (interrupted && search_best(&run->search) == 0)
        cli_complain("tune", "interrupted before the first round was over");
    if (interrupted)
        return CLI_INTERRUPTED;
    if (!good)
        return search_best(&run->search) != 0 ? CLI_SOME_FAILED : CLI_CANNOT_RUN;
    return told && run->measure.failed == 0 ? CLI_OK : CLI_SOME_FAILED;
}

static int tune_execute(tune_run *run)
{
    if (!module_find("tune", run->options.module, run->module) || !tune_prepare(run))
        return CLI_CANNOT_RUN;
    if (!measure_open(&run->measure, &run->options.pool, run->module, (uint32_t)run->options.from))
        return CLI_CANNOT_RUN;
    run->started_ns = cli_now_ns();
    bool good = tune_measure(run);
    run->ended_ns = cli_now_ns();
    tune_clear_progress(run);
    run->measure.tick = NULL;
    return tune_report(run, good);
}

static void tune_done(tune_run *run)
{
    measure_close(&run->measure);
    for (size_t i = 0; run->counts != NULL && i < run->search.count; i++)
        free(run->counts[i].times);
    free(run->counts);
    search_done(&run->search);
    tune_free_inputs(run);
    pool_settings_done(&run->options.pool);
}

static int tune_main(int argc, char **argv)
{
    static tune_run run;
    run.options = (tune_options){.from = 1, .rounds = 7, .round_ns = BRG_MILLISECONDS(200), .tolerance = 2};
    pool_settings_init(&run.options.pool);
    int first = 0, code = cli_parse(&cli_tune, argc, argv, &run.options, &first);
    if (code < 0)
        code = tune_check_options(&run.options, argc - first, argv + first) && tune_load_inputs(&run)
                   ? tune_execute(&run)
                   : cli_refused();
    tune_done(&run);
    return code;
}

const cli_command cli_tune = {.name = "tune",
                              .summary = "Finds the best number of workers for a task, by measuring few of them.",
                              .usage = "brigade tune [OPTION...] MODULE TASK",
                              .options = tune_option_table,
                              .shared = pool_option_table,
                              .take = tune_take_option,
                              .run = tune_main};
