/* SPDX-License-Identifier: MIT */
/*
 * A hostile worker's frames and descriptors into its owner's link: each is taken or refused as a lie, nothing is read
 * past its end, and when the link has died nothing of it is left.
 *
 * The input is a list of commands of 16 bytes: what kind of frame, about which id, words, and one object of its value
 * with the descriptor that goes before it.
 */
#include <sys/mman.h>

#include "message/value_fixture.h"
#include "worker/link_fixture.h"

#define REGION_BYTES ((size_t)4096)
#define BLOCK_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Blocks of values with one object, by brg_type; made once. */
typedef struct block {
    size_t size_bytes;
    unsigned char bytes[BLOCK_MAX];
} block;

static const brg_type block_types[] = {BRG_TYPE_BUFFER, BRG_TYPE_PORT, BRG_TYPE_FD, BRG_TYPE_SHARED, BRG_TYPE_TOKEN};
#define BLOCKS (sizeof(block_types) / sizeof(block_types[0]))
static block blocks[BLOCKS];

static brg_value *value_of(brg_type type)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    brg_buffer *buffer = NULL;
    brg_port *one = NULL, *other = NULL;
    brg_shared *shared = NULL;
    brg_token *token = NULL;
    int fd = -1;
    fixture_require(brg_builder_create(&builder, NULL) == BRG_OK, "no memory");
    if (type == BRG_TYPE_BUFFER && brg_buffer_create_region(&buffer, REGION_BYTES, NULL) == BRG_OK)
        brg_builder_buffer(builder, &buffer);
    if (type == BRG_TYPE_PORT && brg_channel_create(&one, &other, NULL, NULL) == BRG_OK)
        brg_builder_port(builder, &other);
    if (type == BRG_TYPE_FD && (fd = dup(0)) >= 0)
        brg_builder_fd(builder, &fd);
    if (type == BRG_TYPE_SHARED && brg_shared_create(&shared, brg_shared_opts(.size_bytes = 64), NULL) == BRG_OK)
        brg_builder_shared(builder, shared);
    if (type == BRG_TYPE_TOKEN && brg_token_create(&token, NULL) == BRG_OK)
        brg_builder_token(builder, token);
    fixture_require(brg_builder_finish(builder, &value, NULL) == BRG_OK, "no value with an object");
    brg_builder_destroy(builder);
    brg_port_destroy(one);
    brg_shared_unref(shared);
    brg_token_unref(token);
    return value;
}

static void blocks_make(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        brg_value *value = value_of(block_types[i]);
        fixture_require(value->size_bytes <= BLOCK_MAX, "a block too large");
        blocks[i].size_bytes = value->size_bytes;
        memcpy(blocks[i].bytes, value->block, value->size_bytes);
        brg_value_unref(value);
    }
}

/* Sends the owner's objects over: what the worker may name, ids 2, 4, ... */
static void owner_gives(link_pair *pair)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        brg_value *value = value_of(block_types[i]);
        fixture_require(link_side_send(&pair->owner, value) == BRG_OK, "no room for what the owner gives");
        brg_value_unref(value);
    }
}

/* ---- what the worker sends ------------------------------------------------------------------------------------- */

/* A descriptor of some sort, right or wrong for a region; -1: none. */
static int descriptor(unsigned sort)
{
    int fd = -1;
    switch (sort % 5) {
    case 0:
        return -1;
    case 1:
        return dup(0);
    case 2: /* sealed, as regions are */
        return brg__memfd_create_freezable(&fd, "fuzz", REGION_BYTES, NULL) == BRG_OK ? fd : -1;
    case 3: /* of another size */
        return brg__memfd_create_freezable(&fd, "fuzz", 3 * REGION_BYTES, NULL) == BRG_OK ? fd : -1;
    default: /* it may shrink under us */
        fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        fixture_require(fd >= 0 && ftruncate(fd, (off_t)REGION_BYTES) == 0, "no memory file");
        return fd;
    }
}

static void send_packet(link_pair *pair, unsigned sort, uint64_t number)
{
    int fd = descriptor(sort);
    if (fd >= 0)
        (void)brg__socket_send(pair->sockets[1], &number, sizeof(number), &fd, 1, NULL);
    brg__fd_close(&fd);
}

static uint64_t large(unsigned byte)
{
    static const uint64_t values[] = {0,          1,         2, 16, REGION_BYTES, 3 * REGION_BYTES, REGION_BYTES - 1,
                                      UINT32_MAX, UINT64_MAX};
    return byte < 128 ? byte : values[byte % (sizeof(values) / sizeof(values[0]))];
}

static size_t write_value(const uint8_t *command, uint64_t packet, unsigned char *to)
{
    const block *from = &blocks[command[5] % BLOCKS];
    uint64_t words[2] = {from->size_bytes, 1};
    brg__wire_object object = {.type = (uint32_t)block_types[command[5] % BLOCKS],
                               .flags = command[6] & 15u,
                               .id = command[7] % 24u,
                               .offset = large(command[8]),
                               .size = large(command[9]),
                               .packet = packet,
                               .extra = large(command[10])};
    if (object.type == BRG_TYPE_PORT && command[11] % 4 != 0) { /* terms that a channel may have */
        object.offset = 1u + command[8];
        object.size = 1u << 16;
        object.extra = 0;
    }
    if (command[12] >= 240)
        object.type = command[12] % 32u;
    memcpy(to, words, sizeof(words));
    memcpy(to + sizeof(words), &object, sizeof(object));
    memcpy(to + sizeof(words) + sizeof(object), from->bytes, from->size_bytes);
    size_t size = sizeof(words) + sizeof(object) + from->size_bytes;
    if (command[13] >= 250) /* rarely: the block is not one */
        to[size - 1 - command[14] % from->size_bytes] ^= command[15];
    return size;
}

static void hostile_frame(link_pair *pair, const uint8_t *command, uint64_t *packets)
{
    static _Alignas(8) unsigned char payload[BLOCK_MAX + 256];
    brg__frame *frame = NULL;
    bool has_value = (command[1] & 3) != 0;
    if ((command[6] & BRG__WIRE_PACKET) != 0 && has_value)
        send_packet(pair, command[4], ++*packets + (command[4] >= 250));
    size_t size = has_value ? write_value(command, *packets, payload) : 0;
    if (brg__ring_reserve(&pair->worker.out, size, &frame) != BRG_OK)
        return;
    unsigned kind = command[0] % 16u;
    frame->kind = kind == 15 ? LINK_FIXTURE_MESSAGE : (uint32_t)BRG__LINK_POST + kind;
    frame->id = command[2] % 24u;
    frame->word[0] = large(command[3]);
    frame->word[1] = large(command[14]);
    memcpy(frame + 1, payload, size);
    brg__ring_publish(&pair->worker.out);
}

/* A value that was taken is read, as a program would. */
static void owner_looks(link_pair *pair)
{
    for (uint32_t i = 0; i < pair->owner.kept_count; i++) {
        brg_view root = brg_value_root(pair->owner.kept[i]);
        brg_buffer *buffer = brg_view_buffer(root);
        brg_shared *shared = brg_view_shared(root);
        brg_token *token = brg_view_token(root);
        if (buffer != NULL)
            (void)fixture_mix(0, brg_buffer_bytes(buffer), brg_buffer_size(buffer));
        if (shared != NULL)
            (void)fixture_mix(0, brg_shared_data(shared), brg_shared_size(shared));
        if (token != NULL)
            (void)brg_token_is_cancelled(token);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static link_pair pair;
    if (blocks[0].size_bytes == 0)
        blocks_make();
    brg__region_trim();
    int next = link_fixture_next_fd();
    fixture_require(link_pair_open(&pair), "no memory");
    owner_gives(&pair);
    uint64_t packets = 0;
    for (; size >= 16 && !pair.owner.bad && !pair.owner.broken; data += 16, size -= 16) {
        hostile_frame(&pair, data, &packets);
        link_side_take_all(&pair.owner);
        brg__link_flush(&pair.owner.link);
        owner_looks(&pair);
    }
    link_pair_close(&pair);
    brg__region_trim();
    fixture_require(pair.owner.refs == 0 && pair.worker.refs == 0, "a reference on the link is left");
    fixture_require(brg_ports_open() == 0 && brg__channels_open() == 0, "a port is left");
    fixture_require(link_fixture_next_fd() == next, "a descriptor is left");
    return 0;
}
