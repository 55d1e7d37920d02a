/* SPDX-License-Identifier: MIT */
/* See link.h. Here: what travels in values: regions, ports, descriptors; and their tables. */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "message/shared.h"
#include "os/atomic.h"
#include "os/fd.h"
#include "os/memory.h"
#include "worker/link.h"

#define LINK_IDLE_REGIONS_MAX 64 /* of ours that nobody holds, kept mapped on both sides */
#define LINK_RELEASES_MAX 16     /* frames of one round under the lock */

/* A descriptor that came before the frame that names it. */
typedef struct link_packet {
    brg__node node;
    uint64_t number;
    int fd;
} link_packet;

static uint64_t link_number_locked(brg__link *link) { return link->last_number += 2; }

/* ---- regions out ---------------------------------------------------------------------------------------------- */

static brg__link_region *link_find_region_locked(brg__link *link, const brg__region *region)
{
    brg__list_for_each(node, &link->region_order) {
        brg__link_region *entry = brg__container_of(node, brg__link_region, node);
        if (entry->region == region)
            return entry;
    }
    return NULL;
}

static brg__link_region *link_add_region_locked(brg__link *link, uint64_t id, brg__region *region)
{
    bool room = brg_load_relaxed(&link->xdead) == 0 && brg__link_table_room(&link->regions);
    brg__link_region *entry = room ? brg__calloc(1, sizeof(*entry)) : NULL;
    if (entry == NULL)
        return NULL;
    entry->id = id;
    entry->region = region;
    brg__region_ref(region);
    brg__table_put(&link->regions, id, entry);
    brg__list_push_front(&link->region_order, &entry->node);
    return entry;
}

/* Whether a participant of `shared` is needed before the region can be held. */
static bool link_needs_participant(brg__link *link, const brg__region *region, const brg_shared *shared)
{
    if (shared == NULL)
        return false;
    brg__lock_acquire(&link->table_lock);
    const brg__link_region *entry = link_find_region_locked(link, region);
    bool needs = entry == NULL || (entry->shared == NULL && !brg__link_is_theirs(link, entry->id));
    brg__lock_release(&link->table_lock);
    return needs;
}

/* A hold on one of ours. *participant, if it is one, is the entry's from here on. False: one is needed after all. */
static bool link_hold_locked(brg__link *link, brg__link_region *entry, brg_shared *shared, uint32_t *participant,
                             brg__wire_object *to)
{
    if (shared != NULL && entry->shared == NULL) {
        if (*participant == 0)
            return false;
        entry->shared = brg_shared_ref(shared);
        entry->participant = *participant;
        *participant = 0;
    }
    if (shared != NULL)
        to->offset = entry->participant;
    entry->holds++;
    brg__list_remove(&entry->node);
    brg__list_push_front(&link->region_order, &entry->node);
    return true;
}

/* One try; BRG_STATE: the other side let go meanwhile, look again. */
static brg_status link_try_hold(brg__link *link, brg__region *region, brg_shared *shared, uint32_t *participant,
                                brg__wire_object *to, bool *packet)
{
    brg_status status = BRG_OK;
    brg__lock_acquire(&link->table_lock);
    brg__link_region *entry = link_find_region_locked(link, region);
    *packet = entry == NULL;
    if (entry == NULL && (entry = link_add_region_locked(link, link_number_locked(link), region)) == NULL) {
        status = BRG_NO_MEMORY;
    } else if (brg__link_is_theirs(link, entry->id)) {
        to->flags |= BRG__WIRE_BACK;
        to->id = entry->id;
    } else {
        to->id = entry->id;
        if (!link_hold_locked(link, entry, shared, participant, to))
            status = BRG_STATE;
    }
    brg__lock_release(&link->table_lock);
    return status;
}

/* One more hold of the other side on a region, which is new to it if *packet is set. On one of theirs there is none. */
static brg_status link_hold_region(brg__link *link, brg__region *region, brg_shared *shared, brg__wire_object *to,
                                   bool *packet)
{
    brg_status status;
    to->extra = region->size;
    brg__region_use(region); /* the hold's */
    do {
        uint32_t participant = 0;
        status = link_needs_participant(link, region, shared) ? brg__shared_join(shared, &participant) : BRG_OK;
        if (status == BRG_OK)
            status = link_try_hold(link, region, shared, &participant, to, packet);
        if (participant != 0)
            brg__shared_bury(shared, participant);
    } while (status == BRG_STATE);
    if (status != BRG_OK || (to->flags & BRG__WIRE_BACK) != 0)
        brg__region_unuse(region);
    if (status == BRG_OK && link->is_owner && region->viewer != link->viewer)
        brg__region_expose(region);
    return status;
}

/* `count` holds of the other side are over. */
brg_status brg__link_released(brg__link *link, uint64_t id, uint64_t count, bool exposed)
{
    brg__region *region = NULL;
    brg_shared *shared = NULL;
    uint32_t participant = 0;
    brg__lock_acquire(&link->table_lock);
    brg__link_region *entry = brg__table_get(&link->regions, id);
    bool lie = entry == NULL || brg__link_is_theirs(link, id) || count == 0 || count > entry->holds;
    if (!lie) {
        entry->holds -= count;
        region = entry->region;
        brg__region_ref(region);
        if (entry->holds == 0) {
            shared = entry->shared;
            participant = entry->participant;
            entry->shared = NULL;
        }
    }
    brg__lock_release(&link->table_lock);
    if (lie)
        return BRG_PROTOCOL;
    if (shared != NULL) {
        brg__shared_bury(shared, participant);
        brg_shared_unref(shared);
    }
    if (exposed) /* to another worker of that process: never again for anything else */
        brg__region_expose(region);
    for (uint64_t i = 0; i < count; i++)
        brg__region_unuse(region);
    brg__region_unref(region);
    brg_store_release(&link->xreleases, 1u);
    link->ops->later(link);
    return BRG_OK;
}

static void link_free_region(brg__link_region *entry)
{
    brg__region_unref(entry->region);
    brg_shared_unref(entry->shared);
    brg__mfree(entry);
}

static void link_remove_region_locked(brg__link *link, brg__link_region *entry)
{
    brg__table_remove(&link->regions, entry->id);
    brg__list_remove(&entry->node);
}

/* The other side will not send this one of its regions under that number again. */
brg_status brg__link_unmapped(brg__link *link, uint64_t id)
{
    brg__lock_acquire(&link->table_lock);
    brg__link_region *entry = brg__table_get(&link->regions, id);
    bool lie = entry == NULL || !brg__link_is_theirs(link, id);
    if (!lie)
        link_remove_region_locked(link, entry);
    brg__lock_release(&link->table_lock);
    if (lie)
        return BRG_PROTOCOL;
    link_free_region(entry);
    return BRG_OK;
}

/* ---- regions in ------------------------------------------------------------------------------------------------- */

/* Nobody here uses a region of theirs any more. Any thread, no lock. */
static void link_region_idle(brg__region *region)
{
    brg__link *link = region->owner;
    brg_store_release(&link->xreleases, 1u);
    if (brg_load_relaxed(&link->xdead) == 0)
        link->ops->later(link);
}

/* It unmaps: the last that knew the link. */
static void link_region_gone(brg__region *region)
{
    brg__link *link = region->owner;
    link->ops->unref(link);
}

/* What is due now: up to `max` frames into `out`; entries that are over go to `over`. */
static size_t link_collect_locked(brg__link *link, brg__frame *out, size_t max, brg__list *over)
{
    size_t count = 0, idle = 0;
    brg__list_for_each(node, &link->region_order) {
        brg__link_region *entry = brg__container_of(node, brg__link_region, node);
        bool used = brg_load_acquire(&entry->region->xusers) != 0;
        if (count == max)
            break;
        if (brg__link_is_theirs(link, entry->id)) {
            if (entry->receipts == 0 || used)
                continue;
            out[count++] = (brg__frame){.kind = BRG__LINK_RELEASE,
                                        .id = entry->id,
                                        .word = {entry->receipts, brg_load_relaxed(&entry->region->xexposed)}};
            entry->receipts = 0;
        } else if (entry->holds == 0 &&
                   (brg_load_acquire(&entry->region->xretired) != 0 || (!used && ++idle > LINK_IDLE_REGIONS_MAX))) {
            out[count++] = (brg__frame){.kind = BRG__LINK_UNMAP, .id = entry->id};
            link_remove_region_locked(link, entry);
            brg__list_push_back(over, &entry->node);
        }
    }
    return count;
}

void brg__link_release_idle(brg__link *link)
{
    if (brg_load_relaxed(&link->xreleases) == 0 || brg_exchange_acq_rel(&link->xreleases, 0u) == 0)
        return;
    brg__frame frames[LINK_RELEASES_MAX];
    size_t count;
    do {
        brg__list over;
        brg__list_init(&over);
        brg__lock_acquire(&link->table_lock);
        count = link_collect_locked(link, frames, LINK_RELEASES_MAX, &over);
        brg__lock_release(&link->table_lock);
        for (size_t i = 0; i < count; i++) {
            brg__departures none = {0};
            if (brg__link_queue(link, &frames[i], NULL, &none, NULL) == BRG_NO_MEMORY)
                link->ops->broken(link, BRG_NO_MEMORY, "no memory to give a region back");
        }
        brg__list_for_each(node, &over)
            link_free_region(brg__container_of(node, brg__link_region, node));
    } while (count == LINK_RELEASES_MAX);
}

void brg__link_regions_die(brg__link *link)
{
    for (;;) {
        brg__lock_acquire(&link->table_lock);
        brg__node *node = brg__list_pop_front(&link->region_order);
        brg__link_region *entry = node == NULL ? NULL : brg__container_of(node, brg__link_region, node);
        if (entry != NULL)
            brg__table_remove(&link->regions, entry->id);
        brg__lock_release(&link->table_lock);
        if (entry == NULL)
            break;
        if (link->is_owner)
            brg__region_expose(entry->region); /* nobody will ask for it again */
        if (entry->shared != NULL)
            brg__shared_bury(entry->shared, entry->participant);
        for (; entry->holds > 0; entry->holds--)
            brg__region_unuse(entry->region);
        link_free_region(entry);
    }
    if (link->is_owner)
        brg__region_viewer_gone(link->viewer);
}

/* ---- packets ---------------------------------------------------------------------------------------------------- */

brg_status brg__export_packets(brg__link *link, brg__export *export, brg_error *error)
{
    for (uint32_t i = 0; i < export->packet_count; i++) {
        uint64_t number = link->packets_sent + 1 + i;
        brg_status status = brg__socket_send(link->socket, &number, sizeof(number), &export->packets[i], 1, error);
        if (status == BRG_OK)
            continue;
        link->packets_sent += i; /* those are out: brg__link_nothing */
        return status == BRG_FULL || status == BRG_NO_MEMORY ? status : BRG_CLOSED;
    }
    uint64_t next = link->packets_sent;
    for (uint32_t i = 0; export->packet_count > 0 && i < export->prepared; i++)
        if ((export->objects[i].flags & BRG__WIRE_PACKET) != 0)
            export->objects[i].packet = ++next;
    link->packets_sent += export->packet_count;
    return BRG_OK;
}

/* The packet with that number, if it came already. */
static int link_take_waiting(brg__link *link, uint64_t number)
{
    brg__list_for_each(node, &link->packets) {
        link_packet *packet = brg__container_of(node, link_packet, node);
        if (packet->number != number)
            continue;
        int fd = packet->fd;
        brg__list_remove(node);
        brg__mfree(packet);
        return fd;
    }
    return -1;
}

/* Descriptors of frames in another ring may come first: they wait. */
static brg_status link_keep_packet(brg__link *link, uint64_t number, int fd)
{
    link_packet *packet = brg__malloc(sizeof(*packet));
    if (packet == NULL) {
        brg__fd_close(&fd);
        return BRG_NO_MEMORY;
    }
    *packet = (link_packet){.number = number, .fd = fd};
    brg__list_push_back(&link->packets, &packet->node);
    return BRG_OK;
}

/* The descriptor of packet `number`. All that an owner takes is in order: any other number is a lie. */
static brg_status link_take_packet(brg__link *link, uint64_t number, int *out, brg_error *error)
{
    *out = link_take_waiting(link, number);
    while (*out < 0) {
        uint64_t got = 0;
        size_t size = sizeof(got), count = 1;
        int fd = -1;
        brg_status status = brg__socket_receive(link->socket, &got, &size, &fd, &count, error);
        if (status == BRG_MALFORMED) /* no descriptor is left in this process: the number came alone */
            return brg_error_set(error, BRG_SYSTEM, "worker", "no descriptor is left for one that was received");
        if (status == BRG_SYSTEM || status == BRG_NO_MEMORY) /* it is still there, before all others */
            link->ops->broken(link, status, "a descriptor that it sent could not be received");
        if (status != BRG_OK)
            return status == BRG_SYSTEM || status == BRG_NO_MEMORY ? status : BRG_PROTOCOL;
        if (size != sizeof(got) || fd < 0) {
            brg__fd_close(&fd);
            return BRG_PROTOCOL;
        }
        if (got == number)
            *out = fd;
        else if (link->is_owner) {
            brg__fd_close(&fd);
            return BRG_PROTOCOL;
        } else if ((status = link_keep_packet(link, got, fd)) != BRG_OK) {
            link->ops->broken(link, status, "a descriptor could not be kept");
            return status;
        }
    }
    return BRG_OK;
}

void brg__link_nothing(const brg__link *link, brg__frame *frame, uint64_t before)
{
    frame->word[0] = before + 1;
    frame->word[1] = link->packets_sent - before;
}

brg_status brg__link_drop_packets(brg__link *link, const brg__frame *frame)
{
    if (frame->word[1] > 2 * BRG__LINK_PACKETS_MAX) /* a result has two values */
        return BRG_PROTOCOL;
    for (uint64_t i = 0; i < frame->word[1]; i++) {
        int fd = -1;
        brg_status status = link_take_packet(link, frame->word[0] + i, &fd, NULL);
        brg__fd_close(&fd);
        if (status == BRG_PROTOCOL)
            return status;
    }
    return BRG_OK;
}

void brg__link_packets_done(brg__link *link)
{
    brg__node *node;
    while ((node = brg__list_pop_front(&link->packets)) != NULL) {
        link_packet *packet = brg__container_of(node, link_packet, node);
        brg__fd_close(&packet->fd);
        brg__mfree(packet);
    }
}

/* ---- export ------------------------------------------------------------------------------------------------------ */

static brg_status export_packet(brg__export *export, brg__wire_object *to, int fd)
{
    if (export->packet_count == BRG__LINK_PACKETS_MAX)
        return BRG_TOO_LARGE;
    to->flags |= BRG__WIRE_PACKET;
    export->packets[export->packet_count++] = fd;
    return BRG_OK;
}

static brg_status export_region(brg__link *link, brg__export *export, brg__region *region, brg_shared *shared,
                                brg__wire_object *to)
{
    bool packet = false;
    if (export->packet_count == BRG__LINK_PACKETS_MAX)
        return BRG_TOO_LARGE;
    brg_status status = link_hold_region(link, region, shared, to, &packet);
    if (status == BRG_OK && packet)
        status = export_packet(export, to, region->fd);
    return status;
}

static brg_status export_buffer(brg__link *link, brg__export *export, brg_buffer *buffer, brg__wire_object *to)
{
    size_t offset = 0;
    brg__region *region = brg__buffer_region(buffer, &offset);
    to->size = brg_buffer_size(buffer);
    to->flags = brg_buffer_is_frozen(buffer) ? BRG__WIRE_FROZEN : 0;
    if (region == NULL) {
        to->flags |= BRG__WIRE_INLINE;
        return BRG_OK;
    }
    to->offset = offset;
    return export_region(link, export, region, NULL, to);
}

static brg_status export_port(brg__link *link, brg_port *port, brg__wire_object *to)
{
    if (port == NULL)
        return BRG_INVALID;
    brg__end *end = NULL;
    brg__terms terms;
    bool home = false;
    brg__lock_acquire(&link->table_lock);
    to->id = link_number_locked(link);
    brg__lock_release(&link->table_lock);
    brg_status status = brg__port_leave(port, &link->remote, &to->id, &home, &end);
    if (status != BRG_OK)
        return status;
    if (home) {
        to->flags = BRG__WIRE_BACK;
        return BRG_OK;
    }
    brg__end_terms(end, &terms);
    to->offset = terms.messages_max | (uint64_t)terms.pending_count << 32;
    to->size = terms.bytes_max;
    to->extra = terms.pending_bytes;
    status = brg__link_port_add(link, to->id, end);
    if (status != BRG_OK)
        brg__port_stay(port);
    return status;
}

static brg_status export_one(brg__link *link, brg__export *export, const brg__object *object, brg__wire_object *to)
{
    memset(to, 0, sizeof(*to));
    to->type = object->type;
    switch ((brg_type)object->type) {
    case BRG_TYPE_BUFFER:
        return export_buffer(link, export, object->xpointer, to);
    case BRG_TYPE_PORT:
        return export_port(link, brg_load_acquire(&object->xpointer), to);
    case BRG_TYPE_FD: {
        int fd = brg_load_acquire(&object->xfd);
        return fd < 0 ? BRG_INVALID : export_packet(export, to, fd);
    }
    case BRG_TYPE_SHARED:
        return export_region(link, export, brg__shared_region(object->xpointer), object->xpointer, to);
    case BRG_TYPE_TOKEN: {
        brg_shared *shared = brg__token_shared(object->xpointer);
        return export_region(link, export, brg__shared_region(shared), shared, to);
    }
    default:
        return BRG_UNSUPPORTED;
    }
}

static brg_status export_failed(brg_status status, const brg__object *object, brg_error *error)
{
    if (status == BRG_NO_MEMORY)
        return brg__error_memory(error, "sending a message");
    const char *why = status == BRG_INVALID ? "was taken out of this message before"
                      : status == BRG_TOO_LARGE
                          ? "is one too many: at most 64 descriptors and new regions go with one message"
                      : status == BRG_CLOSED ? "is closed"
                                             : brg_status_text(status);
    return brg_error_set(error, status, "worker", "a %s in the message %s", brg_type_name((brg_type)object->type), why);
}

brg_status brg__export_prepare(brg__link *link, brg__export *export, const brg_value *value, brg_error *error)
{
    export->value = (brg_value *)value; /* what moves is taken from its slots; the rest stays as it is */
    export->objects = NULL;
    export->prepared = export->packet_count = 0;
    if (value == NULL || value->object_count == 0)
        return BRG_OK;
    export->objects = export->few;
    if (value->object_count > brg__count_of(export->few)) {
        export->objects = brg__calloc(value->object_count, sizeof(*export->objects));
        if (export->objects == NULL)
            return brg__error_memory(error, "sending a message");
    }
    for (uint32_t i = 0; i < value->object_count; i++) {
        brg_status status = export_one(link, export, &value->objects[i], &export->objects[i]);
        if (status != BRG_OK) {
            status = export_failed(status, &value->objects[i], error);
            brg__export_revert(link, export);
            return status;
        }
        export->prepared++;
    }
    return BRG_OK;
}

static void export_free(brg__export *export)
{
    if (export->objects != export->few)
        brg__mfree(export->objects);
    export->objects = NULL;
}

void brg__export_commit(brg__link *link, brg__export *export, brg__departures *departures)
{
    (void)link;
    for (uint32_t i = 0; i < export->prepared; i++) {
        brg__object *object = &export->value->objects[i];
        if (object->type == BRG_TYPE_PORT) {
            brg__departures_add(departures, brg_exchange_acq_rel(&object->xpointer, NULL));
        } else if (object->type == BRG_TYPE_FD) {
            int fd = brg_exchange_acq_rel(&object->xfd, -1);
            brg__fd_close(&fd);
        }
    }
    export_free(export);
}

/* A hold that was counted for a frame that was not sent. A region it was to bring along is not known over there. */
static void revert_region(brg__link *link, const brg__wire_object *object)
{
    if ((object->flags & (BRG__WIRE_BACK | BRG__WIRE_INLINE)) != 0)
        return;
    brg__link_region *over = NULL;
    brg__region *region = NULL;
    brg__lock_acquire(&link->table_lock);
    brg__link_region *entry = brg__table_get(&link->regions, object->id);
    brg_shared *shared = NULL;
    uint32_t participant = 0;
    if (entry != NULL) {
        entry->holds--;
        region = entry->region;
        brg__region_ref(region);
        if (entry->holds == 0) {
            shared = entry->shared;
            participant = entry->participant;
            entry->shared = NULL;
        }
        if ((object->flags & BRG__WIRE_PACKET) != 0 && entry->holds == 0) {
            link_remove_region_locked(link, entry);
            over = entry;
        }
    }
    brg__lock_release(&link->table_lock);
    if (shared != NULL) {
        brg__shared_bury(shared, participant);
        brg_shared_unref(shared);
    }
    if (over != NULL)
        link_free_region(over);
    brg_store_release(&link->xreleases, 1u);
    if (region != NULL) {
        brg__region_unuse(region);
        brg__region_unref(region);
    }
}

void brg__export_revert(brg__link *link, brg__export *export)
{
    for (uint32_t i = export->prepared; i > 0; i--) {
        const brg__wire_object *object = &export->objects[i - 1];
        if (object->type == BRG_TYPE_PORT) {
            brg__port_stay(export->value->objects[i - 1].xpointer);
            if ((object->flags & BRG__WIRE_BACK) == 0)
                brg__link_port_drop(link, object->id);
        } else if (object->type != BRG_TYPE_FD) {
            revert_region(link, object);
        }
    }
    export_free(export);
}

/* ---- import ------------------------------------------------------------------------------------------------------ */

/* The region an object names, used once more for it; *back is its entry's shared, referenced, if it is one of ours. */
static brg_status import_region(brg__link *link, const brg__wire_object *from, brg__region **out, brg_shared **back,
                                brg_error *error)
{
    bool theirs = brg__link_is_theirs(link, from->id), fresh = (from->flags & BRG__WIRE_PACKET) != 0;
    if (theirs == ((from->flags & BRG__WIRE_BACK) != 0) || (fresh && !theirs))
        return BRG_PROTOCOL;
    brg__region *region = NULL;
    if (fresh) {
        int fd = -1;
        brg_status status = link_take_packet(link, from->packet, &fd, error);
        bool writable = from->type != BRG_TYPE_BUFFER || (from->flags & BRG__WIRE_FROZEN) == 0;
        if (status == BRG_OK && from->extra > SIZE_MAX)
            status = BRG_PROTOCOL;
        if (status == BRG_OK)
            status = brg__region_open(&region, fd, (size_t)from->extra, writable, error);
        if (status != BRG_OK) {
            brg__fd_close(&fd);
            return status;
        }
        region->owner = link;
        region->idle = link_region_idle;
        region->gone = link_region_gone;
        link->ops->ref(link);
    }
    brg_status status = BRG_OK;
    *back = NULL;
    brg__lock_acquire(&link->table_lock);
    brg__link_region *entry = brg__table_get(&link->regions, from->id);
    if ((entry == NULL) != fresh || (fresh && from->id == 0) || (!theirs && entry->holds == 0))
        status = BRG_PROTOCOL; /* the last: it has let go of it */
    else if (fresh)
        entry = link_add_region_locked(link, from->id, region);
    if (status == BRG_OK && entry == NULL)
        status = BRG_NO_MEMORY;
    if (status == BRG_OK) {
        *out = entry->region;
        brg__region_use(entry->region);
        if (theirs)
            entry->receipts++;
        else if (entry->shared != NULL)
            *back = brg_shared_ref(entry->shared);
    }
    brg__lock_release(&link->table_lock);
    if (region != NULL)
        brg__region_unref(region); /* the table has its own */
    return status;
}

static brg_status import_buffer(brg__link *link, const brg__wire_object *from, brg__object *to, brg_error *error)
{
    brg__region *region = NULL;
    brg_shared *shared = NULL;
    brg_buffer *buffer = NULL;
    brg_status status = import_region(link, from, &region, &shared, error);
    if (status != BRG_OK)
        return status;
    if (shared != NULL || from->offset > region->size || from->size > region->size - from->offset)
        status = BRG_PROTOCOL;
    if (status == BRG_OK)
        status = brg__buffer_from_region(&buffer, region, (size_t)from->offset, (size_t)from->size,
                                         (from->flags & BRG__WIRE_FROZEN) != 0, error);
    brg_shared_unref(shared);
    brg__region_unuse(region); /* the buffer has its own */
    to->xpointer = buffer;
    return status;
}

static brg_status import_shared(brg__link *link, const brg__wire_object *from, brg_shared **out, brg_error *error)
{
    brg__region *region = NULL;
    brg_shared *shared = NULL;
    brg_status status = import_region(link, from, &region, &shared, error);
    if (status != BRG_OK)
        return status;
    if (shared == NULL && !brg__link_is_theirs(link, from->id))
        status = BRG_PROTOCOL; /* a buffer's region, or one it has let go of */
    else if (shared == NULL)
        status = brg__shared_from_region(&shared, region, (uint32_t)from->offset, error);
    brg__region_unuse(region);
    if (status == BRG_OK)
        *out = shared;
    return status;
}

static brg_status import_token(brg__link *link, const brg__wire_object *from, brg__object *to, brg_error *error)
{
    brg_shared *shared = NULL;
    brg_token *token = NULL;
    brg_status status = import_shared(link, from, &shared, error);
    if (status == BRG_OK)
        status = brg__token_from_shared(&token, shared, error);
    if (status != BRG_OK)
        brg_shared_unref(shared);
    to->xpointer = token;
    return status;
}

static brg_status import_port(brg__link *link, const brg__wire_object *from, brg__object *to)
{
    brg_port *port = NULL;
    bool back = (from->flags & BRG__WIRE_BACK) != 0;
    if (from->id == 0 || back == brg__link_is_theirs(link, from->id))
        return BRG_PROTOCOL;
    brg__lock_acquire(&link->table_lock);
    brg__link_port *known = brg__table_get(&link->ports, from->id);
    brg__end *end = known == NULL || known->forgotten_there ? NULL : known->end;
    if (end != NULL)
        brg__end_ref(end);
    brg__lock_release(&link->table_lock);
    brg_status status;
    if (back) {
        status = end == NULL ? BRG_PROTOCOL : brg__end_come_back(end, &link->remote, &port);
    } else if (known != NULL) {
        status = BRG_PROTOCOL;
    } else {
        const brg__terms terms = {.messages_max = (uint32_t)from->offset,
                                  .pending_count = (uint32_t)(from->offset >> 32),
                                  .bytes_max = from->size,
                                  .pending_bytes = from->extra};
        status = brg__end_adopt(&link->remote, from->id, &terms, &port, &end);
        if (status == BRG_OK && (status = brg__link_port_add(link, from->id, end)) != BRG_OK)
            brg_port_destroy(port);
    }
    if (end != NULL)
        brg__end_unref(end);
    if (status == BRG_OK)
        to->xpointer = port;
    return status;
}

brg_status brg__link_import(brg__carrier *carrier, const brg__wire_object *from, brg__object *to, brg_error *error)
{
    brg__link *link = brg__container_of(carrier, brg__link, carrier);
    brg__object made = {.type = from->type, .xfd = -1};
    brg_status status;
    switch ((brg_type)from->type) {
    case BRG_TYPE_BUFFER:
        status = import_buffer(link, from, &made, error);
        break;
    case BRG_TYPE_PORT:
        status = import_port(link, from, &made);
        break;
    case BRG_TYPE_FD:
        status = (from->flags & BRG__WIRE_PACKET) != 0 ? link_take_packet(link, from->packet, &made.xfd, error)
                                                       : BRG_PROTOCOL;
        break;
    case BRG_TYPE_SHARED: {
        brg_shared *shared = NULL;
        status = import_shared(link, from, &shared, error);
        made.xpointer = shared;
        break;
    }
    case BRG_TYPE_TOKEN:
        status = import_token(link, from, &made, error);
        break;
    default:
        status = BRG_PROTOCOL;
    }
    if (status == BRG_OK)
        *to = made;
    else if ((status == BRG_NO_MEMORY || status == BRG_SYSTEM) && from->type != BRG_TYPE_FD)
        link->ops->broken(link, status, "no memory for a port or region that it sent"); /* it names it from now on */
    return status;
}
