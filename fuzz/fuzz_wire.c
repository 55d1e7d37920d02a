/* SPDX-License-Identifier: MIT */
/* A message from a hostile process: refused, or a value that reads whole and writes back to an equal one. */
#include <brigade/value.h>

#include "message/value_fixture.h"
#include "message/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rewrite(const brg_value *value, size_t size)
{
    brg_value *again = NULL;
    fixture_require(brg__wire_size(value, NULL) == size, "read from a message of another size");
    void *bytes = malloc(size);
    fixture_require(bytes != NULL, "no memory");
    brg__wire_write(value, NULL, bytes);
    fixture_require(brg__wire_read(&again, NULL, bytes, size, NULL) == BRG_OK, "what was written does not read");
    fixture_require(brg_view_equal(brg_value_root(value), brg_value_root(again)), "written and read to another value");
    brg_value_unref(again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    brg_value *value = NULL;
    void *aligned = malloc(size > 0 ? size : 1); /* as in a ring; and of exactly this size */
    fixture_require(aligned != NULL, "no memory");
    if (size > 0)
        memcpy(aligned, data, size);
    if (brg__wire_read(&value, NULL, aligned, size, NULL) == BRG_OK && value != NULL) {
        fixture_check(value, false);
        check_rewrite(value, size);
    }
    brg_value_unref(value);
    free(aligned);
    return 0;
}
