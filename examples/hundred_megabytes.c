/* SPDX-License-Identifier: MIT */
/* 100 MB to a process worker and back, as often as you like: the memory is handed over, its bytes stay where they are.
 * */
#include <stdio.h>
#include <stdlib.h>

#include <brigade.h>

#define SIZE ((size_t)100 << 20)
#define TRIPS 10

static int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

/* There and back; *buffer moves into the message and comes out of the reply. */
static brg_status trip(brg_worker *worker, brg_buffer **buffer, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_value *message = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_buffer(builder, buffer);
    status = brg_builder_finish(builder, &message, error);
    brg_builder_destroy(builder);
    if (status == BRG_OK && (status = brg_worker_post(worker, message, 0, error)) != BRG_OK)
        brg_value_unref(message); /* taken only on success */
    if (status == BRG_OK && (status = brg_worker_receive(worker, &message, BRG_FOREVER)) != BRG_OK)
        brg_error_set(error, status, "example", "the worker sent nothing back");
    if (status == BRG_OK) {
        *buffer = brg_buffer_ref(brg_view_buffer(brg_value_root(message)));
        brg_value_unref(message);
    }
    return status;
}

static int run(brg_worker *worker)
{
    brg_error error;
    brg_buffer *buffer = NULL;
    if (brg_buffer_create(&buffer, SIZE, &error) != BRG_OK)
        return fail(&error);
    const void *before = brg_buffer_bytes(buffer);
    brg_status status = BRG_OK;
    for (int i = 0; i < TRIPS && status == BRG_OK; i++)
        status = trip(worker, &buffer, &error);
    if (status != BRG_OK)
        return fail(&error);
    const unsigned char *bytes = brg_buffer_bytes(buffer);
    printf("%zu MB, stamped %d and %d times, %s\n", brg_buffer_size(buffer) >> 20, bytes[0], bytes[SIZE - 4096],
           bytes == before ? "in the same place" : "elsewhere");
    brg_buffer_unref(buffer);
    return EXIT_SUCCESS;
}

int main(void)
{
    brg_error error;
    brg_worker *worker = NULL;
    const brg_worker_options *options = brg_worker_opts(.module = "./stamping.so", .isolation = BRG_ISOLATION_PROCESS);
    if (brg_worker_create(&worker, options, &error) != BRG_OK)
        return fail(&error);
    int code = run(worker);
    brg_worker_destroy(worker);
    return code;
}
