/* SPDX-License-Identifier: MIT */
/*
 * For tests: processes that are all in this one, an owner, three workers and a worker of a worker, joined by links that
 * keep their frames until the test delivers them. Chance, from `seed`, also decides when what is sent is written (a
 * link's backlog) and when ports depart after their frame was published.
 */
#ifndef BRG_MESSAGE_CHANNEL_FAKE_H
#define BRG_MESSAGE_CHANNEL_FAKE_H

#include "os/test_support.h"

#include "base/list.h"
#include "base/random.h"
#include "message/channel.h"
#include "message/object.h"
#include "os/atomic.h"

#define PROCS 5
#define LINKS 4
#define MESSAGE_PORTS_MAX 2
#define TABLE_MAX 8192

/* ---- chance ------------------------------------------------------------------------------------------------------ */

static uint64_t seed, chance_state;

static uint32_t chance(uint32_t below) { return (uint32_t)(brg__random_next(&chance_state) % below); }

#define check(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            print_error("seed %llu: %s\n", (unsigned long long)seed, #condition);                                      \
            fail();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* ---- links ------------------------------------------------------------------------------------------------------- */

typedef enum kind { POST, BOUNCE, CREDIT, WANT, CLOSE, FIN, FIN_ACK, FORGET, KINDS } kind;
static const char *const kind_names[] = {"post", "bounce", "credit", "want", "close", "fin", "fin-ack", "forget"};

typedef struct port_name {
    uint64_t id;
    bool back;
    brg__terms terms;
} port_name;

typedef struct frame {
    brg__node node;
    kind kind;
    uint64_t id;
    uint32_t count;
    uint64_t bytes;
    bool written;
    brg_value *value; /* before it is written with ports, after that without */
    port_name ports[MESSAGE_PORTS_MAX];
} frame;

typedef struct entry {
    uint64_t id;
    brg__end *end;
    bool here, there;
} entry;

typedef struct side {
    brg__remote remote;
    struct side *other;
    int proc;
    int refs;
    bool dead;
    uint64_t last_id;
    entry *entries;
    size_t entry_count;
    brg__list out;
    brg__departures late;
} side;

static side sides[2 * LINKS]; /* 2i: nearer to the owner */
static uint32_t backlog_percent, late_percent;
static uint64_t seen[KINDS];

static side *side_of(brg__remote *remote) { return brg__container_of(remote, side, remote); }

static entry *side_entry(side *at, uint64_t id)
{
    for (size_t i = 0; i < at->entry_count; i++)
        if (at->entries[i].id == id)
            return &at->entries[i];
    return NULL;
}

static void side_add(side *at, uint64_t id, brg__end *end)
{
    check(side_entry(at, id) == NULL && at->entry_count < TABLE_MAX);
    at->entries[at->entry_count++] = (entry){.id = id, .end = end};
    brg__end_ref(end);
}

static void side_remove(side *at, entry *over)
{
    brg__end *end = over->end;
    *over = at->entries[--at->entry_count];
    brg__end_unref(end);
}

static void frame_write(side *from, frame *item, brg__departures *departures)
{
    item->written = true;
    for (uint32_t i = 0; item->value != NULL && i < item->value->object_count; i++) {
        port_name *name = &item->ports[i];
        brg_port *port = brg_exchange_acq_rel(&item->value->objects[i].xpointer, NULL);
        brg__end *end = NULL;
        name->id = from->last_id += 2;
        check(brg__port_leave(port, &from->remote, &name->id, &name->back, &end) == BRG_OK);
        if (chance(8) == 0) { /* its frame found no room: once more */
            brg__port_stay(port);
            name->id = from->last_id += 2;
            check(brg__port_leave(port, &from->remote, &name->id, &name->back, &end) == BRG_OK);
        }
        if (!name->back) {
            brg__end_terms(end, &name->terms);
            side_add(from, name->id, end);
        }
        brg__departures_add(chance(100) < late_percent ? &from->late : departures, port);
    }
}

static frame *side_send(side *from, kind what, uint64_t id, brg_value *value)
{
    frame *item = calloc(1, sizeof(*item));
    *item = (frame){.kind = what, .id = id, .value = value};
    brg__list_push_back(&from->out, &item->node);
    return item;
}

static bool side_has_backlog(const side *at)
{
    return !brg__list_is_empty(&at->out) && !brg__container_of(at->out.head.previous, frame, node)->written;
}

static brg_status remote_post(brg__remote *remote, uint64_t id, brg_value *value, bool bounce,
                              brg__departures *departures, brg_error *error)
{
    side *from = side_of(remote);
    if (from->dead)
        return brg_error_set(error, BRG_CLOSED, "test", "dead");
    bool waits = side_has_backlog(from) || chance(100) < backlog_percent;
    frame *item = side_send(from, bounce ? BOUNCE : POST, id, value);
    if (!waits)
        frame_write(from, item, departures);
    return BRG_OK;
}

static void remote_tell(brg__remote *remote, kind what, uint64_t id, uint32_t count, uint64_t bytes)
{
    side *from = side_of(remote);
    if (from->dead)
        return;
    bool waits = side_has_backlog(from);
    frame *item = side_send(from, what, id, NULL);
    item->count = count;
    item->bytes = bytes;
    item->written = !waits;
}

static void remote_credit(brg__remote *remote, uint64_t id, uint32_t count, uint64_t bytes)
{
    remote_tell(remote, CREDIT, id, count, bytes);
}
static void remote_want(brg__remote *remote, uint64_t id) { remote_tell(remote, WANT, id, 0, 0); }
static void remote_close(brg__remote *remote, uint64_t id) { remote_tell(remote, CLOSE, id, 0, 0); }
static void remote_fin(brg__remote *remote, uint64_t id) { remote_tell(remote, FIN, id, 0, 0); }
static void remote_fin_ack(brg__remote *remote, uint64_t id) { remote_tell(remote, FIN_ACK, id, 0, 0); }

static void remote_forget(brg__remote *remote, uint64_t id)
{
    side *from = side_of(remote);
    entry *known = side_entry(from, id);
    remote_tell(remote, FORGET, id, 0, 0);
    if (known == NULL)
        return;
    known->here = true;
    if (known->there)
        side_remove(from, known);
}

static void remote_ref(brg__remote *remote) { side_of(remote)->refs++; }
static void remote_unref(brg__remote *remote) { side_of(remote)->refs--; }

static bool step_in(side *to);
static bool remote_pump(brg__remote *remote)
{
    side *to = side_of(remote);
    bool any = false;
    for (uint32_t i = chance(3); i > 0; i--)
        any = step_in(to) || any;
    return any;
}
static void remote_unpump(brg__remote *remote) { (void)remote; }

static const brg__remote_ops ops = {remote_post,    remote_credit, remote_want, remote_close, remote_fin,
                                    remote_fin_ack, remote_forget, remote_pump, remote_unpump};

/* ---- frames that arrive ------------------------------------------------------------------------------------------ */

static brg_port *import_port(side *to, const port_name *name)
{
    brg_port *port = NULL;
    entry *known = side_entry(to, name->id);
    if (name->back) {
        check(known != NULL && !known->there);
        brg__end *end = known->end;
        brg__end_ref(end);
        check(brg__end_come_back(end, &to->remote, &port) == BRG_OK);
        brg__end_unref(end);
        return port;
    }
    brg__end *end = NULL;
    check(known == NULL);
    check(brg__end_adopt(&to->remote, name->id, &name->terms, &port, &end) == BRG_OK);
    side_add(to, name->id, end);
    brg__end_unref(end);
    return port;
}

static void take_value(side *to, frame *item, brg__end *end)
{
    brg__departures departures = {NULL, NULL};
    for (uint32_t i = 0; i < item->value->object_count; i++)
        item->value->objects[i].xpointer = import_port(to, &item->ports[i]);
    if (item->kind == POST)
        check(brg__end_arrived(end, &to->remote, item->value, &departures) == BRG_OK);
    else
        check(brg__end_bounced(end, &to->remote, item->value) == BRG_OK);
    brg__departures_run(&departures);
}

static void take_frame(side *to, frame *item)
{
    entry *known = side_entry(to, item->id);
    check(known != NULL && !known->there);
    brg__end *end = known->end;
    brg__end_ref(end);
    seen[item->kind]++;
    switch (item->kind) {
    case POST:
    case BOUNCE:
        take_value(to, item, end);
        break;
    case CREDIT:
        check(brg__end_credited(end, &to->remote, item->count, item->bytes) == BRG_OK);
        break;
    case WANT:
        brg__end_wanted(end, &to->remote);
        break;
    case CLOSE:
        brg__end_closed(end, &to->remote);
        break;
    case FIN:
        brg__end_fin(end, &to->remote);
        break;
    case FIN_ACK:
        check(brg__end_fin_acked(end, &to->remote) == BRG_OK);
        break;
    default:
        known->there = true;
        if (known->here)
            side_remove(to, known);
    }
    brg__end_unref(end);
}

/* Writes or delivers the next frame towards `to`. */
static bool step_in(side *to)
{
    side *from = to->other;
    if (to->dead || brg__list_is_empty(&from->out))
        return false;
    frame *item = brg__container_of(from->out.head.next, frame, node);
    if (!item->written) {
        brg__departures departures = {NULL, NULL};
        frame_write(from, item, &departures);
        brg__departures_run(&departures);
        return true;
    }
    brg__list_remove(&item->node);
    take_frame(to, item);
    free(item);
    return true;
}

static bool step_late(side *at)
{
    brg__departures late = at->late;
    at->late = (brg__departures){NULL, NULL};
    bool any = late.first != NULL;
    brg__departures_run(&late);
    return any;
}

static void links_init(void)
{
    static const int ends[LINKS][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 4}};
    for (int i = 0; i < 2 * LINKS; i++) {
        entry *entries = calloc(TABLE_MAX, sizeof(*entries));
        sides[i] = (side){.remote = {&ops, remote_ref, remote_unref},
                          .other = &sides[i ^ 1],
                          .proc = ends[i / 2][i % 2],
                          .last_id = (uint64_t)(i % 2),
                          .entries = entries};
        brg__list_init(&sides[i].out);
    }
}

static void links_settle(void)
{
    bool any = true;
    while (any) {
        any = false;
        for (int i = 0; i < 2 * LINKS; i++) {
            any = step_late(&sides[i]) || any;
            while (step_in(&sides[i]))
                any = true;
        }
    }
}

static void links_done(void)
{
    for (int i = 0; i < 2 * LINKS; i++) {
        check(sides[i].entry_count == 0);
        check(sides[i].refs == 0);
        free(sides[i].entries);
    }
}

#endif
