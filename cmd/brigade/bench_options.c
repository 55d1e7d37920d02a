/* SPDX-License-Identifier: MIT */
/* The options of `brigade bench`, beside those of its pools: the mix of tasks, and the policies that are compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define BENCH_MIX "90:100us,10:10ms"
#define BENCH_POLICIES "queue=fifo,priority,fair;placement=pull,stealing"
#define BENCH_TASKS_MOST 10000000

const cli_option bench_option_table[] = {
    {"", 0, CLI_NONE, NULL, "What is run:"},
    {"mix", 0, CLI_REQUIRED, "LIST",
     "the tasks, as SHARE:LENGTH or SHARE:LENGTH:PRIORITY; by default 90:100us,10:10ms. The shortest are of high "
     "priority, the longest of low, unless it is said"},
    {"task", 0, CLI_REQUIRED, "NAME", "of the work module: spin (default), sleep or mix"},
    {"tasks", 'n', CLI_REQUIRED, "N", "how many; by default as many as take about a second"},
    {"load", 0, CLI_REQUIRED, "PART",
     "they come at random, as often as keeps the workers so busy, 0.05 to 2; by default 0.8"},
    {"at-once", 0, CLI_NONE, NULL, "they are all there at the start"},
    {"policies", 0, CLI_REQUIRED, "LIST",
     "what is compared, in all combinations: queue=A,B;placement=C,D;scaling=E;isolation=F; \"all\" for every one. By "
     "default queue=fifo,priority,fair;placement=pull,stealing"},
    {"repeat", 0, CLI_REQUIRED, "N", "rounds of all, whose medians are shown; by default 3"},
    {"", 0, CLI_NONE, NULL, "What is shown:"},
    {"svg", 0, CLI_REQUIRED, "FILE", "write a picture of it"},
    {"json", 0, CLI_NONE, NULL, "one JSON document on standard output, nothing else"},
    {"progress", 0, CLI_REQUIRED, "WHEN", "auto (default: on a terminal), always or never"},
    {"quiet", 0, CLI_NONE, NULL, "no progress"},
    {"help", 'h', CLI_NONE, NULL, "show this"},
    {NULL, 0, CLI_NONE, NULL, NULL},
};

bool bench_take_option(void *state, const cli_option *option, const char *argument)
{
    static const char *const whens[] = {"auto", "always", "never", NULL};
    static const char *const tasks[] = {"spin", "sleep", "mix", NULL};
    bench_options *options = state;
    const char *name = option->name;
    int word = 0;
    bool good = true;
    if (strcmp(name, "mix") == 0)
        options->mix = argument;
    else if (strcmp(name, "policies") == 0)
        options->policies = argument;
    else if (strcmp(name, "svg") == 0)
        options->svg = argument;
    else if (strcmp(name, "at-once") == 0)
        options->at_once = true;
    else if (strcmp(name, "json") == 0)
        options->json = true;
    else if (strcmp(name, "quiet") == 0)
        options->quiet = true;
    else if (strcmp(name, "tasks") == 0)
        good = cli_read_count("bench", name, argument, 1, BENCH_TASKS_MOST, &options->tasks);
    else if (strcmp(name, "repeat") == 0)
        good = cli_read_count("bench", name, argument, 1, BENCH_ROUNDS_MAX, &options->rounds);
    else if (strcmp(name, "load") == 0)
        good = cli_read_number("bench", name, argument, 0.05, 2, &options->load);
    else if (strcmp(name, "task") == 0 && (good = cli_read_word("bench", name, argument, tasks, &word)))
        options->task = tasks[word];
    else if (strcmp(name, "progress") == 0 && (good = cli_read_word("bench", name, argument, whens, &word)))
        options->progress = (bench_when)word;
    else if (strcmp(name, "task") != 0 && strcmp(name, "progress") != 0)
        good = pool_take_option(&options->pool, "bench", option, argument);
    return good;
}

/* ---- the mix ----------------------------------------------------------------------------------------------------- */

static bool bench_read_class(char *text, bench_class *class)
{
    static const char *const priorities[] = {"normal", "urgent", "high", "low", NULL};
    char *length = strchr(text, ':'), *priority = length == NULL ? NULL : strchr(length + 1, ':');
    int word = 0;
    if (length == NULL)
        return cli_complain("bench", "--mix: \"%s\" is no share and length; write 90:100us,10:10ms", text);
    *length++ = '\0';
    if (priority != NULL)
        *priority++ = '\0';
    if (!cli_read_number("bench", "mix", text, 0.001, 1e9, &class->share) ||
        !cli_read_duration("bench", "mix", length, &class->length_ns))
        return false;
    if (class->length_ns > BRG_SECONDS(60))
        return cli_complain("bench", "--mix: \"%s\" is more than a minute", length);
    if (priority != NULL && !cli_read_word("bench", "mix", priority, priorities, &word))
        return false;
    class->priority = (brg_priority)word;
    class->has_priority = priority != NULL;
    snprintf(class->name, sizeof(class->name), "%s", length);
    return true;
}

/* Shares become parts of 1; who was given no priority gets it by length. */
static void bench_complete_classes(bench_options *options)
{
    double sum = 0;
    uint64_t shortest = UINT64_MAX, longest = 0;
    for (size_t i = 0; i < options->class_count; i++) {
        const bench_class *class = &options->classes[i];
        sum += class->share;
        shortest = class->length_ns < shortest ? class->length_ns : shortest;
        longest = class->length_ns > longest ? class->length_ns : longest;
    }
    for (size_t i = 0; i < options->class_count; i++) {
        bench_class *class = &options->classes[i];
        class->share /= sum;
        if (!class->has_priority && shortest != longest)
            class->priority = class->length_ns == shortest  ? BRG_PRIORITY_HIGH
                              : class->length_ns == longest ? BRG_PRIORITY_LOW
                                                            : BRG_PRIORITY_NORMAL;
    }
}

static bool bench_read_mix(bench_options *options)
{
    char text[512];
    if (snprintf(text, sizeof(text), "%s", options->mix) >= (int)sizeof(text))
        return cli_complain("bench", "--mix: it is too long; at most %d lengths", BENCH_CLASSES_MAX);
    for (char *at = text; at != NULL;) {
        char *next = strchr(at, ',');
        if (next != NULL)
            *next++ = '\0';
        if (options->class_count == BENCH_CLASSES_MAX)
            return cli_complain("bench", "--mix: at most %d lengths", BENCH_CLASSES_MAX);
        if (!bench_read_class(at, &options->classes[options->class_count]))
            return false;
        options->class_count++;
        at = next;
    }
    bench_complete_classes(options);
    return true;
}

/* ---- the policies ------------------------------------------------------------------------------------------------ */

enum { BENCH_QUEUE, BENCH_PLACEMENT, BENCH_SCALING, BENCH_ISOLATION, BENCH_KINDS };

static const char *const bench_isolations[] = {"thread", "process", NULL};
static const char *const bench_kinds[] = {"queue", "placement", "scaling", "isolation", NULL};

/* Of each kind, those that are compared, as indexes into its names. */
typedef struct bench_lists {
    const char *const *names[BENCH_KINDS];
    int chosen[BENCH_KINDS][16];
    size_t count[BENCH_KINDS];
} bench_lists;

static bool bench_read_names(bench_lists *lists, int kind, char *text)
{
    const char *const *names = lists->names[kind];
    if (strcmp(text, "all") == 0) {
        for (int i = 0; names[i] != NULL; i++)
            lists->chosen[kind][lists->count[kind]++] = i;
        return true;
    }
    for (char *at = text; at != NULL;) {
        char *next = strchr(at, ',');
        int word = 0;
        if (next != NULL)
            *next++ = '\0';
        for (char *letter = at; *letter != '\0'; letter++)
            *letter = *letter == '_' ? '-' : *letter;
        if (!cli_read_word("bench", bench_kinds[kind], at, names, &word))
            return false;
        for (size_t i = 0; i < lists->count[kind]; i++)
            if (lists->chosen[kind][i] == word)
                return cli_complain("bench", "--policies: %s is there twice", at);
        lists->chosen[kind][lists->count[kind]++] = word;
        at = next;
    }
    return true;
}

static bool bench_read_lists(bench_lists *lists, const char *policies)
{
    char text[512];
    if (snprintf(text, sizeof(text), "%s", policies) >= (int)sizeof(text))
        return cli_complain("bench", "--policies: it is too long");
    for (char *at = text; at != NULL;) {
        char *next = strchr(at, ';');
        int kind = 0;
        if (next != NULL)
            *next++ = '\0';
        char *names = strchr(at, '=');
        if (names == NULL)
            return cli_complain("bench", "--policies: \"%s\" is no list; write queue=fifo,priority;placement=pull", at);
        *names++ = '\0';
        if (!cli_read_word("bench", "policies", at, bench_kinds, &kind))
            return false;
        if (lists->count[kind] != 0)
            return cli_complain("bench", "--policies: %s is there twice", bench_kinds[kind]);
        if (!bench_read_names(lists, kind, names))
            return false;
        at = next;
    }
    return true;
}

static void bench_name_choice(bench_choice *choice, const bench_lists *lists)
{
    const char *const parts[] = {choice->queue, choice->placement, choice->scaling, choice->isolation};
    size_t used = 0;
    for (int kind = 0; kind < BENCH_KINDS; kind++)
        if (lists->count[kind] > 1) {
            snprintf(choice->name + used, sizeof(choice->name) - used, "%s%s", used == 0 ? "" : ", ", parts[kind]);
            used = strlen(choice->name);
        }
    if (used == 0)
        snprintf(choice->name, sizeof(choice->name), "%s, %s", choice->queue, choice->placement);
}

/* The name by which the pool options know a policy, or "" where nothing was said. */
static const char *bench_default(const bench_options *options, int kind)
{
    const brg_pool_options *pool = &options->pool.pool;
    for (int i = 0; kind == BENCH_QUEUE && pool_queue_names[i] != NULL; i++)
        if (pool_find_queue(pool_queue_names[i]) == pool->queue)
            return pool_queue_names[i];
    for (int i = 0; kind == BENCH_PLACEMENT && pool_placement_names[i] != NULL; i++)
        if (pool_find_placement(pool_placement_names[i]) == pool->placement)
            return pool_placement_names[i];
    for (int i = 0; kind == BENCH_SCALING && pool_scaling_names[i] != NULL; i++)
        if (pool_find_scaling(pool_scaling_names[i]) == pool->scaling)
            return pool_scaling_names[i];
    return kind == BENCH_QUEUE                       ? "fifo"
           : kind == BENCH_PLACEMENT                 ? "pull"
           : kind == BENCH_SCALING                   ? "fixed"
           : pool->isolation == BRG_ISOLATION_THREAD ? "thread"
                                                     : "process";
}

static const char *bench_pick(const bench_options *options, const bench_lists *lists, int kind, size_t at)
{
    return lists->count[kind] == 0 ? bench_default(options, kind) : lists->names[kind][lists->chosen[kind][at]];
}

/* All combinations, the last kind changing fastest. */
static bool bench_combine(bench_options *options, const bench_lists *lists)
{
    size_t sizes[BENCH_KINDS], total = 1;
    for (int kind = 0; kind < BENCH_KINDS; kind++) {
        sizes[kind] = lists->count[kind] > 0 ? lists->count[kind] : 1;
        total *= sizes[kind];
    }
    if (total > BENCH_CHOICES_MAX)
        return cli_complain("bench", "--policies: %zu combinations; at most %d", total, BENCH_CHOICES_MAX);
    for (size_t i = 0; i < total; i++) {
        size_t rest = i, at[BENCH_KINDS];
        for (int kind = BENCH_KINDS - 1; kind >= 0; kind--) {
            at[kind] = rest % sizes[kind];
            rest /= sizes[kind];
        }
        bench_choice *choice = &options->choices[i];
        *choice = (bench_choice){.queue = bench_pick(options, lists, BENCH_QUEUE, at[BENCH_QUEUE]),
                                 .placement = bench_pick(options, lists, BENCH_PLACEMENT, at[BENCH_PLACEMENT]),
                                 .scaling = bench_pick(options, lists, BENCH_SCALING, at[BENCH_SCALING]),
                                 .isolation = bench_pick(options, lists, BENCH_ISOLATION, at[BENCH_ISOLATION])};
        bench_name_choice(choice, lists);
    }
    options->choice_count = total;
    return true;
}

bool bench_check_options(bench_options *options)
{
    bench_lists lists = {.names = {pool_queue_names, pool_placement_names, pool_scaling_names, bench_isolations},
                         .count = {0}};
    pool_settings *pool = &options->pool;
    bool one = pool->queue_given || pool->placement_given || pool->scaling_given;
    const char *policies = options->policies != NULL ? options->policies : one ? NULL : BENCH_POLICIES;
    options->mix = options->mix == NULL ? BENCH_MIX : options->mix;
    if (options->at_once && options->load != 0)
        return cli_complain("bench", "--load and --at-once contradict each other");
    if (pool->init != NULL || pool->config != NULL)
        return cli_complain("bench", "--init and --config are nothing to the work module, whose tasks are run");
    if (options->load == 0)
        options->load = 0.8;
    if (!pool_settings_check(pool, "bench") || !bench_read_mix(options))
        return false;
    if (policies != NULL && !bench_read_lists(&lists, policies))
        return false;
    const bool given[] = {pool->queue_given, pool->placement_given, pool->scaling_given};
    for (int kind = 0; kind < BENCH_ISOLATION; kind++)
        if (given[kind] && lists.count[kind] > 0)
            return cli_complain("bench", "--%s and --policies %s=... contradict each other", bench_kinds[kind],
                                bench_kinds[kind]);
    return bench_combine(options, &lists);
}
