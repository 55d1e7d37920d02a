/* SPDX-License-Identifier: MIT */
/* A task for each element of a list on process workers. relay.c has the notes. */
#ifndef BRG_FLOW_RELAY_H
#define BRG_FLOW_RELAY_H

#include <brigade/flow.h>

/* What was given is checked. As brg_map_values. */
brg_status brg__relay_run(brg_pool *pool, const char *name, const brg_value *items, const brg_flow_options *options,
                          brg_value **out, brg_error *error);

#endif
