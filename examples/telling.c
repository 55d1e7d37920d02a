/* SPDX-License-Identifier: MIT */
/* Ways to tell each other something: a transfer list, JSON in pieces, a cancel token, a broadcast, a message by id. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <brigade.h>

static int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

/* ---- a transfer list ------------------------------------------------------------------------------------------- */

/* On success the buffer and the port have moved into *out; after an error both are still the caller's. */
static brg_status pack(brg_buffer **pixels, brg_port **answers, brg_value **out, brg_error *error)
{
    const brg_transfer list[] = {brg_transfer_buffer(pixels), brg_transfer_port(answers)};
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    brg_builder_key(builder, "pixels");
    brg_builder_transfer(builder, 0);
    brg_builder_key(builder, "answers");
    brg_builder_transfer(builder, 1);
    brg_builder_end(builder);
    status = brg_builder_finish_transfer(builder, list, 2, out, error);
    brg_builder_destroy(builder);
    return status;
}

static int moving(void)
{
    brg_error error;
    brg_buffer *pixels = NULL;
    brg_port *ours = NULL, *theirs = NULL;
    brg_value *message = NULL;
    if (brg_buffer_create(&pixels, 4096, &error) != BRG_OK)
        return fail(&error);
    brg_status status = brg_channel_create(&ours, &theirs, NULL, &error);
    if (status == BRG_OK)
        status = pack(&pixels, &theirs, &message, &error);
    if (status == BRG_OK)
        printf("both moved: %s\n", pixels == NULL && theirs == NULL ? "yes" : "no");
    brg_value_unref(message); /* nobody took the port: it closes */
    brg_port_destroy(theirs);
    brg_port_destroy(ours);
    brg_buffer_unref(pixels);
    return status == BRG_OK ? EXIT_SUCCESS : fail(&error);
}

/* ---- JSON, as it comes ----------------------------------------------------------------------------------------- */

/* Prints the field "n" of each object in a piece of a stream of objects; what is cut off waits for the next piece. */
static brg_status read_piece(brg_json_reader *reader, const char *piece, brg_error *error)
{
    size_t left = strlen(piece);
    while (left > 0) {
        size_t used = 0;
        brg_value *value = NULL;
        brg_status status = brg_json_reader_feed(reader, piece, left, &used, &value, error);
        if (status != BRG_OK)
            return status;
        if (value != NULL)
            printf("read %d\n", (int)brg_view_get_int(brg_value_root(value), "n", -1));
        brg_value_unref(value);
        piece += used;
        left -= used;
    }
    return BRG_OK;
}

static int reading(void)
{
    brg_error error;
    brg_json_reader *reader = NULL;
    if (brg_json_reader_create(&reader, BRG_JSON_MANY, &error) != BRG_OK)
        return fail(&error);
    brg_status status = read_piece(reader, "{\"n\": 1} {\"n\"", &error);
    if (status == BRG_OK)
        status = read_piece(reader, ": 2}", &error);
    brg_json_reader_destroy(reader);
    return status == BRG_OK ? EXIT_SUCCESS : fail(&error);
}

/* ---- a cancel token -------------------------------------------------------------------------------------------- */

/* Searches until somebody cancels the token in its init data: one load each time round, whatever it computes. */
static brg_status search(brg_context *context, void *argument)
{
    (void)argument;
    brg_token *token = brg_view_token(brg_value_root(brg_context_init_data(context)));
    uint64_t looked_at = 0;
    while (!brg_token_is_cancelled(token) && !brg_context_cancelled(context))
        looked_at++;
    return BRG_OK;
}

static brg_value *holding(brg_token *token)
{
    brg_builder *builder = NULL;
    brg_value *value = NULL;
    if (brg_builder_create(&builder, NULL) != BRG_OK)
        return NULL;
    brg_builder_token(builder, token);
    (void)brg_builder_finish(builder, &value, NULL); /* NULL stays NULL */
    brg_builder_destroy(builder);
    return value;
}

static int cancelling(void)
{
    brg_error error;
    brg_token *token = NULL;
    brg_worker *worker = NULL;
    brg_exit end;
    if (brg_token_create(&token, &error) != BRG_OK)
        return fail(&error);
    brg_value *init = holding(token);
    brg_status status = brg_worker_create(&worker, brg_worker_opts(.entry = search, .init_data = init), &error);
    if (status != BRG_OK)
        brg_value_unref(init); /* taken only on success */
    brg_token_cancel(token);
    if (status == BRG_OK && brg_worker_wait(worker, BRG_FOREVER, &end) == BRG_OK)
        printf("the search ended: %s\n", brg_status_name(end.status));
    brg_worker_destroy(worker);
    brg_token_unref(token);
    return status == BRG_OK ? EXIT_SUCCESS : fail(&error);
}

/* ---- a broadcast ----------------------------------------------------------------------------------------------- */

static void on_news(brg_broadcast *news, brg_value *message, void *user_data)
{
    (void)user_data;
    printf("%s: %s\n", brg_broadcast_name(news), brg_view_string(brg_value_root(message), NULL));
    brg_broadcast_close(news); /* one is enough */
}

/* A worker that has news: it opens the same name and posts. */
static brg_status report_news(brg_context *context, void *argument)
{
    (void)argument;
    brg_broadcast *news = NULL;
    brg_value *message = NULL;
    brg_status status = brg_broadcast_open(&news, "news", NULL, NULL);
    if (status == BRG_OK)
        status = brg_value_string(&message, "soup is ready", NULL);
    if (status == BRG_OK && (status = brg_broadcast_post(news, message, BRG_FOREVER, NULL)) != BRG_OK)
        brg_value_unref(message); /* taken only on success */
    brg_broadcast_close(news);
    return status == BRG_OK ? BRG_OK : brg_context_fail(context, 1, "no news: %s", brg_status_text(status));
}

/* ---- a message by id ------------------------------------------------------------------------------------------- */

static brg_status on_direct(uint64_t from, const brg_value *message, void *user_data, brg_error *error)
{
    (void)user_data;
    (void)from;
    int64_t number = 0;
    if (brg_view_int(brg_value_root(message), &number) != BRG_OK)
        return brg_error_set(error, BRG_FAILED, "example", "a number is wanted");
    printf("a worker sent %d\n", (int)number);
    return BRG_OK;
}

/* Sends the program two messages. For the second it hears that the handler refused. */
static brg_status report_directly(brg_context *context, void *argument)
{
    (void)argument;
    brg_error error;
    brg_value *good = NULL, *bad = NULL;
    if (brg_value_int(&good, 7, NULL) != BRG_OK || brg_value_nil(&bad, NULL) != BRG_OK) {
        brg_value_unref(good);
        return brg_context_fail(context, 1, "no memory");
    }
    if (brg_worker_post_to(BRG_PROGRAM_ID, good, BRG_FOREVER, &error) != BRG_OK)
        brg_value_unref(good); /* taken only on success */
    if (brg_worker_post_to(BRG_PROGRAM_ID, bad, BRG_FOREVER, &error) != BRG_OK) {
        printf("it heard: %s: %s\n", brg_status_name(error.status), error.message);
        brg_value_unref(bad);
    }
    return BRG_OK;
}

/* One worker on the loop, until it has ended and nothing else keeps the loop. */
static int run_on(brg_loop *loop, brg_worker_fn entry)
{
    brg_error error;
    brg_worker *worker = NULL;
    if (brg_worker_create(&worker, brg_worker_opts(.loop = loop, .entry = entry), &error) != BRG_OK)
        return fail(&error);
    brg_loop_run(loop);
    brg_worker_destroy(worker);
    return EXIT_SUCCESS;
}

static int broadcasting(brg_loop *loop)
{
    brg_error error;
    brg_broadcast *news = NULL;
    if (brg_broadcast_open(&news, "news", brg_broadcast_opts(.loop = loop, .on_message = on_news), &error) != BRG_OK)
        return fail(&error);
    return run_on(loop, report_news); /* on_news closes it */
}

static int answering(brg_loop *loop)
{
    brg_error error;
    brg_direct_handler *handler = NULL;
    if (brg_direct_handle(&handler, brg_direct_handler_opts(.loop = loop, .on_direct = on_direct), &error) != BRG_OK)
        return fail(&error);
    int code = run_on(loop, report_directly);
    brg_direct_unhandle(handler);
    return code;
}

int main(void)
{
    brg_error error;
    brg_loop *loop = NULL;
    if (brg_loop_create(&loop, NULL, &error) != BRG_OK)
        return fail(&error);
    int code = moving();
    if (code == EXIT_SUCCESS)
        code = reading();
    if (code == EXIT_SUCCESS)
        code = cancelling();
    if (code == EXIT_SUCCESS)
        code = broadcasting(loop);
    if (code == EXIT_SUCCESS)
        code = answering(loop);
    brg_loop_destroy(loop);
    return code;
}
