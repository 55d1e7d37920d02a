/* SPDX-License-Identifier: MIT */
/* A module that stamps buffers: each page of the buffer it gets is marked, and the buffer goes back. */
#include <brigade.h>

#define PAGE 4096

static brg_status stamp(brg_context *context, const brg_value *message)
{
    brg_buffer *buffer = brg_view_buffer(brg_value_root(message));
    if (buffer == NULL)
        return brg_context_fail(context, 1, "a message must be a buffer");
    unsigned char *bytes = brg_buffer_data(buffer);
    for (size_t at = 0; at < brg_buffer_size(buffer); at += PAGE)
        bytes[at]++;

    brg_builder *builder = NULL;
    brg_value *reply = NULL;
    brg_status status = brg_builder_create(&builder, NULL);
    if (status != BRG_OK)
        return status;
    brg_builder_view(builder, brg_value_root(message)); /* the same buffer, not its bytes */
    status = brg_builder_finish(builder, &reply, NULL);
    brg_builder_destroy(builder);
    if (status == BRG_OK && (status = brg_context_post(context, reply, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(reply); /* taken only on success */
    return status;
}

BRG_MODULE(stamping, .message = stamp);
