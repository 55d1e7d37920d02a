/* SPDX-License-Identifier: MIT */
/* A worker on a loop whose every event is written down: one letter each, in order. */
#ifndef TESTS_RECORD_H
#define TESTS_RECORD_H

#include "scenario.h"

/* The letters: online, message, error, exit, release. */
#define RECORD_ONLINE 'o'
#define RECORD_MESSAGE 'm'
#define RECORD_ERROR 'e'
#define RECORD_EXIT 'x'
#define RECORD_RELEASE 'r'

/* A time that nobody waits out: a worker that was not run for long is not deaf. */
#define RECORD_PATIENT BRG_SECONDS(3600)

typedef struct recorder {
    brg_loop *loop;
    brg_worker *worker;
    char events[64]; /* the first of them; each kind's count goes on */
    int online, messages, errors, exits, released;
    int64_t next; /* "n" of the next message, if they count up from 0 */
    bool out_of_order;
    brg_error error; /* of the last one */
    brg_exit exit;
    void (*act)(struct recorder *record, char event); /* inside each callback but release, after it was written down */
    void *argument;                                   /* of act */
} recorder;

/* Creates record->worker with the scenario module, unless `options` name another body, on record->loop, made if NULL.
 * A start and an end take as long as they like, unless `options` says how long. */
void record_start(recorder *record, brg_isolation isolation, const brg_worker_options *options);
/* Runs the loop until nothing is out. */
void record_run(recorder *record);
/* Destroys what is left of worker and loop; released exactly once by then. */
void record_end(recorder *record);

/* Act: terminates the worker once it is online. */
void record_terminate_online(recorder *record, char event);

/* Posts {"do": what, "n": n}; fails the test where that fails. */
void record_post(brg_worker *worker, const char *what, int64_t n);

#endif
