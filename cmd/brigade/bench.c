/* SPDX-License-Identifier: MIT */
/* `brigade bench`: the same tasks through each choice of policies, the choices in turn, several rounds. */
#include "bench.h"

#include <stdlib.h>
#include <unistd.h>

#include "module.h"
#include "plot.h"

static void bench_show_progress(const bench_all *all, size_t round, size_t index)
{
    char line[200];
    const bench_options *options = &all->options;
    snprintf(line, sizeof(line), "round %zu of %llu: %s", round + 1, (unsigned long long)options->rounds,
             options->choices[index].name);
    fprintf(stderr, "\r%.*s\033[K", cli_columns(stderr) - 1, line);
    fflush(stderr);
}

/* False after something could not run, or when interrupted. */
static bool bench_measure(bench_all *all)
{
    const bench_options *options = &all->options;
    bool shows = options->progress == BENCH_ALWAYS ||
                 (options->progress == BENCH_AUTO && !options->quiet && !options->json && isatty(STDERR_FILENO));
    bool good = true;
    for (size_t round = 0; good && round < options->rounds; round++)
        for (size_t i = 0; good && i < options->choice_count; i++) {
            bench_result *result = &all->results[i];
            if (shows)
                bench_show_progress(all, round, i);
            good = bench_run(all, &options->choices[i], &result->rounds[result->count]);
            result->count += good;
        }
    if (shows)
        fprintf(stderr, "\r\033[K");
    for (size_t i = 0; i < options->choice_count; i++)
        bench_take_medians(&all->results[i], options->class_count);
    return good;
}

static int bench_execute(bench_all *all)
{
    if (!module_find_shipped("work", all->module)) {
        cli_complain("bench", "the work module (work.so) is not beside this program nor in %s", module_directory());
        return CLI_CANNOT_RUN;
    }
    if (!bench_load_init(&all->load, &all->options) || !bench_stage_open(&all->stage))
        return CLI_CANNOT_RUN;
    bool good = bench_measure(all), told = true, interrupted = all->stage.interrupts > 0;
    bool any = all->results[0].count > 0;
    if (!good && !interrupted && !any)
        return CLI_CANNOT_RUN;
    if (any || all->options.json) {
        told = all->options.json ? bench_print_json(all) : bench_print(all);
        if (!told)
            cli_complain("bench", "standard output could not be written");
        if (all->options.svg != NULL && any)
            told = bench_write_svg(all) && told;
    }
    if (interrupted && !any)
        cli_complain("bench", "interrupted before the first round was over");
    if (interrupted)
        return CLI_INTERRUPTED;
    return good && told && all->failed == 0 ? CLI_OK : CLI_SOME_FAILED;
}

static int bench_main(int argc, char **argv)
{
    static bench_all all;
    all.options = (bench_options){.task = "spin", .rounds = 3};
    pool_settings_init(&all.options.pool);
    int first = 0, code = cli_parse(&cli_bench, argc, argv, &all.options, &first);
    if (code < 0 && first != argc) {
        cli_complain("bench", "it takes no operands; \"%s\" is one", argv[first]);
        code = CLI_USAGE;
    }
    if (code < 0) {
        if (all.options.pool.pool.seed == 0)
            all.options.pool.pool.seed = 1; /* the same tasks each time, unless asked otherwise */
        code = bench_check_options(&all.options) ? bench_execute(&all) : cli_refused();
    }
    bench_stage_close(&all.stage);
    bench_load_done(&all.load);
    pool_settings_done(&all.options.pool);
    return code;
}

const cli_command cli_bench = {.name = "bench",
                               .summary = "Compares policies on a mix of short and long tasks.",
                               .usage = "brigade bench [OPTION...]",
                               .options = bench_option_table,
                               .shared = pool_option_table,
                               .take = bench_take_option,
                               .run = bench_main};
