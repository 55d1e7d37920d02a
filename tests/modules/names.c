/* SPDX-License-Identifier: MIT */
/*
 * The module of names_test.c: a worker that does with named locks, broadcast and messages by id what its owner tells it
 * to, and answers each command with {status, ...}.
 */
#include <brigade.h>
#include <brigade/broadcast.h>
#include <brigade/direct.h>
#include <brigade/locks.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_BOUND BRG_SECONDS(240)
#define NAMES_LOCKS 8

typedef struct names {
    brg_lock *locks[NAMES_LOCKS];
    brg_broadcast *broadcast;
    int64_t direct_from, direct_number, direct_count;
} names;

static brg_status names_start(brg_context *context)
{
    brg_context_set_state(context, calloc(1, sizeof(names)));
    return brg_context_state(context) != NULL ? BRG_OK : BRG_NO_MEMORY;
}

/* With init_data, what is still held is left so: the worker's end is to let go of it. */
static void names_end(brg_context *context)
{
    names *n = brg_context_state(context);
    static names *volatile left; /* for leak checkers: nobody comes back for it */
    if (brg_context_init_data(context) != NULL) {
        left = n;
        (void)left;
        return;
    }
    for (int i = 0; i < NAMES_LOCKS; i++)
        brg_lock_release(n->locks[i]);
    brg_broadcast_close(n->broadcast);
    free(n);
}

static brg_status names_lock(names *n, brg_view command, brg_error *error)
{
    brg_lock **lock = &n->locks[brg_view_get_int(command, "slot", 0) % NAMES_LOCKS];
    const char *name = brg_view_get_string(command, "name", "");
    const char *op = brg_view_get_string(command, "do", "");
    if (strcmp(op, "release") == 0) {
        brg_lock_release(*lock);
        *lock = NULL;
        return BRG_OK;
    }
    if (strcmp(op, "lost") == 0)
        return brg_lock_is_lost(*lock) ? BRG_OK : BRG_STATE;
    return brg_lock_acquire(
        lock, name,
        brg_lock_opts(.mode = brg_view_get_bool(command, "shared", false) ? BRG_LOCK_SHARED : BRG_LOCK_EXCLUSIVE,
                      .steal = brg_view_get_bool(command, "steal", false), .if_available = strcmp(op, "try") == 0),
        error);
}

static brg_status names_broadcast(names *n, brg_view command, int64_t *number, brg_error *error)
{
    const char *op = brg_view_get_string(command, "do", "");
    if (strcmp(op, "open") == 0)
        return brg_broadcast_open(&n->broadcast, brg_view_get_string(command, "name", ""),
                                  brg_broadcast_opts(.messages_max = (uint32_t)brg_view_get_int(command, "room", 0)),
                                  error);
    if (strcmp(op, "dropped") == 0) {
        *number = (int64_t)brg_broadcast_dropped(n->broadcast);
        return BRG_OK;
    }
    brg_value *value = NULL;
    brg_status status;
    if (strcmp(op, "hear") == 0) {
        status = brg_broadcast_receive(n->broadcast, &value, NAMES_BOUND);
        if (status == BRG_OK)
            *number = brg_view_get_int(brg_value_root(value), "number", -1);
        brg_value_unref(value);
        return status;
    }
    status = brg_value_map(&value, error, brg_field_int("number", brg_view_get_int(command, "number", 0)));
    if (status == BRG_OK)
        status = brg_broadcast_post(n->broadcast, value, NAMES_BOUND, error);
    if (status != BRG_OK)
        brg_value_unref(value);
    return status;
}

static brg_status names_post_to(brg_view command, brg_error *error)
{
    brg_value *value = NULL;
    brg_status status = brg_value_map(&value, error, brg_field_int("number", brg_view_get_int(command, "number", 0)));
    if (status == BRG_OK)
        status = brg_worker_post_to((uint64_t)brg_view_get_int(command, "to", 0), value,
                                    (uint64_t)brg_view_get_int(command, "timeout", (int64_t)NAMES_BOUND), error);
    if (status != BRG_OK)
        brg_value_unref(value);
    return status;
}

static brg_status names_answer(brg_context *context, brg_status status, int64_t number, const char *text)
{
    names *n = brg_context_state(context);
    brg_value *answer = NULL;
    brg_error error;
    if (brg_value_map(&answer, &error, brg_field_int("status", status), brg_field_int("number", number),
                      brg_field_string("text", text), brg_field_int("direct_from", n->direct_from),
                      brg_field_int("direct_number", n->direct_number),
                      brg_field_int("direct_count", n->direct_count)) != BRG_OK)
        abort();
    status = brg_context_post(context, answer, NAMES_BOUND, &error);
    if (status != BRG_OK)
        brg_value_unref(answer);
    return status;
}

static brg_status names_message(brg_context *context, const brg_value *message)
{
    names *n = brg_context_state(context);
    brg_view command = brg_value_root(message);
    const char *op = brg_view_get_string(command, "do", "");
    brg_error error;
    memset(&error, 0, sizeof(error));
    int64_t number = 0;
    brg_status status = BRG_OK;
    if (strcmp(op, "die") == 0)
        raise(SIGKILL);
    if (brg_view_get_bool(command, "announce", false)) /* before it may block */
        names_answer(context, BRG_OK, -1, "begins");
    if (strcmp(op, "acquire") == 0 || strcmp(op, "try") == 0 || strcmp(op, "release") == 0 || strcmp(op, "lost") == 0)
        status = names_lock(n, command, &error);
    else if (strcmp(op, "post_to") == 0)
        status = names_post_to(command, &error);
    else if (strcmp(op, "nothing") != 0)
        status = names_broadcast(n, command, &number, &error);
    return names_answer(context, status, number, error.message);
}

static brg_status names_direct(brg_context *context, uint64_t from, const brg_value *message)
{
    names *n = brg_context_state(context);
    n->direct_from = (int64_t)from;
    n->direct_number = brg_view_get_int(brg_value_root(message), "number", -1);
    n->direct_count++;
    if (n->direct_number == 13)
        return brg_context_fail(context, 4711, "thirteen is unlucky");
    return BRG_OK;
}

BRG_MODULE(names, .worker_start = names_start, .worker_end = names_end, .message = names_message,
           .direct = names_direct);
