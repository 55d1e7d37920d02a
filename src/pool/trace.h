/* SPDX-License-Identifier: MIT */
/* Traces: what trace.c, which records, and trace_write.c, which makes the file, share. */
#ifndef BRG_POOL_TRACE_H
#define BRG_POOL_TRACE_H

#include <brigade/trace.h>

#include "base/list.h"
#include "pool/observe.h"

/* What is recorded of one pool. */
typedef struct brg__trace_source {
    brg__node node; /* in the trace */
    brg__store *store;
    brg_pool *pool;    /* counted */
    brg__names *names; /* counted: those in the records */
    uint32_t number;   /* from 1 */
    bool has_processes;
    char name[64];
} brg__trace_source;

/* Text on its way out, in pieces; after a failure nothing more is written. */
typedef struct brg__trace_text {
    brg_json_write_fn write;
    void *user_data;
    brg_status status;
    bool has_event; /* a comma goes before the next */
    size_t used;
    char buffer[8192];
} brg__trace_text;

/* trace_text.c */
void brg__trace_put(brg__trace_text *text, const char *bytes, size_t size); /* at most as much as the buffer holds */
void brg__trace_printf(brg__trace_text *text, const char *format, ...) BRG_PRINTF(2, 3); /* at most 511 bytes */
void brg__trace_string(brg__trace_text *text, const char *string); /* quoted; what is no UTF-8 as U+FFFD */
void brg__trace_time(brg__trace_text *text, const char *key, uint64_t ns);
/* {"ph":...,"pid":...,"tid":...,"name":...; more of it, and then close. */
void brg__trace_event(brg__trace_text *text, char phase, uint32_t pid, uint32_t tid, const char *name);
void brg__trace_close(brg__trace_text *text);

/* The pool could not be made: as if it had never been added. */
void brg__trace_forget(brg_trace *trace, const brg_pool *pool);

void brg__trace_begin(brg__trace_text *text, uint64_t lost);
/* The events of one pool, in order. Errors: BRG_NO_MEMORY; those of text->write. */
brg_status brg__trace_source_print(brg__trace_text *text, const brg__trace_source *source, const brg__record *records,
                                   size_t count, uint64_t now_ns);
brg_status brg__trace_end(brg__trace_text *text); /* how it went */

#endif
