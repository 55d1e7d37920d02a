/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <sched.h>
#include <stdio.h>

void peer_assert_status(brg_status got, brg_status wanted, const char *what, const char *file, int line)
{
    if (got == wanted)
        return;
    print_error("%s: %s, not %s\n", what, brg_status_name(got), brg_status_name(wanted));
    _fail(file, line);
}

const char *peer_module(void)
{
    static char path[4096];
    const char *directory = getenv("TEST_MODULE_DIR");
    snprintf(path, sizeof(path), "%s/conformance.so", directory != NULL ? directory : ".");
    return path;
}

brg_worker *peer_start(brg_isolation isolation, const brg_worker_options *options)
{
    brg_worker_options complete = {.size = sizeof(complete)};
    brg_worker *peer = NULL;
    brg_error error;
    if (options != NULL)
        complete = *options;
    complete.isolation = isolation;
    complete.module = peer_module();
    if (complete.start_timeout_ns == 0)
        complete.start_timeout_ns = BOUND;
    if (complete.grace_ns == 0)
        complete.grace_ns = BOUND;
    if (brg_worker_create(&peer, &complete, &error) != BRG_OK)
        fail_msg("worker: %s", error.message);
    return peer;
}

brg_builder *peer_builder(void)
{
    brg_builder *builder = NULL;
    assert_status(brg_builder_create(&builder, NULL), BRG_OK);
    return builder;
}

brg_builder *peer_say(const char *command)
{
    brg_builder *builder = peer_builder();
    brg_builder_map(builder);
    peer_add_string(builder, "do", command);
    return builder;
}

brg_builder *peer_say_int(const char *command, const char *key, int64_t number)
{
    brg_builder *builder = peer_say(command);
    peer_add_int(builder, key, number);
    return builder;
}

void peer_add_int(brg_builder *builder, const char *key, int64_t number)
{
    brg_builder_key(builder, key);
    brg_builder_int(builder, number);
}

void peer_add_string(brg_builder *builder, const char *key, const char *text)
{
    brg_builder_key(builder, key);
    brg_builder_string(builder, text);
}

void peer_add_port(brg_builder *builder, const char *key, brg_port **port)
{
    brg_builder_key(builder, key);
    brg_builder_port(builder, port);
}

void peer_add_shared(brg_builder *builder, const char *key, brg_shared *shared)
{
    brg_builder_key(builder, key);
    brg_builder_shared(builder, shared);
}

void peer_add_view(brg_builder *builder, const char *key, brg_view view)
{
    brg_builder_key(builder, key);
    brg_builder_view(builder, view);
}

brg_value *peer_finish(brg_builder *builder)
{
    brg_value *value = NULL;
    brg_error error;
    if (brg_builder_finish(builder, &value, &error) != BRG_OK)
        fail_msg("builder: %s", error.message);
    brg_builder_destroy(builder);
    return value;
}

brg_value *peer_end(brg_builder *builder)
{
    brg_builder_end(builder);
    return peer_finish(builder);
}

void peer_post(brg_worker *peer, brg_builder *builder)
{
    brg_error error;
    if (brg_worker_post(peer, peer_end(builder), BOUND, &error) != BRG_OK)
        fail_msg("post: %s", error.message);
}

brg_value *peer_answer(brg_worker *peer)
{
    brg_value *answer = NULL;
    assert_status(brg_worker_receive(peer, &answer, BOUND), BRG_OK);
    return answer;
}

brg_value *peer_ask(brg_worker *peer, brg_builder *builder)
{
    peer_post(peer, builder);
    brg_value *answer = peer_answer(peer);
    brg_status status = (brg_status)brg_view_get_int(brg_value_root(answer), "status", 1);
    if (status != BRG_OK)
        fail_msg("the peer says %s: %s", brg_status_name(status),
                 brg_view_get_string(brg_value_root(answer), "why", "nothing more"));
    return answer;
}

brg_status peer_ask_status(brg_worker *peer, brg_builder *builder)
{
    peer_post(peer, builder);
    brg_value *answer = peer_answer(peer);
    brg_status status = (brg_status)peer_int(answer, "status");
    brg_value_unref(answer);
    return status;
}

int64_t peer_ask_int(brg_worker *peer, brg_builder *builder, const char *key)
{
    brg_value *answer = peer_ask(peer, builder);
    int64_t number = peer_int(answer, key);
    brg_value_unref(answer);
    return number;
}

int64_t peer_int(const brg_value *value, const char *key)
{
    int64_t number = 0;
    if (brg_view_int(peer_get(value, key), &number) != BRG_OK)
        fail_msg("no whole number under \"%s\"", key);
    return number;
}

const char *peer_string(const brg_value *value, const char *key)
{
    const char *text = brg_view_string(peer_get(value, key), NULL);
    if (text == NULL)
        fail_msg("no string under \"%s\"", key);
    return text;
}

brg_view peer_get(const brg_value *value, const char *key) { return brg_view_get(brg_value_root(value), key); }

brg_value *peer_number(int64_t n)
{
    brg_value *value = NULL;
    assert_status(brg_value_map(&value, NULL, brg_field_int("n", n)), BRG_OK);
    return value;
}

int64_t peer_take_number(brg_value *value)
{
    int64_t n = peer_int(value, "n");
    brg_value_unref(value);
    return n;
}

void peer_channel(brg_port **one, brg_port **other)
{
    *one = *other = NULL;
    assert_status(brg_channel_create(one, other, NULL, NULL), BRG_OK);
}

void peer_give_port(brg_worker *peer, int slot, brg_port **port)
{
    brg_builder *builder = peer_say_int("port_keep", "slot", slot);
    peer_add_port(builder, "port", port);
    brg_value_unref(peer_ask(peer, builder));
    assert_null(*port);
}

void peer_give_shared(brg_worker *peer, brg_shared *shared)
{
    brg_builder *builder = peer_say("shared_keep");
    peer_add_shared(builder, "shared", shared);
    brg_value_unref(peer_ask(peer, builder));
}

void peer_expect_number(brg_port *port, int64_t n)
{
    brg_value *value = NULL;
    assert_status(brg_port_receive(port, &value, BOUND), BRG_OK);
    assert_int_equal(peer_take_number(value), n);
}

void peer_post_number(brg_port *port, int64_t n)
{
    assert_status(brg_port_post(port, peer_number(n), BOUND, NULL), BRG_OK);
}

brg_shared *peer_shared(size_t size_bytes)
{
    brg_shared *shared = NULL;
    brg_error error;
    if (brg_shared_create(&shared, brg_shared_opts(.size_bytes = size_bytes), &error) != BRG_OK)
        fail_msg("shared memory: %s", error.message);
    return shared;
}

void peer_wake(brg_shared *shared, size_t offset, uint32_t count)
{
    for (uint32_t all = 0, woken = 0; all < count; all += woken) {
        assert_status(brg_shared_notify(shared, offset, count - all, &woken), BRG_OK);
        if (woken == 0)
            sched_yield();
    }
}

uint32_t peer_load(const brg_shared *shared, size_t offset)
{
    uint32_t number = 0;
    assert_status(brg_shared_load32(shared, offset, &number), BRG_OK);
    return number;
}
