/* SPDX-License-Identifier: MIT */
/* The module of flat_test.c and objects_test.c: a worker and tasks that are given ports, memory, tokens, descriptors.
 * */
#include <brigade.h>

#include <signal.h>
#include <unistd.h>

static brg_status objects_say(brg_port *port, int64_t number)
{
    brg_value *message = NULL;
    brg_status status = brg_value_int(&message, number, NULL);
    if (status == BRG_OK && (status = brg_port_post(port, message, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(message);
    return status;
}

/* A message is a port, or {"port": PORT}: says what it hears there back, once. */
static brg_status objects_message(brg_context *context, const brg_value *message)
{
    brg_view root = brg_value_root(message);
    brg_port *port = NULL;
    brg_value *heard = NULL;
    if (brg_view_take_port(brg_view_get(root, "port"), &port) != BRG_OK)
        return brg_context_fail(context, 1, "a message needs a port");
    brg_status status = brg_port_receive(port, &heard, BRG_FOREVER);
    int64_t number = -1;
    if (status == BRG_OK)
        status = brg_view_int(brg_value_root(heard), &number);
    brg_value_unref(heard);
    if (status == BRG_OK)
        status = objects_say(port, number);
    brg_port_destroy(port);
    return status;
}

/* {"port": PORT, "count": N}: hears 0 .. N-1 in order, and answers how many came so. */
static brg_status objects_hear(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view root = brg_value_root(input);
    brg_port *port = NULL;
    if (brg_view_take_port(brg_view_get(root, "port"), &port) != BRG_OK)
        return brg_context_fail(context, 1, "no port");
    int64_t count = brg_view_get_int(root, "count", 0), right = 0;
    for (int64_t i = 0; i < count; i++) {
        brg_value *heard = NULL;
        int64_t number = -1;
        if (brg_port_receive(port, &heard, BRG_SECONDS(240)) != BRG_OK)
            break;
        if (brg_view_int(brg_value_root(heard), &number) == BRG_OK && number == i)
            right++;
        brg_value_unref(heard);
    }
    brg_port_destroy(port);
    return brg_value_map(output, NULL, brg_field_int("right", right));
}

/* {"port": PORT} or {}: ends its worker, the port in hand. */
static brg_status objects_crash(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)output;
    brg_port *port = NULL;
    (void)brg_view_take_port(brg_view_get(brg_value_root(input), "port"), &port);
    if (brg_context_attempt(context) == 1)
        raise(SIGKILL);
    return BRG_OK;
}

/* {"buffer", "shared", "token", "fd"}: leaves its mark in each, and gives the memory and a new port back. */
static brg_status objects_mark(brg_context *context, const brg_value *input, brg_value **output)
{
    brg_view root = brg_value_root(input);
    brg_buffer *buffer = brg_view_buffer(brg_view_get(root, "buffer"));
    brg_shared *shared = brg_view_shared(brg_view_get(root, "shared"));
    int fd = -1;
    if (buffer == NULL || shared == NULL || brg_view_take_fd(brg_view_get(root, "fd"), &fd) != BRG_OK)
        return brg_context_fail(context, 1, "something is missing");
    ((char *)brg_buffer_data(buffer))[brg_buffer_size(buffer) - 1] = 'b';
    brg_shared_store32(shared, 0, 's');
    brg_token_cancel(brg_view_token(brg_view_get(root, "token")));
    ssize_t written = write(fd, "f", 1);
    close(fd);
    brg_port *ours = NULL, *theirs = NULL;
    brg_builder *builder = NULL;
    brg_status status = written == 1 ? brg_channel_create(&ours, &theirs, NULL, NULL) : BRG_SYSTEM;
    if (status == BRG_OK)
        status = objects_say(ours, 42);
    if (status != BRG_OK || (status = brg_builder_create(&builder, NULL)) != BRG_OK) {
        brg_port_destroy(ours);
        brg_port_destroy(theirs);
        return status;
    }
    brg_builder_map(builder);
    brg_builder_key(builder, "buffer");
    brg_builder_view(builder, brg_view_get(root, "buffer"));
    brg_builder_key(builder, "port");
    brg_builder_port(builder, &theirs);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, output, NULL);
    brg_builder_destroy(builder);
    brg_port_destroy(ours); /* what it said before arrives all the same */
    return status;
}

/* {"token", "begun": SHARED}: computes until the token is cancelled, without looking at anything else. */
static brg_status objects_compute(brg_context *context, const brg_value *input, brg_value **output)
{
    (void)context;
    (void)output;
    brg_view root = brg_value_root(input);
    brg_token *token = brg_view_token(brg_view_get(root, "token"));
    brg_shared *begun = brg_view_shared(brg_view_get(root, "begun"));
    brg_shared_store32(begun, 0, 1);
    brg_shared_notify(begun, 0, 1, NULL);
    volatile uint64_t work = 0;
    while (!brg_token_is_cancelled(token))
        work++;
    return BRG_OK;
}

BRG_MODULE(objects, .message = objects_message,
           .tasks = BRG_TASKS({"hear", objects_hear}, {"crash", objects_crash}, {"mark", objects_mark},
                              {"compute", objects_compute}));
