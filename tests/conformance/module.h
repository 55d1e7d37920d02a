/* SPDX-License-Identifier: MIT */
/* The conformance module's insides: commands by name, and what a worker keeps from one to the next. */
#ifndef TESTS_CONFORMANCE_MODULE_H
#define TESTS_CONFORMANCE_MODULE_H

#include <brigade.h>
#include <brigade/broadcast.h>
#include <brigade/direct.h>
#include <brigade/locks.h>
#include <brigade/port.h>
#include <brigade/shared.h>
#include <brigade/sync.h>
#include <brigade/token.h>

#define PARTY_SLOTS 8

typedef struct conf_party {
    brg_port *ports[PARTY_SLOTS];
    brg_shared *shared;
    brg_token *token;
    brg_value *kept;
    brg_lock *locks[PARTY_SLOTS];
    brg_broadcast *broadcasts[PARTY_SLOTS];
    brg_worker *inner;
    int64_t direct_count, direct_last, direct_from;
    bool direct_out_of_order;
} conf_party;

/* One message: what it says, and the open map of its answer. */
typedef struct conf_call {
    brg_context *context;
    conf_party *party;
    const brg_value *message;
    brg_view root;
    brg_builder *answer;
    bool is_silent; /* set by the command: no answer */
} conf_call;

typedef struct conf_command {
    const char *name;
    brg_status (*run)(conf_call *call); /* what it returns is the answer's "status" */
} conf_command;

/* Tables, ended by a NULL name. */
extern const conf_command party_basic_commands[];
extern const conf_command party_port_commands[];
extern const conf_command party_memory_commands[];
extern const conf_command party_sync_commands[];
extern const conf_command party_name_commands[];
extern const conf_command party_world_commands[];
extern const conf_command party_nested_commands[];

/* Arguments of a call, with defaults. "timeout_ms" missing: a test's BOUND. */
int64_t call_int(const conf_call *call, const char *key, int64_t otherwise);
const char *call_string(const conf_call *call, const char *key);
bool call_flag(const conf_call *call, const char *key);
brg_view call_get(const conf_call *call, const char *key);
size_t call_slot(const conf_call *call, const char *key);
uint64_t call_timeout(const conf_call *call);

/* Parts of the answer. */
void call_add_int(conf_call *call, const char *key, int64_t number);
void call_add_string(conf_call *call, const char *key, const char *text);
void call_add_view(conf_call *call, const char *key, brg_view view);

/* A value of one node, copied; and {key: number}. NULL when memory is out. */
brg_value *party_copy(brg_view view);
brg_value *party_number(const char *key, int64_t number);

/* Posts to the owner out of turn; the value is gone either way. */
void party_post(brg_context *context, brg_value *value);

#endif
