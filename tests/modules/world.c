/* SPDX-License-Identifier: MIT */
/*
 * The module of world_test, streams_test and nested_test: a message {"do": ...} makes the worker say what it has around
 * it, change it, write, read, make workers of its own, run timers. Answers go to the owner as messages.
 */
#include <brigade.h>
#include <brigade/uv.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct world_state {
    struct world_state *next;
    uv_timer_t timer;
    int ticks;
    brg_context *context;
    brg_worker *inner;
    brg_pool *pool;
    char end_path[256]; /* where at-exit functions write their letters */
} world_state;

static world_state *all_states;

static brg_status answer(brg_context *context, brg_value *value)
{
    brg_status status = brg_context_post(context, value, BRG_FOREVER, NULL);
    if (status != BRG_OK)
        brg_value_unref(value);
    return status;
}

static brg_status answer_int(brg_context *context, const char *key, int64_t number)
{
    brg_value *value = NULL;
    brg_status status = brg_value_map(&value, NULL, brg_field_int(key, number));
    return status == BRG_OK ? answer(context, value) : status;
}

/* ---- at exit ----------------------------------------------------------------------------------------------------- */

static void append(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            abort();
        close(fd);
    }
}

static void exit_first(void *argument) { append(((world_state *)argument)->end_path, "1"); }
static void exit_second(void *argument) { append(((world_state *)argument)->end_path, "2"); }

static void exit_third(void *argument)
{
    world_state *state = argument;
    append(state->end_path, "3");
    brg_context_at_exit(state->context, exit_second, state); /* runs next */
}

static brg_status do_at_exit(brg_context *context, brg_view root)
{
    world_state *state = brg_context_state(context);
    snprintf(state->end_path, sizeof(state->end_path), "%s", brg_view_get_string(root, "path", ""));
    if (brg_context_at_exit(context, NULL, NULL) != BRG_INVALID)
        return BRG_FAILED;
    brg_context_at_exit(context, exit_first, state);
    brg_context_at_exit(context, exit_third, state);
    return answer_int(context, "ok", 1);
}

/* ---- environment ------------------------------------------------------------------------------------------------- */

static brg_status do_about(brg_context *context)
{
    brg_value *data = brg_context_environment_data_get(context, "menu"), *value = NULL;
    const char *const *environment = brg_context_environment(context);
    int64_t entries = 0;
    while (environment[entries] != NULL)
        entries++;
    const char *shared = brg_context_getenv(context, "WORLD_TEST");
    brg_status status = brg_value_map(
        &value, NULL, brg_field_int("arguments", (int64_t)brg_context_argument_count(context)),
        brg_field_string("first", brg_context_argument(context, 0)),
        brg_field_int("second", brg_context_argument(context, 1) == NULL
                                    ? 0
                                    : (unsigned char)brg_context_argument(context, 1)[2]),
        brg_field_string("past", brg_context_argument(context, 2)), brg_field_int("entries", entries),
        brg_field_string("env", shared), brg_field_string("libc", getenv("WORLD_TEST")),
        brg_field_string("menu", data == NULL ? NULL : brg_view_get_string(brg_value_root(data), "dish", "?")),
        brg_field_int("current", (int64_t)brg_worker_current_id()),
        brg_field_bool("same", brg_context_current() == context));
    brg_value_unref(data);
    return status == BRG_OK ? answer(context, value) : status;
}

static brg_status do_setenv(brg_context *context, brg_view root)
{
    const char *value = brg_view_get_string(root, "value", NULL);
    if (brg_context_setenv(context, "", "x") != BRG_INVALID || brg_context_setenv(context, "A=B", "x") != BRG_INVALID ||
        brg_context_setenv(context, "A", NULL) != BRG_INVALID || brg_context_unsetenv(context, NULL) != BRG_INVALID)
        return BRG_FAILED;
    brg_status status = value == NULL ? brg_context_unsetenv(context, "WORLD_TEST")
                                      : brg_context_setenv(context, "WORLD_TEST", value);
    return status == BRG_OK ? do_about(context) : status;
}

static brg_status do_data(brg_context *context, brg_view root)
{
    brg_value *dish = NULL;
    brg_status status = brg_value_map(&dish, NULL, brg_field_string("dish", brg_view_get_string(root, "dish", NULL)));
    if (status == BRG_OK && (status = brg_context_environment_data_set(context, "menu", dish, NULL)) != BRG_OK)
        brg_value_unref(dish);
    return status == BRG_OK ? do_about(context) : status;
}

/* ---- loop -------------------------------------------------------------------------------------------------------- */

static void tick(uv_timer_t *timer)
{
    world_state *state = timer->data;
    answer_int(state->context, "tick", ++state->ticks);
    if (state->ticks % 3 == 0)
        uv_timer_stop(timer);
}

static brg_status do_ticks(brg_context *context)
{
    world_state *state = brg_context_state(context);
    brg_error error;
    brg_loop *loop = brg_context_loop(context, &error);
    if (loop == NULL || loop != brg_context_loop(context, NULL) || brg_loop_destroy(loop) != BRG_STATE)
        return BRG_FAILED;
    if (state->timer.data == NULL)
        uv_timer_init(brg_loop_uv(loop), &state->timer);
    state->timer.data = state;
    uv_timer_start(&state->timer, tick, 1, 1);
    return BRG_OK;
}

/* Runs the loop inside the handler until its timer is done. */
static brg_status do_run(brg_context *context, bool for_ever)
{
    brg_status status = do_ticks(context);
    if (status != BRG_OK)
        return status;
    if (for_ever)
        uv_timer_start(&((world_state *)brg_context_state(context))->timer, tick, 1000000000, 0);
    status = brg_loop_run(brg_context_loop(context, NULL));
    return answer_int(context, "run", status);
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static brg_status do_print(brg_context *context, brg_view root)
{
    for (int64_t i = 0; i < brg_view_get_int(root, "lines", 1); i++)
        if (fprintf(brg_context_stdout(context), "line %lld\n", (long long)i) < 0)
            return answer_int(context, "failed", i);
    fputs("tail", brg_context_stdout(context)); /* no newline: flushed at the end */
    fputs("oops", brg_context_stderr(context));
    if (brg_view_get_bool(root, "child", false) && system("echo from a child") != 0)
        return BRG_FAILED;
    return answer_int(context, "printed", brg_view_get_int(root, "lines", 1));
}

static brg_status do_read(brg_context *context)
{
    char line[256];
    brg_value *value = NULL;
    const char *got = fgets(line, sizeof(line), brg_context_stdin(context));
    brg_status status = brg_value_map(&value, NULL, brg_field_string("line", got));
    return status == BRG_OK ? answer(context, value) : status;
}

/* ---- workers of workers ------------------------------------------------------------------------------------------ */

static brg_status do_nest(brg_context *context, brg_view root)
{
    world_state *state = brg_context_state(context);
    const char *module = brg_view_get_string(root, "module", NULL);
    bool in_loop = brg_view_get_bool(root, "loop", false);
    brg_error error;
    brg_status status = brg_worker_create(
        &state->inner,
        brg_worker_opts(.module = module, .loop = in_loop ? brg_context_loop(context, NULL) : NULL,
                        .start_timeout_ns = BRG_SECONDS(600), .grace_ns = BRG_SECONDS(600),
                        .isolation = (brg_isolation)brg_view_get_int(root, "isolation", 0)),
        &error);
    if (status == BRG_OK)
        status = brg_worker_wait_online(state->inner, BRG_FOREVER, &error);
    if (status != BRG_OK)
        return brg_context_fail(context, 1, "the inner worker: %s", error.message);
    brg_value *value = NULL, *back = NULL;
    const char *end = brg_view_get_string(root, "end", NULL); /* a file that the inner one writes to when it ends */
    status = brg_value_map(&value, NULL, brg_field_string("do", end == NULL ? "about" : "at_exit"),
                           brg_field_string("path", end));
    if (status == BRG_OK)
        status = brg_worker_post(state->inner, value, BRG_FOREVER, &error);
    if (status == BRG_OK && !in_loop && (status = brg_worker_receive(state->inner, &back, BRG_FOREVER)) == BRG_OK)
        status = answer(context, back);
    int64_t pid = brg_worker_process_id(state->inner);
    return status == BRG_OK ? answer_int(context, "inner", pid != 0 ? pid : getpid()) : status;
}

static brg_status do_nest_pool(brg_context *context, brg_view root)
{
    world_state *state = brg_context_state(context);
    brg_error error;
    brg_status status = brg_pool_create(
        &state->pool,
        brg_pool_opts(.module = brg_view_get_string(root, "module", NULL), .workers_max = 2,
                      .start_timeout_ns = BRG_SECONDS(600), .grace_ns = BRG_SECONDS(600),
                      .isolation = (brg_isolation)brg_view_get_int(root, "isolation", 0)),
        &error);
    if (status != BRG_OK)
        return brg_context_fail(context, 1, "the inner pool: %s", error.message);
    brg_task *task = NULL;
    status = brg_pool_submit(state->pool, "noop", NULL, NULL, &task);
    if (status == BRG_OK)
        status = brg_task_wait(task, BRG_FOREVER);
    brg_task_unref(task);
    return status == BRG_OK ? answer_int(context, "pool", 1) : status;
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static brg_status do_burn(brg_context *context)
{
    volatile uint64_t sum = 0;
    for (uint64_t i = 0; i < 50000000; i++)
        sum += i;
    return answer_int(context, "burnt", 1);
}

static brg_status do_eat(brg_context *context)
{
    size_t size = (size_t)256 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return answer_int(context, "refused", errno);
    memset(memory, 1, size);
    answer_int(context, "eaten", memory[size / 2]);
    while (!brg_context_cancelled(context))
        usleep(1000);
    munmap(memory, size);
    return BRG_OK;
}

/* init_data is a descriptor: takes it and writes there. */
static brg_status do_take(brg_context *context)
{
    int fd = -1;
    brg_view root = brg_value_root(brg_context_init_data(context));
    brg_status status = brg_view_take_fd(root, &fd), again = brg_view_take_fd(root, &fd);
    if (status == BRG_OK) {
        if (write(fd, "x", 1) != 1)
            status = BRG_SYSTEM;
        close(fd);
    }
    return again == BRG_EMPTY ? answer_int(context, "taken", status) : BRG_FAILED;
}

static brg_status world_message(brg_context *context, const brg_value *message)
{
    brg_view root = brg_value_root(message);
    const char *what = brg_view_get_string(root, "do", "about");
    if (strcmp(what, "at_exit") == 0)
        return do_at_exit(context, root);
    if (strcmp(what, "setenv") == 0)
        return do_setenv(context, root);
    if (strcmp(what, "data") == 0)
        return do_data(context, root);
    if (strcmp(what, "ticks") == 0)
        return do_ticks(context);
    if (strcmp(what, "run") == 0 || strcmp(what, "run_for_ever") == 0)
        return do_run(context, what[3] != '\0');
    if (strcmp(what, "print") == 0)
        return do_print(context, root);
    if (strcmp(what, "read") == 0)
        return do_read(context);
    if (strcmp(what, "nest") == 0)
        return do_nest(context, root);
    if (strcmp(what, "nest_pool") == 0)
        return do_nest_pool(context, root);
    if (strcmp(what, "burn") == 0)
        return do_burn(context);
    if (strcmp(what, "take") == 0)
        return do_take(context);
    if (strcmp(what, "eat") == 0)
        return do_eat(context);
    return do_about(context);
}

static brg_status world_start(brg_context *context)
{
    world_state *state = calloc(1, sizeof(*state));
    if (state == NULL)
        return BRG_NO_MEMORY;
    state->context = context;
    state->next = __atomic_load_n(&all_states, __ATOMIC_SEQ_CST);
    while (!__atomic_compare_exchange_n(&all_states, &state->next, state, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    brg_context_set_state(context, state);
    return BRG_OK;
}

/* The state stays reachable: a timer of it may still be open, and inner workers end after this. */
static void world_end(brg_context *context)
{
    world_state *state = brg_context_state(context);
    if (state->end_path[0] != '\0')
        append(state->end_path, "e");
}

static brg_status world_noop(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)input;
    (void)output;
    return BRG_OK;
}

BRG_MODULE(world, .tasks = BRG_TASKS({"noop", world_noop}), .worker_start = world_start, .worker_end = world_end,
           .message = world_message);
