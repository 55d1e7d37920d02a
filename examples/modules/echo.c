/* SPDX-License-Identifier: MIT */
/* A module that answers messages: {"text": TEXT} comes back as {"echo": TEXT}. */
#include <brigade/module.h>

static brg_status echo(brg_context *context, const brg_value *message)
{
    const char *text = brg_view_get_string(brg_value_root(message), "text", NULL);
    if (text == NULL)
        return brg_context_fail(context, 1, "a message needs a \"text\"");

    brg_value *reply = NULL;
    brg_status status = brg_value_map(&reply, NULL, brg_field_string("echo", text));
    if (status != BRG_OK)
        return status;
    status = brg_context_post(context, reply, BRG_FOREVER, NULL);
    if (status != BRG_OK)
        brg_value_unref(reply); /* taken only on success */
    return status;
}

BRG_MODULE(echo, .message = echo);
