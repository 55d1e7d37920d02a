/* SPDX-License-Identifier: MIT */
/* A flat block of any origin: refused, or read whole and rebuilt to the same bytes. */
#include <brigade/value.h>

#include "message/flat.h"
#include "message/value_fixture.h"

#define BUFFERS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    brg_buffer *buffers[BUFFERS_MAX] = {NULL};
    brg__flat_header header = {0};
    brg_value *value = NULL;
    if (size >= sizeof(header))
        memcpy(&header, data, sizeof(header));
    size_t count = header.object_count < BUFFERS_MAX ? header.object_count : BUFFERS_MAX;
    for (size_t i = 0; i < count; i++)
        fixture_require(brg_buffer_create(&buffers[i], i, NULL) == BRG_OK, "no memory");
    brg_error error;
    if (brg_value_from_bytes(&value, data, size, buffers, count, &error) == BRG_OK) {
        fixture_require(memcmp(brg_value_data(value), data, size) == 0, "the copy differs");
        fixture_check(value, false);
    } else {
        fixture_require(error.message[0] != '\0', "refused without a reason");
    }
    brg_value_unref(value);
    for (size_t i = 0; i < count; i++)
        brg_buffer_unref(buffers[i]);
    return 0;
}
