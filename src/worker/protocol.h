/* SPDX-License-Identifier: MIT */
/*
 * What an owner and its process worker say to each other: the shared segment of one worker, the frames in its three
 * rings, and the packets between the supervisor and a template. Both ends are built from this header and compare
 * BRG__PROTOCOL_VERSION, so it may change at will.
 *
 * Tasks have a ring of their own, since they are taken when the worker is free for them, while mail (messages, ports,
 * all else) is taken whenever the worker waits. What names ports and regions goes through the mail alone, the inputs of
 * tasks too, since what is said of these has one order only. Descriptors travel on a socket, in packets with numbers; a
 * frame names the numbers of those that belong to it. The owner trusts nothing that it reads.
 */
#ifndef BRG_WORKER_PROTOCOL_H
#define BRG_WORKER_PROTOCOL_H

#include <brigade/module.h>

#include "message/ring.h"
#include "os/crash.h"
#include "worker/usage.h"

#define BRG__PROTOCOL_VERSION 3u
#define BRG__SEGMENT_MAGIC 0x62726967u

typedef struct brg__segment_limits {
    uint64_t arena_bytes_max;
    uint64_t memory_bytes_max;
    uint64_t stack_bytes;
    uint64_t address_bytes_max;
    uint32_t files_max;
    uint32_t cpu_seconds_max;
} brg__segment_limits;

typedef struct brg__segment {
    /* Written by the owner before the worker exists. */
    uint32_t magic;
    uint32_t version;
    uint64_t worker_id;
    uint64_t area_bytes; /* capacity of each ring */
    uint64_t request_offset, mail_offset, reply_offset;
    uint64_t message_bytes_max;
    uint64_t mailbox_max;
    int64_t owner_pid;
    uint64_t spin_ns;
    uint64_t is_pooled; /* its owner takes no messages */
    uint64_t pool_index, pool_tags;
    brg__segment_limits limits;
    char name[64];

    BRG__ALIGNED(64) uint64_t xcancel; /* owner: ticket of the task to end, or UINT64_MAX for all */
    uint32_t xstop;                    /* owner: finish what you have and exit */
    uint32_t xwants_room;              /* owner: write the event when mail was taken; the worker clears it */
    uint64_t xinbox_taken;             /* owner: messages of the worker that were received */
    uint64_t xprogress_taken;          /* owner: values of progress delivered: low half of the ticket, count */
    BRG__ALIGNED(64) uint32_t xwatch;  /* owner sets: write the event on the next reply; the worker takes it */

    BRG__ALIGNED(64) uint32_t xmemory_failed;  /* worker: an allocation of this task failed */
    uint32_t xneeds_room;                      /* worker: wake it when replies were taken; the owner clears it */
    uint64_t xtaken;                           /* worker: messages of the owner that were received */
    BRG__ALIGNED(64) brg__usage_shared usage;  /* worker */
    BRG__ALIGNED(64) brg__ring_shared request; /* its consumer gate is where the worker sleeps, for mail too */
    brg__ring_shared mail;
    brg__ring_shared reply;
    BRG__ALIGNED(64) brg__crash_report crash;
} brg__segment;

/* How the worker sleeps: xsleeping of request.consumer. */
typedef enum brg__sleeps { BRG__SLEEPS_NOT = 0, BRG__SLEEPS_ON_FUTEX = 1, BRG__SLEEPS_IN_LOOP = 2 } brg__sleeps;

#define BRG__SEGMENT_HEAD_BYTES 8192u /* the rings' areas start here */

/* Owner to worker: tasks in the request ring, the rest is mail. */
typedef enum brg__request_kind {
    BRG__REQUEST_WORLD = 1, /* payload: value of brg__world_pack; first, if any */
    BRG__REQUEST_INIT,      /* payload: init_data; next, if any */
    BRG__REQUEST_MESSAGE,   /* payload: value */
    BRG__REQUEST_NOTHING,   /* a frame that could not be finished */
    BRG__REQUEST_INPUT,     /* id: ticket; payload: value: a task's, in the mail */
    BRG__REQUEST_CANCEL,    /* id: ticket of a batch; word[0]: which of its tasks is asked to end */
    BRG__REQUEST_TASK       /* id: ticket; word[0]: attempt; word[1]: bytes of the name; word[2]: its input comes in the
                               mail; word[3]: how many values of progress may be on their way; 0: nobody listens;
                               payload: name padded to 8, value. A batch: word[4]: how many inputs; after the name for
                               each its bytes or one of BRG__PART_, and it padded to 8 */
} brg__request_kind;

/* Of an input in a batch. */
#define BRG__PART_MAILED UINT64_MAX       /* it comes in the mail */
#define BRG__PART_ABSENT (UINT64_MAX - 1) /* there is no such task */

/* xclaim of a TASK frame: the first to swap it from FREE wins. */
typedef enum brg__claim { BRG__CLAIM_FREE = 0, BRG__CLAIM_TAKEN, BRG__CLAIM_RECALLED } brg__claim;

/* Worker to owner. */
typedef enum brg__reply_kind {
    BRG__REPLY_ONLINE = 1,    /* worker_start succeeded */
    BRG__REPLY_START_FAILED,  /* payload: brg__wire_error */
    BRG__REPLY_MESSAGE,       /* payload: value */
    BRG__REPLY_HANDLER_ERROR, /* payload: brg__wire_error */
    BRG__REPLY_PROGRESS,      /* id: ticket; payload: value */
    BRG__REPLY_RESULT         /* id: ticket; status; word[0]: bytes of output; word[1]: of detail; word[2]: of error;
                                 word[3]: run ns; word[4]: which task of a batch, plus 1; 0: all of it;
                                 payload: the three, each padded to 8 */
} brg__reply_kind;

/* In mail and replies alike: channels, memory, services (worker/link.h). All about `id` */
typedef enum brg__link_kind {
    BRG__LINK_POST = 32, /* to the port with that number; payload: value */
    BRG__LINK_BOUNCE,    /* a value for a port that left meanwhile, going back */
    BRG__LINK_CREDIT,    /* word[0]: messages received, word[1]: bytes */
    BRG__LINK_WANT,      /* a poster waits for credit */
    BRG__LINK_CLOSE,
    BRG__LINK_FIN,
    BRG__LINK_FIN_ACK,
    BRG__LINK_FORGET,  /* the sender will not name this port again */
    BRG__LINK_RELEASE, /* region: word[0] receipts are over; word[1]: a worker has seen it meanwhile */
    BRG__LINK_UNMAP,   /* region: it will not come again under this number */
    BRG__LINK_CALL,    /* a request to service word[0]; payload: value */
    BRG__LINK_ANSWER,  /* to a call; status; payload: value, of brg__service_error_value on failure */
    BRG__LINK_EVENT,   /* of service word[0]; payload: value */
    BRG__LINK_NOTHING  /* a frame that could not be finished */
} brg__link_kind;

/* A brg_error as bytes; strings need not be terminated when read. */
typedef struct brg__wire_error {
    int32_t status;
    int32_t os_errno;
    int64_t code;
    char domain[32];
    char message[256];
} brg__wire_error;

/* What a new worker gets: descriptors in this order. The standard streams are -1 where they are the program's. */
typedef enum brg__spawn_fd {
    BRG__FD_SEGMENT = 0,
    BRG__FD_EVENT,  /* the worker writes: look */
    BRG__FD_CANCEL, /* the owner writes: the task is asked to end */
    BRG__FD_BELL,   /* the owner writes: look, to a worker that sleeps in its loop */
    BRG__FD_SOCKET, /* packets with descriptors */
    BRG__FD_STDIN,
    BRG__FD_STDOUT,
    BRG__FD_STDERR,
    BRG__FD_COUNT
} brg__spawn_fd;

/* Supervisor to template, with those descriptors that there are. */
typedef struct brg__spawn_request {
    uint32_t version;
    uint32_t reserved;
    uint64_t request; /* which one the answer is for */
    uint64_t segment_bytes;
    uint32_t fds; /* bit i: descriptor i of brg__spawn_fd is there */
    uint32_t reserved_too;
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
