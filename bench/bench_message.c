/* SPDX-License-Identifier: MIT */
/*
 * Messages between an owner and its workers, and between workers: bench/message_module.c is what those do. Each
 * subcommand has its peer of the same name in bench/peers/threads.mjs; that of refill is copy.
 */
#include <string.h>

#include <brigade.h>
#include <brigade/broadcast.h>
#include <brigade/port.h>
#include <brigade/shared.h>

#include "harness.h"
#include "message.h"
#include "tree.h"

#define MESSAGE_RECEIVERS 8
#define MESSAGE_BURST 256 /* broadcast between two looks at whether all have heard; below the limit of a queue */
#define MESSAGE_STRIDE 64 /* messages between two looks at the clock */
#define MESSAGE_BYTES_MAX ((size_t)256 << 20)

/* An owner, one worker, and what goes between them. */
typedef struct message_bench {
    brg_worker *worker;
    brg_builder *builder;
    size_t size_bytes;  /* of each message; 0: a number */
    uint8_t *bytes;     /* of that size */
    brg_buffer *buffer; /* of that size, where it is one that travels */
    uint8_t stamp;
    brg_shared *shared;
    uint32_t turn;
} message_bench;

static void message_check(brg_status status, const brg_error *error, const char *what)
{
    if (status != BRG_OK)
        bench_fail("%s: %s: %s", what, brg_status_text(status), error != NULL ? error->message : "");
}

static brg_worker *message_worker(const char *isolation, const char *module, const char *role)
{
    brg_error error;
    brg_worker *worker = NULL;
    const char *const arguments[] = {role, NULL};
    bool process = strcmp(isolation, "process") == 0;
    if (!process && strcmp(isolation, "thread") != 0)
        bench_fail("neither thread nor process: %s", isolation);
    const brg_worker_options *options = brg_worker_opts(.module = module,
                                                        .isolation = process ? BRG_ISOLATION_PROCESS
                                                                             : BRG_ISOLATION_THREAD,
                                                        .arguments = arguments, .message_bytes_max = MESSAGE_BYTES_MAX);
    message_check(brg_worker_create(&worker, options, &error), &error, "brg_worker_create");
    message_check(brg_worker_wait_online(worker, BRG_SECONDS(30), &error), &error, "brg_worker_wait_online");
    return worker;
}

/* The first two arguments: isolation and module. */
static void message_open(message_bench *bench, int argc, char **argv, const char *role)
{
    brg_error error;
    memset(bench, 0, sizeof(*bench));
    bench->worker = message_worker(bench_argument(argc, argv, 0, "isolation"), bench_argument(argc, argv, 1, "module"),
                                   role);
    message_check(brg_builder_create(&bench->builder, &error), &error, "brg_builder_create");
}

/* The third argument: the bytes of a message. */
static void message_size(message_bench *bench, int argc, char **argv)
{
    bench->size_bytes = (size_t)strtoull(bench_argument(argc, argv, 2, "bytes"), NULL, 10);
}

static void message_close(message_bench *bench)
{
    brg_worker_destroy(bench->worker);
    brg_builder_destroy(bench->builder);
    brg_buffer_unref(bench->buffer);
    brg_shared_unref(bench->shared);
    free(bench->bytes);
}

static brg_value *message_built(brg_builder *builder)
{
    brg_error error;
    brg_value *message = NULL;
    message_check(brg_builder_finish(builder, &message, &error), &error, "brg_builder_finish");
    return message;
}

static void message_post(brg_worker *worker, brg_value *message)
{
    brg_error error;
    message_check(brg_worker_post(worker, message, BRG_FOREVER, &error), &error, "brg_worker_post");
}

static void message_post_nil(message_bench *bench, brg_worker *worker)
{
    brg_builder_nil(bench->builder);
    message_post(worker, message_built(bench->builder));
}

static brg_value *message_receive(brg_worker *worker)
{
    brg_value *message = NULL;
    message_check(brg_worker_receive(worker, &message, BRG_FOREVER), NULL, "brg_worker_receive");
    return message;
}

static void message_await(brg_worker *worker) { brg_value_unref(message_receive(worker)); }

/* ---- numbers and bytes ------------------------------------------------------------------------------------- */

static brg_value *message_payload(message_bench *bench)
{
    if (bench->size_bytes == 0)
        brg_builder_int(bench->builder, 42);
    else
        brg_builder_bytes(bench->builder, bench->bytes, bench->size_bytes);
    return message_built(bench->builder);
}

static void message_echo_round(void *state)
{
    message_bench *bench = state;
    message_post(bench->worker, message_payload(bench));
    message_await(bench->worker);
}

static void message_echo(int argc, char **argv)
{
    message_bench bench;
    message_open(&bench, argc, argv, "echo");
    message_size(&bench, argc, argv);
    bench.bytes = bench_alloc(bench.size_bytes + 1);
    bench_round_trips("hot", message_echo_round, &bench);
    message_close(&bench);
}

/* Posts for so long, waits until all have arrived, and gives the messages per second. */
static double message_rate_window(message_bench *bench, uint64_t window_ns)
{
    uint64_t count = 0;
    uint64_t start_ns = bench_now_ns();
    while (bench_now_ns() - start_ns < window_ns) {
        for (int i = 0; i < MESSAGE_STRIDE; i++)
            message_post(bench->worker, message_payload(bench));
        count += MESSAGE_STRIDE;
    }
    message_post_nil(bench, bench->worker);
    message_await(bench->worker);
    return (double)count * 1e9 / (double)(bench_now_ns() - start_ns);
}

static void message_rate(int argc, char **argv)
{
    message_bench bench;
    message_open(&bench, argc, argv, "count");
    message_size(&bench, argc, argv);
    bench.bytes = bench_alloc(bench.size_bytes + 1);
    message_rate_window(&bench, BENCH_WINDOW_NS / 10);
    bench_print("rate", message_rate_window(&bench, BENCH_WINDOW_NS));
    message_close(&bench);
}

/* ---- buffers ----------------------------------------------------------------------------------------------- */

static void message_buffer(message_bench *bench, int argc, char **argv)
{
    brg_error error;
    message_size(bench, argc, argv);
    message_check(brg_buffer_create(&bench->buffer, bench->size_bytes, &error), &error, "brg_buffer_create");
    memset(brg_buffer_data(bench->buffer), 1, bench->size_bytes);
    bench->stamp = 1;
}

static void message_copy_round(void *state)
{
    message_bench *bench = state;
    brg_error error;
    brg_buffer *copy = NULL;
    message_check(brg_worker_buffer(bench->worker, bench->size_bytes, &copy, &error), &error, "brg_worker_buffer");
    memcpy(brg_buffer_data(copy), brg_buffer_bytes(bench->buffer), bench->size_bytes);
    brg_builder_buffer(bench->builder, &copy);
    message_post(bench->worker, message_built(bench->builder));
    message_await(bench->worker);
}

static void message_copy(int argc, char **argv)
{
    message_bench bench;
    message_open(&bench, argc, argv, "answer");
    message_buffer(&bench, argc, argv);
    bench_round_trips("hot", message_copy_round, &bench);
    message_close(&bench);
}

/* There and back; the worker leaves a mark at both ends, so that it is known to have had these bytes. */
static void message_move_round(void *state)
{
    message_bench *bench = state;
    brg_builder_buffer(bench->builder, &bench->buffer);
    message_post(bench->worker, message_built(bench->builder));
    brg_value *answer = message_receive(bench->worker);
    brg_buffer *buffer = brg_view_buffer(brg_value_root(answer));
    const uint8_t *bytes = buffer != NULL ? brg_buffer_bytes(buffer) : NULL;
    bench->stamp++;
    if (bytes == NULL || bytes[0] != bench->stamp || bytes[bench->size_bytes - 1] != bench->stamp)
        bench_fail("the buffer came back different");
    bench->buffer = brg_buffer_ref(buffer);
    brg_value_unref(answer);
}

static void message_move(int argc, char **argv)
{
    message_bench bench;
    message_open(&bench, argc, argv, "stamp");
    message_buffer(&bench, argc, argv);
    bench_round_trips("hot", message_move_round, &bench);
    message_close(&bench);
}

/* The same copy into a buffer that comes back each time, as a program does that sends many. */
static void message_refill_round(void *state)
{
    message_bench *bench = state;
    memcpy(brg_buffer_data(bench->buffer), bench->bytes, bench->size_bytes);
    bench->stamp = 0;
    message_move_round(bench);
}

static void message_refill(int argc, char **argv)
{
    message_bench bench;
    message_open(&bench, argc, argv, "stamp");
    message_buffer(&bench, argc, argv);
    bench.bytes = bench_alloc(bench.size_bytes);
    bench_round_trips("hot", message_refill_round, &bench);
    message_close(&bench);
}

/* ---- the tree ---------------------------------------------------------------------------------------------- */

static void message_tree_round(void *state)
{
    message_bench *bench = state;
    int64_t sum = 0;
    message_post(bench->worker, bench_tree_encode(bench->builder));
    brg_value *answer = message_receive(bench->worker);
    if (brg_view_int(brg_value_root(answer), &sum) != BRG_OK || sum != BENCH_TREE_SUM)
        bench_fail("the tree arrived different");
    brg_value_unref(answer);
}

static void message_tree(int argc, char **argv)
{
    message_bench bench;
    message_open(&bench, argc, argv, "sum");
    bench_round_trips("hot", message_tree_round, &bench);
    message_close(&bench);
}

/* ---- worker to worker -------------------------------------------------------------------------------------- */

static void message_send_port(brg_builder *builder, brg_worker *worker, brg_port **port)
{
    brg_builder_port(builder, port);
    message_post(worker, message_built(builder));
}

/* The isolations of the one that asks and of the one that answers, and their module. */
static void message_channel(int argc, char **argv)
{
    brg_error error;
    brg_port *one = NULL;
    brg_port *other = NULL;
    brg_builder *builder = NULL;
    const char *module = bench_argument(argc, argv, 2, "module");
    brg_worker *driver = message_worker(bench_argument(argc, argv, 0, "isolation"), module, "port-drive");
    brg_worker *echo = message_worker(bench_argument(argc, argv, 1, "isolation"), module, "port-echo");
    message_check(brg_builder_create(&builder, &error), &error, "brg_builder_create");
    message_check(brg_channel_create(&one, &other, NULL, &error), &error, "brg_channel_create");
    message_send_port(builder, echo, &one);
    message_send_port(builder, driver, &other);
    message_await(driver); /* it has printed what it measured */
    brg_worker_destroy(driver);
    brg_worker_destroy(echo);
    brg_builder_destroy(builder);
}

/* ---- wait and notify --------------------------------------------------------------------------------------- */

static void message_turn(brg_shared *shared, uint32_t turn)
{
    message_check(brg_shared_store32(shared, MESSAGE_PING_OFFSET, turn), NULL, "brg_shared_store32");
    message_check(brg_shared_notify(shared, MESSAGE_PING_OFFSET, 1, NULL), NULL, "brg_shared_notify");
}

static void message_notify_round(void *state)
{
    message_bench *bench = state;
    uint32_t seen = bench->turn++;
    uint32_t before = seen;
    message_turn(bench->shared, bench->turn);
    while (seen == before) { /* a notify may come late, for a turn that was seen already */
        brg_status status = brg_shared_wait32(bench->shared, MESSAGE_PONG_OFFSET, before, BRG_FOREVER);
        if (status != BRG_NOT_EQUAL)
            message_check(status, NULL, "brg_shared_wait32");
        message_check(brg_shared_load32(bench->shared, MESSAGE_PONG_OFFSET, &seen), NULL, "brg_shared_load32");
    }
    if (seen != bench->turn)
        bench_fail("a turn came back different");
}

static void message_notify(int argc, char **argv)
{
    brg_error error;
    message_bench bench;
    message_open(&bench, argc, argv, "notify");
    message_check(brg_shared_create(&bench.shared, brg_shared_opts(.size_bytes = MESSAGE_SHARED_BYTES), &error), &error,
                  "brg_shared_create");
    brg_builder_shared(bench.builder, bench.shared);
    message_post(bench.worker, message_built(bench.builder));
    message_await(bench.worker);
    bench_round_trips("hot", message_notify_round, &bench);
    message_turn(bench.shared, 0);
    message_close(&bench);
}

/* ---- broadcast --------------------------------------------------------------------------------------------- */

static void message_broadcast_post(brg_broadcast *broadcast, brg_builder *builder)
{
    brg_error error;
    message_check(brg_broadcast_post(broadcast, message_built(builder), BRG_FOREVER, &error), &error,
                  "brg_broadcast_post");
}

/* A burst, then an answer from each, so that no queue overflows. */
static void message_burst(brg_broadcast *broadcast, brg_builder *builder, brg_worker *const *workers)
{
    for (int64_t number = MESSAGE_BURST - 2; number >= -1; number--) {
        brg_builder_int(builder, number);
        message_broadcast_post(broadcast, builder);
    }
    for (size_t i = 0; i < MESSAGE_RECEIVERS; i++)
        message_await(workers[i]);
}

static void message_broadcast(int argc, char **argv)
{
    brg_error error;
    bench_flow flow;
    brg_builder *builder = NULL;
    brg_broadcast *broadcast = NULL;
    brg_worker *workers[MESSAGE_RECEIVERS];
    const char *isolation = bench_argument(argc, argv, 0, "isolation");
    const char *module = bench_argument(argc, argv, 1, "module");
    message_check(brg_builder_create(&builder, &error), &error, "brg_builder_create");
    message_check(brg_broadcast_open(&broadcast, "news", NULL, &error), &error, "brg_broadcast_open");
    for (size_t i = 0; i < MESSAGE_RECEIVERS; i++) {
        workers[i] = message_worker(isolation, module, "broadcast");
        brg_builder_string(builder, "news");
        message_post(workers[i], message_built(builder));
        message_await(workers[i]);
    }
    bench_flow_open(&flow);
    do {
        message_burst(broadcast, builder, workers);
    } while (bench_flow_next(&flow, 1));
    flow.finished *= (uint64_t)MESSAGE_RECEIVERS * MESSAGE_BURST;
    bench_flow_print(&flow, "rate");
    brg_builder_nil(builder);
    message_broadcast_post(broadcast, builder);
    for (size_t i = 0; i < MESSAGE_RECEIVERS; i++)
        brg_worker_destroy(workers[i]);
    brg_broadcast_close(broadcast);
    brg_builder_destroy(builder);
}

int main(int argc, char **argv)
{
    static const bench_command commands[] = {{"echo", message_echo},           {"rate", message_rate},
                                             {"copy", message_copy},           {"refill", message_refill},
                                             {"move", message_move},           {"tree", message_tree},
                                             {"channel", message_channel},     {"notify", message_notify},
                                             {"broadcast", message_broadcast}, {NULL, NULL}};
    return bench_main(commands, argc, argv);
}
