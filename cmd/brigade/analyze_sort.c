/* SPDX-License-Identifier: MIT */
/*
 * Sorted rows without a limit: workers sort the rows of their piece, and their runs are put together here: while pieces
 * come what is more than the memory, all the rest when the loop is over.
 */
#include <errno.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "analyze_run.h"

#define SORT_LOOK 1024u /* rows between two looks at the clock */
#define SORT_PROGRESS_NS BRG_MILLISECONDS(100)

static bool sort_explain(const analyze_run *run, sorter_outcome outcome)
{
    const analyze_sorter *sorter = &run->sorter;
    if (run->shows_progress)
        analyze_clear_progress();
    switch (outcome) {
    case SORTER_NO_MEMORY:
        return cli_complain("analyze", "out of memory");
    case SORTER_DIRECTORY:
        return cli_complain(
            "analyze",
            "the rows to sort take more than --sort-memory, and no temporary file can be made in %s: %s; "
            "TMPDIR names another directory",
            sorter->directory, strerror(sorter->error));
    case SORTER_WRITE:
        return cli_complain("analyze",
                            "the temporary file in %s could not be written: %s; TMPDIR names another directory, and "
                            "more --sort-memory needs less of it",
                            sorter->directory, strerror(sorter->error));
    case SORTER_READ:
        return cli_complain("analyze", "the temporary file in %s could not be read: %s", sorter->directory,
                            strerror(sorter->error));
    default:
        return cli_complain("analyze", "the rows to sort are damaged: they are not what the workers made");
    }
}

static bool sort_take_run(const char *records, size_t size, void *user_data)
{
    analyze_run *run = user_data;
    sorter_outcome outcome = analyze_sorter_add(&run->sorter, records, size);
    if (outcome == SORTER_STOPPED)
        return false;
    return outcome == SORTER_DONE || sort_explain(run, outcome);
}

void analyze_sort_begin(analyze_run *run)
{
    const char *directory = getenv("TMPDIR");
    analyze_sorter_init(&run->sorter, run->options.sort_memory, run->plan.limit,
                        directory != NULL && directory[0] != '\0' ? directory : "/tmp");
    run->sorter.stop = &analyze_stop;
    run->result.run = sort_take_run;
    run->result.user_data = run;
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like others */
}

typedef struct sort_output {
    analyze_run *run;
    uint64_t rows, drawn_ns;
} sort_output;

static void sort_draw(sort_output *output)
{
    uint64_t now = cli_now_ns(), total = output->run->sorter.records;
    if (now - output->drawn_ns < SORT_PROGRESS_NS)
        return;
    output->drawn_ns = now;
    fprintf(stderr, "\r\033[Kmerging: row %llu of %llu", (unsigned long long)output->rows, (unsigned long long)total);
    fflush(stderr);
}

static bool sort_put(const char *record, size_t size, void *user_data)
{
    sort_output *output = user_data;
    const char *fields = record + SORTED_HEAD + sorted_word(record + sizeof(uint32_t));
    analyze_print_row(fields, (uint32_t)(record + size - fields), &output->run->printer);
    if (++output->rows % SORT_LOOK == 0 && output->run->shows_progress)
        sort_draw(output);
    return !ferror_unlocked(stdout);
}

bool analyze_sort_print(analyze_run *run)
{
    sort_output output = {.run = run};
    sorter_outcome outcome = analyze_sorter_finish(&run->sorter, sort_put, &output);
    int error = errno;
    if (run->shows_progress)
        analyze_clear_progress();
    bool good = outcome == SORTER_DONE && analyze_print_rows_end(&run->printer, &run->result);
    error = outcome == SORTER_DONE ? errno : error;
    if (outcome != SORTER_DONE && outcome != SORTER_STOPPED) {
        sort_explain(run, outcome);
    } else if (!good) {
        cli_complain("analyze", "standard output could not be written: %s", strerror(error));
        __fpurge(stdout);
    }
    return good;
}
