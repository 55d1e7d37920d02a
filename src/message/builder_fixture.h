/* SPDX-License-Identifier: MIT */
/* For tests that build values: one builder per test, made and ended around it. */
#ifndef BRG_MESSAGE_BUILDER_FIXTURE_H
#define BRG_MESSAGE_BUILDER_FIXTURE_H

#include <brigade/builder.h>

#include "message/value_fixture.h"

/* After cmocka.h and what it wants before it. */

static brg_builder *builder;

static int setup(void **state)
{
    (void)state;
    return brg_builder_create(&builder, NULL);
}

static int teardown(void **state)
{
    (void)state;
    brg_builder_destroy(builder);
    return 0;
}

/* What was built; fails the test when that is no value. For values that would take for ever to read. */
static brg_value *finish_unread(void)
{
    brg_value *value = NULL;
    brg_error error = {.message = ""};
    if (brg_builder_finish(builder, &value, &error) != BRG_OK)
        fail_msg("%s", error.message);
    return value;
}

/* The same, read whole once. */
static inline brg_value *finish(void)
{
    brg_value *value = finish_unread();
    fixture_check_whole(value);
    return value;
}

#endif
