/* SPDX-License-Identifier: MIT */
/*
 * What the conformance tests share. A peer is a worker on the conformance module, in either isolation, without a loop:
 * it is asked {"do": COMMAND, ...} and answers {..., "status": N}. See module.h for the commands.
 */
#ifndef TESTS_CONFORMANCE_PEER_H
#define TESTS_CONFORMANCE_PEER_H

#include "scenario.h"

#include <brigade/broadcast.h>
#include <brigade/direct.h>
#include <brigade/locks.h>
#include <brigade/port.h>
#include <brigade/shared.h>
#include <brigade/sync.h>
#include <brigade/token.h>

/* Long enough never to pass in a test that works. */
#define BOUND BRG_SECONDS(200)

/* Fails the test with the names of both statuses unless they are the same. */
#define assert_status(got, wanted) peer_assert_status((got), (wanted), #got, __FILE__, __LINE__)
void peer_assert_status(brg_status got, brg_status wanted, const char *what, const char *file, int line);

/* Where the conformance module lies. */
const char *peer_module(void);

/* A peer, whose start and end may take as long as they like; fails the test where it cannot be made. `options` is
 * completed and may be NULL. End it with brg_worker_destroy. */
brg_worker *peer_start(brg_isolation isolation, const brg_worker_options *options);

/* A builder with an open map in which "do" is `command`; the caller adds keys. */
brg_builder *peer_say(const char *command);
/* The same with one whole number more. */
brg_builder *peer_say_int(const char *command, const char *key, int64_t number);
void peer_add_int(brg_builder *builder, const char *key, int64_t number);
void peer_add_string(brg_builder *builder, const char *key, const char *text);
/* Takes the caller's port. */
void peer_add_port(brg_builder *builder, const char *key, brg_port **port);
void peer_add_shared(brg_builder *builder, const char *key, brg_shared *shared);
void peer_add_view(brg_builder *builder, const char *key, brg_view view);

/* Ends the map and the builder. */
brg_value *peer_end(brg_builder *builder);
/* Ends builder and value and posts it, without waiting for the answer. */
void peer_post(brg_worker *peer, brg_builder *builder);
/* The next answer, the caller's to unref. */
brg_value *peer_answer(brg_worker *peer);
/* Both; the answer's "status" has to be BRG_OK. */
brg_value *peer_ask(brg_worker *peer, brg_builder *builder);
/* Both; the answer's "status". */
brg_status peer_ask_status(brg_worker *peer, brg_builder *builder);
/* Both; the whole number under `key` of the answer. */
int64_t peer_ask_int(brg_worker *peer, brg_builder *builder, const char *key);

/* Shorthands of an answer or any map. */
int64_t peer_int(const brg_value *value, const char *key);
const char *peer_string(const brg_value *value, const char *key);
brg_view peer_get(const brg_value *value, const char *key);

/* {"n": n}; and "n" of a value that is dropped by it. */
brg_value *peer_number(int64_t n);
int64_t peer_take_number(brg_value *value);

/* Ends a builder whose one value is built. */
brg_value *peer_finish(brg_builder *builder);
brg_builder *peer_builder(void);

/* Both ends of a channel. */
void peer_channel(brg_port **one, brg_port **other);
/* Gives the peer a port for its slot. */
void peer_give_port(brg_worker *peer, int slot, brg_port **port);
/* Gives the peer shared memory. */
void peer_give_shared(brg_worker *peer, brg_shared *shared);
/* Takes {"n": n} from a port. */
void peer_expect_number(brg_port *port, int64_t n);
void peer_post_number(brg_port *port, int64_t n);

/* Shared memory of so many bytes. */
brg_shared *peer_shared(size_t size_bytes);
/* Notifies again and again until `count` were woken in all. */
void peer_wake(brg_shared *shared, size_t offset, uint32_t count);
uint32_t peer_load(const brg_shared *shared, size_t offset);

#endif
