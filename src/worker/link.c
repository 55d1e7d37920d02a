/* SPDX-License-Identifier: MIT */
/* See link.h. Here: sending, the backlog, the port table, and taking frames. */
#include "worker/link.h"

#include <string.h>

#include "base/util.h"
#include "os/atomic.h"
#include "os/fd.h"
#include "os/memory.h"

#define LINK_BACKLOG_MAX ((size_t)1 << 20) /* frames: far beyond what credit allows to wait */

/* A frame that waits for room. */
typedef struct link_item {
    brg__node node;
    brg__frame head;
    brg_value *value; /* referenced; may be NULL */
} link_item;

static brg__link *link_of(brg__remote *remote) { return brg__container_of(remote, brg__link, remote); }

/* ---- sending ------------------------------------------------------------------------------------------------ */

/* Writes a frame that was prepared; its packets may find no room, then it turns into nothing. */
static brg_status link_write_locked(brg__link *link, const brg__frame *head, brg__export *export, brg_error *error)
{
    brg__frame *frame = NULL;
    size_t size = brg__wire_size(export->value, export->objects);
    brg_status status = brg__ring_reserve(link->ring, size, &frame);
    if (status != BRG_OK)
        return brg_error_set(error, status, "worker", "a message of %zu bytes: %s", size, brg_status_text(status));
    uint64_t packets = link->packets_sent;
    status = brg__export_packets(link, export, error);
    frame->kind = status == BRG_OK ? (uint32_t)head->kind : (uint32_t)BRG__LINK_NOTHING;
    frame->id = head->id;
    frame->status = head->status;
    memcpy(frame->word, head->word, sizeof(frame->word));
    if (status == BRG_OK)
        brg__wire_write(export->value, export->objects, frame + 1);
    else
        brg__link_nothing(link, frame, packets);
    brg__ring_publish(link->ring);
    return status;
}

static brg_status link_send_locked(brg__link *link, const brg__frame *head, const brg_value *value,
                                   brg__departures *departures, brg_error *error)
{
    brg__export export;
    brg_status status = brg__export_prepare(link, &export, value, error);
    if (status != BRG_OK)
        return status;
    status = link_write_locked(link, head, &export, error);
    if (status == BRG_OK)
        brg__export_commit(link, &export, departures);
    else
        brg__export_revert(link, &export);
    return status;
}

static brg_status link_closed(brg_error *error)
{
    return brg_error_set(error, BRG_CLOSED, "worker", "the process on the other side is gone");
}

brg_status brg__link_send(brg__link *link, const brg__frame *head, const brg_value *value, brg__departures *departures,
                          brg_error *error)
{
    brg__lock_acquire(&link->send_lock);
    brg_status status = BRG_FULL;
    if (brg_load_relaxed(&link->xdead) != 0)
        status = link_closed(error);
    else if (brg__list_is_empty(&link->backlog))
        status = link_send_locked(link, head, value, departures, error);
    brg__lock_release(&link->send_lock);
    if (status == BRG_OK)
        link->ops->wake(link);
    return status;
}

/* What cannot be sent is refused before it is kept. */
static brg_status link_check_locked(brg__link *link, const brg_value *value, brg_error *error)
{
    brg__export export;
    brg_status status = brg__export_prepare(link, &export, value, error);
    if (status != BRG_OK)
        return status;
    size_t size = brg__wire_size(value, export.objects), room = brg__ring_payload_max(link->ring->capacity);
    brg__export_revert(link, &export);
    return size <= room ? BRG_OK
                        : brg_error_set(error, BRG_TOO_LARGE, "worker",
                                        "a message of %zu bytes, at most %zu go to that process", size, room);
}

static brg_status link_keep_locked(brg__link *link, const brg__frame *head, const brg_value *value, brg_error *error)
{
    link_item *item = link->backlog_count < LINK_BACKLOG_MAX ? brg__malloc(sizeof(*item)) : NULL;
    if (item == NULL)
        return brg__error_memory(error, "a message that waits for room");
    item->node = (brg__node){0};
    item->head = *head;
    item->value = value == NULL ? NULL : brg_value_ref(value);
    brg__list_push_back(&link->backlog, &item->node);
    link->backlog_count++;
    brg_store_relaxed(&link->xhas_backlog, 1u);
    return BRG_OK;
}

brg_status brg__link_queue_locked(brg__link *link, const brg__frame *head, const brg_value *value,
                                  brg__departures *departures, brg_error *error)
{
    if (brg_load_relaxed(&link->xdead) != 0)
        return link_closed(error);
    bool waits = !brg__list_is_empty(&link->backlog);
    brg_status status = waits ? link_check_locked(link, value, error)
                              : link_send_locked(link, head, value, departures, error);
    if (status == BRG_PROTOCOL)
        link->ops->broken(link, status, "it took what was not there");
    if (status != (waits ? BRG_OK : BRG_FULL))
        return status;
    status = link_keep_locked(link, head, value, error);
    link->ops->want_room(link);
    return status;
}

brg_status brg__link_queue(brg__link *link, const brg__frame *head, const brg_value *value, brg__departures *departures,
                           brg_error *error)
{
    brg__lock_acquire(&link->send_lock);
    brg_status status = brg__link_queue_locked(link, head, value, departures, error);
    brg__lock_release(&link->send_lock);
    if (status == BRG_OK)
        link->ops->wake(link);
    return status;
}

/* One frame of the backlog; BRG_FULL leaves it there. Any other failure breaks the link: its sender was told that it
 * went. */
static brg_status link_flush_one(brg__link *link, brg__departures *departures, brg_value **done)
{
    link_item *item = brg__container_of(link->backlog.head.next, link_item, node);
    brg_error error;
    brg_status status = link_send_locked(link, &item->head, item->value, departures, &error);
    if (status == BRG_FULL)
        return status;
    brg__list_remove(&item->node);
    link->backlog_count--;
    *done = item->value;
    brg__mfree(item);
    return status;
}

void brg__link_flush(brg__link *link)
{
    brg__link_release_idle(link);
    bool any = false, waits = false;
    while (brg_load_relaxed(&link->xhas_backlog) != 0 && !waits) {
        brg__departures departures = {0};
        brg_value *done = NULL;
        brg__lock_acquire(&link->send_lock);
        bool empty = brg__list_is_empty(&link->backlog);
        brg_status status = empty ? BRG_OK : link_flush_one(link, &departures, &done);
        if (empty)
            brg_store_relaxed(&link->xhas_backlog, 0u);
        brg__lock_release(&link->send_lock);
        waits = status == BRG_FULL;
        any = any || (!empty && !waits);
        brg_value_unref(done);
        brg__departures_run(&departures);
        if (status != BRG_OK && status != BRG_FULL && status != BRG_CLOSED)
            link->ops->broken(link, status, "a message that waited for room could not be sent");
    }
    if (waits)
        link->ops->want_room(link);
    if (any || waits) /* what was sent for nothing lies in the ring, too, and the other side may sleep by now */
        link->ops->wake(link);
}

/* ---- ports ---------------------------------------------------------------------------------------------------- */

bool brg__link_table_room(brg__table *table)
{
    if (brg__table_has_room(table))
        return true;
    size_t capacity = table->capacity == 0 ? 16 : table->capacity * 2;
    brg__table_slot *slots = brg__calloc(capacity, sizeof(*slots));
    if (slots == NULL)
        return false;
    brg__mfree(brg__table_rehash(table, slots, capacity));
    return true;
}

brg_status brg__link_port_add(brg__link *link, uint64_t id, brg__end *end)
{
    brg__link_port *port = brg__calloc(1, sizeof(*port));
    if (port == NULL)
        return BRG_NO_MEMORY;
    port->end = end;
    brg__lock_acquire(&link->table_lock);
    /* Nobody would take it out again once the link has died. */
    bool room = brg_load_relaxed(&link->xdead) == 0 && brg__link_table_room(&link->ports);
    if (room) {
        brg__end_ref(end);
        brg__table_put(&link->ports, id, port);
    }
    brg__lock_release(&link->table_lock);
    if (!room)
        brg__mfree(port);
    return room ? BRG_OK : BRG_NO_MEMORY;
}

static void link_port_free(brg__link_port *port)
{
    if (port != NULL)
        brg__end_unref(port->end);
    brg__mfree(port);
}

void brg__link_port_drop(brg__link *link, uint64_t id)
{
    brg__lock_acquire(&link->table_lock);
    brg__link_port *port = brg__table_remove(&link->ports, id);
    brg__lock_release(&link->table_lock);
    link_port_free(port);
}

/* One side will not name it again; when both will not, it goes. False: it is not there. */
static bool link_port_forget(brg__link *link, uint64_t id, bool here)
{
    brg__lock_acquire(&link->table_lock);
    brg__link_port *port = brg__table_get(&link->ports, id);
    bool known = port != NULL;
    if (known && here)
        port->forgotten_here = true;
    else if (known)
        port->forgotten_there = true;
    bool over = known && port->forgotten_here && port->forgotten_there;
    if (over)
        brg__table_remove(&link->ports, id);
    brg__lock_release(&link->table_lock);
    if (over)
        link_port_free(port);
    return known;
}

/* The end with that number, referenced, if the other side may name it. */
static brg__end *link_end(brg__link *link, uint64_t id)
{
    brg__lock_acquire(&link->table_lock);
    brg__link_port *port = brg__table_get(&link->ports, id);
    brg__end *end = port == NULL || port->forgotten_there ? NULL : port->end;
    if (end != NULL)
        brg__end_ref(end);
    brg__lock_release(&link->table_lock);
    return end;
}

/* ---- what channels ask for --------------------------------------------------------------------------------------- */

static brg_status remote_post(brg__remote *remote, uint64_t id, brg_value *value, bool bounce,
                              brg__departures *departures, brg_error *error)
{
    brg__link *link = link_of(remote);
    size_t copied = brg__value_copied_bytes(value), room = brg__ring_payload_max(link->ring->capacity);
    if (copied > room - room / 8)
        return brg_error_set(error, BRG_TOO_LARGE, "port",
                             "the message has %zu bytes to copy, at most %zu go to that process", copied,
                             room - room / 8);
    brg__frame head = {.kind = bounce ? BRG__LINK_BOUNCE : BRG__LINK_POST, .id = id};
    brg_status status = brg__link_queue(link, &head, value, departures, error);
    if (status == BRG_OK)
        brg_value_unref(value);
    return status;
}

static void remote_tell(brg__remote *remote, brg__link_kind kind, uint64_t id, uint64_t first, uint64_t second)
{
    brg__link *link = link_of(remote);
    brg__frame head = {.kind = kind, .id = id, .word = {first, second}};
    brg__departures none = {0};
    if (brg__link_queue(link, &head, NULL, &none, NULL) == BRG_NO_MEMORY)
        link->ops->broken(link, BRG_NO_MEMORY, "no memory to tell the other side about a port");
}

static void remote_credit(brg__remote *remote, uint64_t id, uint32_t count, uint64_t bytes)
{
    remote_tell(remote, BRG__LINK_CREDIT, id, count, bytes);
}
static void remote_want(brg__remote *remote, uint64_t id) { remote_tell(remote, BRG__LINK_WANT, id, 0, 0); }
static void remote_close(brg__remote *remote, uint64_t id) { remote_tell(remote, BRG__LINK_CLOSE, id, 0, 0); }
static void remote_fin(brg__remote *remote, uint64_t id) { remote_tell(remote, BRG__LINK_FIN, id, 0, 0); }
static void remote_fin_ack(brg__remote *remote, uint64_t id) { remote_tell(remote, BRG__LINK_FIN_ACK, id, 0, 0); }

static void remote_forget(brg__remote *remote, uint64_t id)
{
    brg__link *link = link_of(remote);
    if (brg_load_relaxed(&link->xdead) == 0)
        remote_tell(remote, BRG__LINK_FORGET, id, 0, 0);
    link_port_forget(link, id, true);
}

static bool remote_pump(brg__remote *remote) { return link_of(remote)->ops->pump(link_of(remote)); }
static void remote_unpump(brg__remote *remote) { link_of(remote)->ops->unpump(link_of(remote)); }
static void remote_ref(brg__remote *remote) { link_of(remote)->ops->ref(link_of(remote)); }
static void remote_unref(brg__remote *remote) { link_of(remote)->ops->unref(link_of(remote)); }

static const brg__remote_ops link_remote_ops = {.post = remote_post,
                                                .credit = remote_credit,
                                                .want = remote_want,
                                                .close = remote_close,
                                                .fin = remote_fin,
                                                .fin_ack = remote_fin_ack,
                                                .forget = remote_forget,
                                                .pump = remote_pump,
                                                .unpump = remote_unpump};

/* ---- frames that arrive ------------------------------------------------------------------------------------------ */

/* The payload as a value. BRG_NO_MEMORY is ours to bear; anything else is a lie. */
static brg_status link_value(brg__link *link, const brg__frame *frame, const void *payload, brg_value **out,
                             brg_error *error)
{
    brg_status status = brg__wire_read(out, &link->carrier, payload, frame->payload_bytes, error);
    return status == BRG_OK || status == BRG_NO_MEMORY || status == BRG_SYSTEM ? status : BRG_PROTOCOL;
}

static brg_status link_arrived(brg__link *link, brg__end *end, const brg__frame *frame, const void *payload)
{
    brg_value *value = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = link_value(link, frame, payload, &value, &error);
    if (status == BRG_PROTOCOL || (status == BRG_OK && value == NULL))
        return BRG_PROTOCOL;
    if (status == BRG_NO_MEMORY && brg__wire_is_plain(payload, frame->payload_bytes))
        return BRG_FULL;
    if (status != BRG_OK) {
        brg__end_garbled(end, &link->remote, frame->kind == BRG__LINK_BOUNCE, &error);
        return BRG_OK;
    }
    brg__departures departures = {0};
    if (frame->kind == BRG__LINK_BOUNCE)
        status = brg__end_bounced(end, &link->remote, value);
    else
        status = brg__end_arrived(end, &link->remote, value, &departures);
    if (status != BRG_OK)
        brg_value_unref(value);
    brg__departures_run(&departures);
    return status == BRG_PROTOCOL ? BRG_PROTOCOL : BRG_OK;
}

static brg_status link_port_frame(brg__link *link, const brg__frame *frame, const void *payload)
{
    brg__remote *remote = &link->remote;
    brg__end *end = link_end(link, frame->id);
    if (end == NULL)
        return BRG_PROTOCOL;
    brg_status status = BRG_OK;
    switch ((brg__link_kind)frame->kind) {
    case BRG__LINK_POST:
    case BRG__LINK_BOUNCE:
        status = link_arrived(link, end, frame, payload);
        break;
    case BRG__LINK_CREDIT:
        status = frame->word[0] > UINT32_MAX ? BRG_PROTOCOL
                                             : brg__end_credited(end, remote, (uint32_t)frame->word[0], frame->word[1]);
        break;
    case BRG__LINK_WANT:
        brg__end_wanted(end, remote);
        break;
    case BRG__LINK_CLOSE:
        brg__end_closed(end, remote);
        break;
    case BRG__LINK_FIN:
        brg__end_fin(end, remote);
        break;
    case BRG__LINK_FIN_ACK:
        status = brg__end_fin_acked(end, remote);
        break;
    default: /* FORGET */
        link_port_forget(link, frame->id, false);
    }
    brg__end_unref(end);
    return status;
}

static brg_status link_service(brg__link *link, const brg__frame *frame, const void *payload)
{
    brg_value *value = NULL;
    brg_error error;
    memset(&error, 0, sizeof(error));
    brg_status status = link_value(link, frame, payload, &value, &error);
    if (status == BRG_PROTOCOL)
        return status;
    if (status == BRG_NO_MEMORY && brg__wire_is_plain(payload, frame->payload_bytes))
        return BRG_FULL;
    status = link->ops->service(link, frame, value, status == BRG_OK ? NULL : &error);
    brg_value_unref(value);
    return status;
}

brg_status brg__link_frame(brg__link *link, const brg__frame *frame, const void *payload)
{
    if (brg_load_relaxed(&link->xdead) != 0)
        return BRG_OK; /* what it names is gone */
    switch ((brg__link_kind)frame->kind) {
    case BRG__LINK_POST:
    case BRG__LINK_BOUNCE:
    case BRG__LINK_CREDIT:
    case BRG__LINK_WANT:
    case BRG__LINK_CLOSE:
    case BRG__LINK_FIN:
    case BRG__LINK_FIN_ACK:
    case BRG__LINK_FORGET:
        return link_port_frame(link, frame, payload);
    case BRG__LINK_RELEASE:
        return brg__link_released(link, frame->id, frame->word[0], frame->word[1] != 0);
    case BRG__LINK_UNMAP:
        return brg__link_unmapped(link, frame->id);
    case BRG__LINK_CALL:
    case BRG__LINK_ANSWER:
    case BRG__LINK_EVENT:
        return link_service(link, frame, payload);
    case BRG__LINK_NOTHING:
        return brg__link_drop_packets(link, frame);
    }
    return BRG_PROTOCOL;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void brg__link_init(brg__link *link, const brg__link_ops *ops, bool is_owner, brg__ring_producer *ring, int socket)
{
    link->remote = (brg__remote){.ops = &link_remote_ops, .ref = remote_ref, .unref = remote_unref};
    link->ops = ops;
    link->is_owner = is_owner;
    link->carrier.import = brg__link_import;
    link->ring = ring;
    link->socket = socket;
    link->last_number = is_owner ? 0 : 1;
    link->viewer = is_owner ? brg__region_viewer_new() : 0;
    brg__lock_init(&link->send_lock, BRG__RANK_CHANNEL, "link send");
    brg__lock_init(&link->table_lock, BRG__RANK_LEAF, "link tables");
    brg__list_init(&link->backlog);
    brg__list_init(&link->region_order);
    brg__list_init(&link->packets);
}

/* Any one port of the table, referenced; NULL when there is none. */
static brg__end *link_any_end(brg__link *link, uint64_t *id)
{
    brg__end *end = NULL;
    brg__lock_acquire(&link->table_lock);
    for (size_t i = 0; i < link->ports.capacity && end == NULL; i++) {
        brg__link_port *port = link->ports.slots[i].value;
        if (port == NULL)
            continue;
        end = port->end;
        *id = link->ports.slots[i].key;
        brg__end_ref(end);
    }
    brg__lock_release(&link->table_lock);
    return end;
}

static void link_drop_backlog(brg__link *link)
{
    for (;;) {
        brg__lock_acquire(&link->send_lock);
        brg__node *node = brg__list_pop_front(&link->backlog);
        brg__lock_release(&link->send_lock);
        if (node == NULL)
            break;
        link_item *item = brg__container_of(node, link_item, node);
        brg_value_unref(item->value); /* closes the ports in it */
        brg__mfree(item);
    }
    brg_store_relaxed(&link->xhas_backlog, 0u);
}

void brg__link_die(brg__link *link)
{
    brg__lock_acquire(&link->send_lock);
    bool first = brg_exchange_acq_rel(&link->xdead, 1u) == 0;
    brg__lock_release(&link->send_lock);
    if (!first)
        return;
    link_drop_backlog(link);
    uint64_t id = 0;
    brg__end *end;
    while ((end = link_any_end(link, &id)) != NULL) {
        brg__end_closed(end, &link->remote);
        brg__link_port_drop(link, id);
        brg__end_unref(end);
    }
    brg__link_regions_die(link);
}

void brg__link_done(brg__link *link)
{
    if (link->ops == NULL)
        return;
    brg__link_die(link);
    brg__link_packets_done(link);
    brg__mfree(link->ports.slots);
    brg__mfree(link->regions.slots);
}
