/* SPDX-License-Identifier: MIT */
#include "pool_options.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

const cli_option pool_option_table[] = {
    {"", 0, CLI_NONE, NULL, "Workers:"},
    {"isolation", 0, CLI_REQUIRED, "KIND", "process (default): a crash costs one task; or thread"},
    {"workers", 'w', CLI_REQUIRED, "N", "how many, or at most how many; by default as many as CPUs may be used"},
    {"workers-min", 0, CLI_REQUIRED, "N", "at least how many, with a scaling other than fixed; by default 1"},
    {"scaling", 0, CLI_REQUIRED, "POLICY", "fixed (default), backlog, load or adaptive"},
    {"grow-queued", 0, CLI_REQUIRED, "N", "backlog: more workers above this many waiting tasks each; by default 2"},
    {"grow-busy", 0, CLI_REQUIRED, "PERCENT", "load: more workers above this busy share; by default 80"},
    {"shrink-busy", 0, CLI_REQUIRED, "PERCENT", "load: fewer workers below it; by default 20"},
    {"scaling-interval", 0, CLI_REQUIRED, "TIME", "how often scaling looks; by default 100ms"},
    {"idle-timeout", 0, CLI_REQUIRED, "TIME", "a worker not needed ends after so long; by default 10s"},
    {"warm-spares", 0, CLI_REQUIRED, "N", "idle workers kept ready beyond the busy ones; by default 0"},
    {"recycle-tasks", 0, CLI_REQUIRED, "N", "replace a worker after so many tasks"},
    {"recycle-age", 0, CLI_REQUIRED, "TIME", "replace a worker at this age"},
    {"recycle-rss", 0, CLI_REQUIRED, "SIZE", "replace a process worker above this memory, between tasks"},
    {"memory-max", 0, CLI_REQUIRED, "SIZE", "end a process worker that takes more, as 512M or 2G"},
    {"rss-max", 0, CLI_REQUIRED, "SIZE", "end a process worker whose resident memory is above it"},
    {"start-timeout", 0, CLI_REQUIRED, "TIME", "for the start of a worker; by default 30s"},
    {"init", 0, CLI_REQUIRED, "JSON", "what each worker gets at its start; @FILE reads a file"},
    {"config", 0, CLI_REQUIRED, "JSON", "what the module's configure hook gets; @FILE reads a file"},
    {"", 0, CLI_NONE, NULL, "Which task is next, and where:"},
    {"queue", 0, CLI_REQUIRED, "POLICY", "fifo (default), lifo, priority, weighted, deadline or fair"},
    {"shares", 0, CLI_REQUIRED, "U,H,N,L",
     "weighted: the shares of urgent, high, normal and low tasks; by default 0,50,40,10"},
    {"ageing", 0, CLI_REQUIRED, "TIME", "priority: a task that waited so long counts as one step more urgent"},
    {"placement", 0, CLI_REQUIRED, "POLICY",
     "pull (default), round-robin, least-busy, random, two-choices, sticky or stealing"},
    {"seed", 0, CLI_REQUIRED, "N", "of random choices; by default another one each time"},
    {"batch-size", 0, CLI_REQUIRED, "N", "tasks that go to a worker as one, where the task can; by default 1"},
    {"batch-delay", 0, CLI_REQUIRED, "TIME", "how long a batch waits to fill; by default 1ms"},
    {"queue-max", 0, CLI_REQUIRED, "N", "tasks waiting; by default 65536"},
    {"queue-bytes-max", 0, CLI_REQUIRED, "SIZE", "their inputs together; by default 256M"},
    {"message-max", 0, CLI_REQUIRED, "SIZE", "one input or output; by default 64M"},
    {"admission", 0, CLI_REQUIRED, "RULE",
     "a full queue: block, reject, caller-runs, drop-oldest or drop-newest; without it the source waits"},
    {"admission-timeout", 0, CLI_REQUIRED, "TIME", "block: no longer than this"},
    {"", 0, CLI_NONE, NULL, "Failures:"},
    {"timeout", 't', CLI_REQUIRED, "TIME", "for one attempt, as 500ms, 5s or 2m; by default none"},
    {"queue-timeout", 0, CLI_REQUIRED, "TIME", "how long a task may wait; by default for ever"},
    {"deadline", 0, CLI_REQUIRED, "TIME", "for all of a task, waiting and retries included; by default none"},
    {"grace", 0, CLI_REQUIRED, "TIME", "from asking a task to end to ending its worker; by default 500ms"},
    {"heartbeat", 0, CLI_REQUIRED, "TIME", "a task that shows no life for so long counts as timed out"},
    {"retries", 0, CLI_REQUIRED, "N", "more attempts; by default 0"},
    {"retry-on", 0, CLI_REQUIRED, "LIST",
     "crash,timeout (default), failed, memory, transient or all; several with commas"},
    {"crash-limit", 0, CLI_REQUIRED, "N",
     "a task that ended so many workers gets no other; by default all its attempts"},
    {"backoff", 0, CLI_REQUIRED, "KIND", "fixed (default) or exponential: doubling delays"},
    {"retry-delay", 0, CLI_REQUIRED, "TIME", "before a further attempt; by default none"},
    {"retry-delay-max", 0, CLI_REQUIRED, "TIME", "exponential: at most; by default 30s"},
    {"retry-jitter", 0, CLI_REQUIRED, "PERCENT", "shorten delays by up to this part, at random; by default 0"},
    {NULL, 0, CLI_NONE, NULL, NULL},
};

/* ---- policies by name -------------------------------------------------------------------------------------------- */

const char *const pool_queue_names[] = {"fifo", "lifo", "priority", "weighted", "deadline", "fair", NULL};
const char *const pool_placement_names[] = {"pull",        "round-robin", "least-busy", "random",
                                            "two-choices", "sticky",      "stealing",   NULL};
const char *const pool_scaling_names[] = {"fixed", "backlog", "load", "adaptive", NULL};

static int options_index(const char *const names[], const char *name)
{
    char plain[32];
    snprintf(plain, sizeof(plain), "%s", name);
    for (char *at = plain; *at != '\0'; at++)
        if (*at == '_')
            *at = '-';
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], plain) == 0)
            return i;
    return -1;
}

const brg_queue_policy *pool_find_queue(const char *name)
{
    const brg_queue_policy *const list[] = {brg_queue_fifo,     brg_queue_lifo,     brg_queue_priority,
                                            brg_queue_weighted, brg_queue_deadline, brg_queue_fair};
    int index = options_index(pool_queue_names, name);
    return index < 0 ? NULL : list[index];
}

const brg_placement_policy *pool_find_placement(const char *name)
{
    const brg_placement_policy *const list[] = {
        brg_placement_pull,        brg_placement_round_robin, brg_placement_least_busy, brg_placement_random,
        brg_placement_two_choices, brg_placement_sticky,      brg_placement_stealing};
    int index = options_index(pool_placement_names, name);
    return index < 0 ? NULL : list[index];
}

const brg_scaling_policy *pool_find_scaling(const char *name)
{
    const brg_scaling_policy *const list[] = {brg_scaling_fixed, brg_scaling_backlog, brg_scaling_load,
                                              brg_scaling_adaptive};
    int index = options_index(pool_scaling_names, name);
    return index < 0 ? NULL : list[index];
}

/* The word that is right where `text` is one of the names, in either spelling; else the error lists them all. */
static bool options_policy(pool_settings *settings, const char *command, const char *option, const char *text)
{
    const char *const *names = pool_scaling_names;
    if (strcmp(option, "queue") == 0) {
        names = pool_queue_names;
        settings->pool.queue = pool_find_queue(text);
        settings->queue_given = true;
    } else if (strcmp(option, "placement") == 0) {
        names = pool_placement_names;
        settings->pool.placement = pool_find_placement(text);
        settings->placement_given = true;
    } else {
        settings->pool.scaling = pool_find_scaling(text);
        settings->scaling_given = true;
    }
    int ignored;
    return options_index(names, text) >= 0 || cli_read_word(command, option, text, names, &ignored);
}

/* ---- what is no number ------------------------------------------------------------------------------------------- */

static bool options_shares(pool_settings *settings, const char *command, const char *text)
{
    uint32_t shares[4] = {0};
    const char *at = text;
    uint64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        char *end = NULL;
        unsigned long share = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 1000001;
        if (share > 1000000 || *end != (i == 3 ? '\0' : ','))
            return cli_complain(command,
                                "--shares: \"%s\" is not four numbers up to 1000000, of urgent, high, normal and low; "
                                "write 0,50,40,10",
                                text);
        shares[i] = (uint32_t)share;
        sum += share;
        at = end + 1;
    }
    if (sum == 0)
        return cli_complain(command, "--shares: all four are zero; write 0,50,40,10");
    memcpy(settings->pool.shares, shares, sizeof(shares));
    return true;
}

static bool options_retry_on(pool_settings *settings, const char *command, const char *text)
{
    static const char *const words[] = {"crash", "timeout", "failed", "memory", "transient", "all", NULL};
    static const uint32_t flags[] = {BRG_RETRY_CRASH,  BRG_RETRY_TIMEOUT,   BRG_RETRY_FAILED,
                                     BRG_RETRY_MEMORY, BRG_RETRY_TRANSIENT, 31};
    uint32_t sum = 0;
    for (const char *at = text;; at++) {
        char word[32];
        size_t length = strcspn(at, ",");
        snprintf(word, sizeof(word), "%.*s", (int)(length < sizeof(word) ? length : sizeof(word) - 1), at);
        int index = 0;
        if (!cli_read_word(command, "retry-on", word, words, &index))
            return false;
        sum |= flags[index];
        at += length;
        if (*at == '\0')
            break;
    }
    settings->pool.retry_on = sum;
    return true;
}

static bool options_admission(pool_settings *settings, const char *command, const char *text)
{
    static const char *const words[] = {"reject", "block", "caller-runs", "drop-oldest", "drop-newest", NULL};
    int word = options_index(words, text);
    if (word < 0 && !cli_read_word(command, "admission", text, words, &word))
        return false;
    settings->pool.admission = (brg_admission)word;
    settings->admission_given = true;
    return true;
}

static bool options_word(pool_settings *settings, const char *command, const char *name, const char *text)
{
    static const char *const isolations[] = {"thread", "process", NULL};
    static const char *const backoffs[] = {"fixed", "exponential", NULL};
    int word = 0;
    bool isolation = strcmp(name, "isolation") == 0;
    if (!cli_read_word(command, name, text, isolation ? isolations : backoffs, &word))
        return false;
    if (isolation)
        settings->pool.isolation = word == 0 ? BRG_ISOLATION_THREAD : BRG_ISOLATION_PROCESS;
    else
        settings->pool.retry_backoff = word == 0 ? BRG_BACKOFF_FIXED : BRG_BACKOFF_EXPONENTIAL;
    return true;
}

/* ---- numbers, times, sizes --------------------------------------------------------------------------------------- */

typedef enum options_kind { OPTIONS_U32, OPTIONS_U64, OPTIONS_TIME, OPTIONS_SIZE } options_kind;

typedef struct options_field {
    const char *name;
    options_kind kind;
    size_t offset; /* in pool_settings */
    uint64_t least, most;
} options_field;

#define OPTIONS_AT(member) offsetof(pool_settings, member)

static const options_field options_fields[] = {
    {"workers", OPTIONS_U32, OPTIONS_AT(pool.workers_max), 1, 1024},
    {"workers-min", OPTIONS_U32, OPTIONS_AT(pool.workers_min), 0, 1024},
    {"grow-queued", OPTIONS_U32, OPTIONS_AT(pool.grow_queued), 1, 1000000},
    {"grow-busy", OPTIONS_U32, OPTIONS_AT(pool.grow_busy_percent), 1, 100},
    {"shrink-busy", OPTIONS_U32, OPTIONS_AT(pool.shrink_busy_percent), 1, 99},
    {"scaling-interval", OPTIONS_TIME, OPTIONS_AT(pool.scaling_interval_ns), 0, 0},
    {"idle-timeout", OPTIONS_TIME, OPTIONS_AT(pool.idle_timeout_ns), 0, 0},
    {"warm-spares", OPTIONS_U32, OPTIONS_AT(pool.warm_spares), 0, 1024},
    {"recycle-tasks", OPTIONS_U64, OPTIONS_AT(pool.recycle_tasks), 1, UINT64_MAX},
    {"recycle-age", OPTIONS_TIME, OPTIONS_AT(pool.recycle_age_ns), 0, 0},
    {"recycle-rss", OPTIONS_SIZE, OPTIONS_AT(pool.recycle_rss_bytes), 0, 0},
    {"memory-max", OPTIONS_SIZE, OPTIONS_AT(pool.limits.memory_bytes_max), 0, 0},
    {"rss-max", OPTIONS_SIZE, OPTIONS_AT(pool.limits.rss_bytes_max), 0, 0},
    {"start-timeout", OPTIONS_TIME, OPTIONS_AT(pool.start_timeout_ns), 0, 0},
    {"ageing", OPTIONS_TIME, OPTIONS_AT(pool.ageing_ns), 0, 0},
    {"seed", OPTIONS_U64, OPTIONS_AT(pool.seed), 1, UINT64_MAX},
    {"batch-size", OPTIONS_U32, OPTIONS_AT(pool.batch_size), 1, 4096},
    {"batch-delay", OPTIONS_TIME, OPTIONS_AT(pool.batch_delay_ns), 0, 0},
    {"queue-max", OPTIONS_U32, OPTIONS_AT(pool.queue_max), 1, 100000000},
    {"queue-bytes-max", OPTIONS_SIZE, OPTIONS_AT(pool.queue_bytes_max), 0, 0},
    {"message-max", OPTIONS_SIZE, OPTIONS_AT(pool.message_bytes_max), 0, 0},
    {"admission-timeout", OPTIONS_TIME, OPTIONS_AT(pool.admission_timeout_ns), 0, 0},
    {"timeout", OPTIONS_TIME, OPTIONS_AT(pool.run_timeout_ns), 0, 0},
    {"queue-timeout", OPTIONS_TIME, OPTIONS_AT(pool.queue_timeout_ns), 0, 0},
    {"deadline", OPTIONS_TIME, OPTIONS_AT(submit.deadline_ns), 0, 0},
    {"grace", OPTIONS_TIME, OPTIONS_AT(pool.grace_ns), 0, 0},
    {"heartbeat", OPTIONS_TIME, OPTIONS_AT(pool.heartbeat_ns), 0, 0},
    {"retries", OPTIONS_U64, OPTIONS_AT(retries), 0, 1000},
    {"crash-limit", OPTIONS_U32, OPTIONS_AT(pool.crash_limit), 1, 1001},
    {"retry-delay", OPTIONS_TIME, OPTIONS_AT(pool.retry_delay_ns), 0, 0},
    {"retry-delay-max", OPTIONS_TIME, OPTIONS_AT(pool.retry_delay_max_ns), 0, 0},
    {"retry-jitter", OPTIONS_U32, OPTIONS_AT(pool.retry_jitter_percent), 0, 100},
};

static bool options_number(pool_settings *settings, const char *command, const options_field *field, const char *text)
{
    char *at = (char *)settings + field->offset;
    uint64_t number = 0;
    bool good = field->kind == OPTIONS_TIME ? cli_read_duration(command, field->name, text, &number)
                : field->kind == OPTIONS_SIZE
                    ? cli_read_size(command, field->name, text, &number)
                    : cli_read_count(command, field->name, text, field->least, field->most, &number);
    if (!good)
        return false;
    if (field->kind == OPTIONS_U32)
        *(uint32_t *)at = (uint32_t)number;
    else if (field->kind == OPTIONS_SIZE)
        *(size_t *)at = (size_t)number;
    else
        *(uint64_t *)at = number;
    return true;
}

bool pool_take_option(pool_settings *settings, const char *command, const cli_option *option, const char *argument)
{
    const char *name = option->name;
    for (size_t i = 0; i < sizeof(options_fields) / sizeof(options_fields[0]); i++)
        if (strcmp(options_fields[i].name, name) == 0) {
            if (!options_number(settings, command, &options_fields[i], argument))
                return false;
            settings->workers_given = settings->workers_given || strcmp(name, "workers") == 0;
            if (strcmp(name, "workers-min") == 0 && settings->pool.workers_min == 0)
                settings->pool.workers_min = BRG_NO_WORKERS;
            return true;
        }
    if (strcmp(name, "shares") == 0)
        return options_shares(settings, command, argument);
    if (strcmp(name, "retry-on") == 0)
        return options_retry_on(settings, command, argument);
    if (strcmp(name, "admission") == 0)
        return options_admission(settings, command, argument);
    if (strcmp(name, "init") == 0)
        return pool_read_json(command, name, argument, &settings->init);
    if (strcmp(name, "config") == 0)
        return pool_read_json(command, name, argument, &settings->config);
    if (strcmp(name, "isolation") == 0 || strcmp(name, "backoff") == 0)
        return options_word(settings, command, name, argument);
    if (strcmp(name, "queue") == 0 || strcmp(name, "placement") == 0 || strcmp(name, "scaling") == 0)
        return options_policy(settings, command, name, argument);
    return cli_complain(command, "--%s is not handled here", name);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

void pool_settings_init(pool_settings *settings)
{
    *settings = (pool_settings){.pool = {.size = sizeof(brg_pool_options), .isolation = BRG_ISOLATION_PROCESS},
                                .submit = {.size = sizeof(brg_submit_options)}};
}

void pool_settings_done(pool_settings *settings)
{
    brg_value_unref(settings->init);
    brg_value_unref(settings->config);
    settings->init = settings->config = NULL;
}

uint32_t pool_settings_workers(const pool_settings *settings)
{
    cpu_set_t cpus;
    if (settings->pool.workers_max != 0)
        return settings->pool.workers_max;
    return sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 0 ? (uint32_t)CPU_COUNT(&cpus) : 1;
}

static bool settings_check_workers(const pool_settings *settings, const char *command)
{
    const brg_pool_options *pool = &settings->pool;
    bool is_fixed = pool->scaling == NULL || pool->scaling == brg_scaling_fixed;
    uint32_t grow = pool->grow_busy_percent != 0 ? pool->grow_busy_percent : 80;
    if (pool->workers_min != 0 && is_fixed)
        return cli_complain(command, "--workers-min needs --scaling backlog, load or adaptive");
    if (pool->workers_max != 0 && pool->workers_min != BRG_NO_WORKERS && pool->workers_min > pool->workers_max)
        return cli_complain(command, "--workers-min %u is above --workers %u", pool->workers_min, pool->workers_max);
    if (pool->shrink_busy_percent >= grow)
        return cli_complain(command, "--shrink-busy %u must be below --grow-busy, which is %u",
                            pool->shrink_busy_percent, grow);
    if (pool->isolation == BRG_ISOLATION_THREAD &&
        (pool->limits.memory_bytes_max != 0 || pool->limits.rss_bytes_max != 0 || pool->recycle_rss_bytes != 0))
        return cli_complain(command, "--memory-max, --rss-max and --recycle-rss need --isolation process");
    return true;
}

bool pool_settings_check(pool_settings *settings, const char *command)
{
    brg_pool_options *pool = &settings->pool;
    if (!settings_check_workers(settings, command))
        return false;
    if (settings->retries == 0 && (pool->retry_on != 0 || pool->retry_delay_ns != 0 || pool->retry_backoff != 0 ||
                                   pool->retry_delay_max_ns != 0 || pool->retry_jitter_percent != 0))
        return cli_complain(command, "--retry-on, --retry-delay and --backoff say how to retry: give --retries N too");
    if (pool->retry_delay_ns == 0 &&
        (pool->retry_backoff != 0 || pool->retry_delay_max_ns != 0 || pool->retry_jitter_percent != 0))
        return cli_complain(command, "--backoff, --retry-delay-max and --retry-jitter need --retry-delay TIME");
    if (pool->admission_timeout_ns != 0 && pool->admission != BRG_ADMISSION_BLOCK)
        return cli_complain(command, "--admission-timeout needs --admission block");
    pool->attempts_max = (uint32_t)settings->retries + 1;
    if (pool->retry_on == 0)
        pool->retry_on = BRG_RETRY_CRASH | BRG_RETRY_TIMEOUT;
    if (pool->crash_limit == 0)
        pool->crash_limit = pool->attempts_max > 2 ? pool->attempts_max : 2;
    return true;
}
