/* SPDX-License-Identifier: MIT */
/*
 * What an owner and its process worker say to each other: the shared segment of one worker, the frames in its two
 * rings, and the packets between the supervisor and a template. Both ends are built from this header and compare
 * BRG__PROTOCOL_VERSION, so it may change at will.
 *
 * Who writes what: the owner writes `owner` and the request ring, the worker `worker`, the crash report and the reply
 * ring. The owner trusts nothing it reads here.
 */
#ifndef BRG_WORKER_PROTOCOL_H
#define BRG_WORKER_PROTOCOL_H

#include <brigade/module.h>

#include "message/ring.h"
#include "os/crash.h"

#define BRG__PROTOCOL_VERSION 1u
#define BRG__SEGMENT_MAGIC 0x62726967u

typedef struct brg__segment_limits {
    uint64_t arena_bytes_max;
    uint64_t memory_bytes_max;
    uint64_t stack_bytes;
    uint32_t files_max;
    uint32_t cpu_seconds_max;
} brg__segment_limits;

typedef struct brg__segment {
    /* Written by the owner before the worker exists. */
    uint32_t magic;
    uint32_t version;
    uint64_t worker_id;
    uint64_t area_bytes; /* capacity of each ring */
    uint64_t request_offset, reply_offset;
    uint64_t message_bytes_max;
    int64_t owner_pid;
    uint64_t spin_ns;
    uint64_t is_pooled; /* its owner takes no messages */
    brg__segment_limits limits;
    char name[64];

    BRG__ALIGNED(64) uint64_t xcancel; /* owner: ticket of the task to end, or UINT64_MAX for all */
    uint32_t xstop;                    /* owner: finish what you have and exit */
    BRG__ALIGNED(64) uint32_t xwatch;  /* owner sets: write the event on the next reply; the worker takes it */

    BRG__ALIGNED(64) uint32_t xmemory_failed; /* worker: an allocation of this task failed */
    BRG__ALIGNED(64) brg__ring_shared request;
    brg__ring_shared reply;
    BRG__ALIGNED(64) brg__crash_report crash;
} brg__segment;

#define BRG__SEGMENT_HEAD_BYTES 8192u /* the rings' areas start here */

/* Owner to worker. */
typedef enum brg__request_kind {
    BRG__REQUEST_INIT = 1, /* payload: init_data */
    BRG__REQUEST_MESSAGE,  /* payload: value */
    BRG__REQUEST_TASK /* id: ticket; word[0]: attempt; word[1]: bytes of the name; payload: name padded to 8, value */
} brg__request_kind;

/* xclaim of a TASK frame: the first to swap it from FREE wins. */
typedef enum brg__claim { BRG__CLAIM_FREE = 0, BRG__CLAIM_TAKEN, BRG__CLAIM_RECALLED } brg__claim;

/* Worker to owner. */
typedef enum brg__reply_kind {
    BRG__REPLY_ONLINE = 1,    /* worker_start succeeded */
    BRG__REPLY_START_FAILED,  /* payload: brg__wire_error */
    BRG__REPLY_MESSAGE,       /* payload: value */
    BRG__REPLY_HANDLER_ERROR, /* payload: brg__wire_error */
    BRG__REPLY_RESULT /* id: ticket; status; word[0]: bytes of output; word[1]: of detail; word[2]: of error; word[3]: run ns;
                              payload: the three, each padded to 8 */
} brg__reply_kind;

/* A brg_error as bytes; strings need not be terminated when read. */
typedef struct brg__wire_error {
    int32_t status;
    int32_t os_errno;
    int64_t code;
    char domain[32];
    char message[256];
} brg__wire_error;

/* Supervisor to template, with the segment, its event and its cancel event as descriptors. */
typedef struct brg__spawn_request {
    uint32_t version;
    uint32_t reserved;
    uint64_t request; /* which one the answer is for */
    uint64_t segment_bytes;
} brg__spawn_request;

typedef enum brg__template_kind {
    BRG__TEMPLATE_READY = 1,
    BRG__TEMPLATE_FAILED,
    BRG__TEMPLATE_SPAWNED,
    BRG__TEMPLATE_SPAWN_FAILED
} brg__template_kind;

/* Template to supervisor; SPAWNED carries the pidfd. */
typedef struct brg__template_packet {
    uint32_t kind;
    uint32_t version;
    uint64_t request;
    int64_t pid;
    brg__wire_error error; /* of the FAILED kinds */
} brg__template_packet;

void brg__wire_error_from(brg__wire_error *to, const brg_error *from);
/* Cleans what an untrusted process wrote: terminated, a known status that is not BRG_OK. */
void brg__wire_error_to(brg_error *to, const brg__wire_error *from);

#endif
