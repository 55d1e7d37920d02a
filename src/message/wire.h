/* SPDX-License-Identifier: MIT */
/* Values as bytes for a ring to another process: what stands for its objects, flat block and inline bytes in one
 * stretch. */
#ifndef BRG_MESSAGE_WIRE_H
#define BRG_MESSAGE_WIRE_H

#include <brigade/value.h>

#include "message/object.h"

typedef enum brg__wire_flags {
    BRG__WIRE_INLINE = 1, /* a buffer whose bytes follow the block */
    BRG__WIRE_FROZEN = 2, /* a buffer, frozen */
    BRG__WIRE_PACKET = 4, /* a descriptor comes with it: packet `packet` on the socket */
    BRG__WIRE_BACK = 8    /* the port or region was sent from there: `id` is of that side's making */
} brg__wire_flags;

/*
 * What stands for one object. Buffers inline: size. In a region: id, offset, size; the region's size in `extra` with a
 * packet. Ports: id; messages_max in offset and bytes_max in size. Shared memory and tokens: id, the receiver's number
 * as participant in offset; the region's size in `extra` with a packet. Descriptors: the packet.
 */
typedef struct brg__wire_object {
    uint32_t type; /* brg_type */
    uint32_t flags;
    uint64_t id;
    uint64_t offset;
    uint64_t size;
    uint64_t packet;
    uint64_t extra;
} brg__wire_object;

/* Makes an object of what stands for it; a link. Not for inline buffers. BRG_PROTOCOL, BRG_MALFORMED, BRG_NO_MEMORY,
 * BRG_SYSTEM. */
typedef struct brg__carrier {
    brg_status (*import)(struct brg__carrier *carrier, const brg__wire_object *from, brg__object *to, brg_error *error);
} brg__carrier;

/* Bytes brg__wire_write will write; 0 for a NULL value. `objects` says how each object travels; NULL: all are inline.
 * */
size_t brg__wire_size(const brg_value *value, const brg__wire_object *objects);
/* Writes exactly brg__wire_size bytes at `to` (8-byte aligned). */
void brg__wire_write(const brg_value *value, const brg__wire_object *objects, void *to);
/*
 * Reads what a possibly hostile process wrote, which may change while we look: everything is copied once, then
 * checked, never looked at again. `bytes` is 8-byte aligned. size 0 gives *out = NULL and BRG_OK. `carrier` NULL: only
 * inline buffers are taken. Errors: BRG_MALFORMED, BRG_TOO_LARGE, BRG_NO_MEMORY, and the carrier's. What was imported
 * until then is dropped.
 */
brg_status brg__wire_read(brg_value **out, brg__carrier *carrier, const void *bytes, size_t size_bytes,
                          brg_error *error);
/* Whether reading it again makes sense where there was no memory: it says that it has no objects, which are imported
 * once. */
bool brg__wire_is_plain(const void *bytes, size_t size_bytes);

#endif
