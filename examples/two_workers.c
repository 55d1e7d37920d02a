/* SPDX-License-Identifier: MIT */
/* Two workers talk to each other directly, one on a thread and one in a process: the program joins them and listens. */
#include <stdio.h>
#include <stdlib.h>

#include <brigade.h>

static int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

/* Sends one end of the channel to a worker: it is the worker's from then on. */
static brg_status introduce(brg_worker *worker, brg_port **end, bool first, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_value *message = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    brg_builder_key(builder, "peer");
    brg_builder_port(builder, end);
    brg_builder_key(builder, "first");
    brg_builder_bool(builder, first);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, &message, error);
    brg_builder_destroy(builder);
    if (status == BRG_OK && (status = brg_worker_post(worker, message, 0, error)) != BRG_OK)
        brg_value_unref(message); /* taken only on success */
    return status;
}

static int report(brg_worker *worker)
{
    brg_value *message = NULL;
    if (brg_worker_receive(worker, &message, BRG_FOREVER) != BRG_OK) {
        fprintf(stderr, "%s said nothing\n", brg_worker_name(worker));
        return EXIT_FAILURE;
    }
    printf("%s heard %d last\n", brg_worker_name(worker), (int)brg_view_get_int(brg_value_root(message), "heard", 0));
    brg_value_unref(message);
    return EXIT_SUCCESS;
}

static int talk(brg_worker *anna, brg_worker *bert)
{
    brg_error error;
    brg_port *one = NULL, *other = NULL;
    if (brg_channel_create(&one, &other, NULL, &error) != BRG_OK)
        return fail(&error);
    brg_status status = introduce(anna, &one, true, &error);
    if (status == BRG_OK)
        status = introduce(bert, &other, false, &error);
    brg_port_destroy(one); /* NULL once they moved */
    brg_port_destroy(other);
    if (status != BRG_OK)
        return fail(&error);
    return report(anna) == EXIT_SUCCESS ? report(bert) : EXIT_FAILURE;
}

int main(void)
{
    brg_error error;
    brg_worker *anna = NULL, *bert = NULL;
    int code = EXIT_FAILURE;
    if (brg_worker_create(&anna, brg_worker_opts(.name = "anna", .module = "./talker.so"), &error) == BRG_OK &&
        brg_worker_create(&bert,
                          brg_worker_opts(.name = "bert", .module = "./talker.so", .isolation = BRG_ISOLATION_PROCESS),
                          &error) == BRG_OK)
        code = talk(anna, bert);
    else
        fail(&error);
    brg_worker_destroy(anna);
    brg_worker_destroy(bert);
    return code;
}
