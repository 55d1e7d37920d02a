/* SPDX-License-Identifier: MIT */
/*
 * A page for Prometheus about two pools, served by libmicrohttpd on this machine alone.
 *
 *     metrics_page PORT   serves http://127.0.0.1:PORT/metrics until it is interrupted; 0: any free port
 *     metrics_page        asks itself for the page, once, and prints some lines of it
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gate.h"

#define POOLS 2

/* One of ten fails. */
static brg_status work(brg_context *context, void *argument)
{
    uintptr_t number = (uintptr_t)argument;
    return number % 10 != 0 ? BRG_OK : brg_context_fail(context, 1, "number %u is round", (unsigned)number);
}

static void submit(brg_pool *const pools[POOLS], int count)
{
    for (int i = 0; i < count; i++)
        (void)brg_pool_call(pools[i % POOLS], work, (void *)(uintptr_t)i, NULL, NULL);
}

/* What all pools say of themselves, as text to be freed with brg_free; NULL: there is no memory. */
static char *page_text(brg_pool *const pools[POOLS], size_t *size)
{
    brg_metrics *metrics[POOLS] = {NULL};
    brg_status status = BRG_OK;
    char *text = NULL;
    for (int i = 0; i < POOLS && status == BRG_OK; i++)
        status = brg_pool_metrics(pools[i], &metrics[i], NULL);
    if (status == BRG_OK)
        (void)brg_metrics_prometheus((const brg_metrics *const *)metrics, POOLS, &text, size, NULL);
    for (int i = 0; i < POOLS; i++)
        brg_metrics_free(metrics[i]);
    return text;
}

/* A request came, on a thread of the server. */
static enum MHD_Result answer(void *pools, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **state)
{
    (void)version, (void)upload, (void)upload_size, (void)state;
    size_t size = 0;
    bool is_page = strcmp(method, "GET") == 0 && strcmp(url, "/metrics") == 0;
    char *text = is_page ? page_text(pools, &size) : NULL;
    unsigned code = !is_page ? MHD_HTTP_NOT_FOUND : text == NULL ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(size, text, brg_free);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, BRG_METRICS_CONTENT_TYPE);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static struct sockaddr_in local_address(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* As any client does: the whole answer, up to `size` bytes. */
static bool fetch(uint16_t port, char *to, size_t size)
{
    static const char request[] = "GET /metrics HTTP/1.0\r\n\r\n";
    struct sockaddr_in address = local_address(port);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool sent = client >= 0 && connect(client, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
                write(client, request, sizeof(request) - 1) == (ssize_t)sizeof(request) - 1;
    size_t used = 0;
    ssize_t got = 0;
    while (sent && used < size - 1 && (got = read(client, to + used, size - 1 - used)) > 0)
        used += (size_t)got;
    to[used] = '\0';
    if (client >= 0)
        close(client);
    return sent && got == 0;
}

/* The first line of the answer, and what it says of ends of tasks. */
static void print_some(char *text)
{
    char *rest = NULL;
    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest))
        if (line == text || strstr(line, "brigade_task_done_total") != NULL ||
            strncmp(line, "brigade_pool_tasks_failed_total", 31) == 0)
            puts(line);
}

int main(int argc, char **argv)
{
    static char text[1 << 18];
    brg_error error;
    brg_pool *pools[POOLS];
    struct sockaddr_in address = local_address(argc > 1 ? (uint16_t)atoi(argv[1]) : 0);
    must(brg_pool_create(&pools[0], brg_pool_opts(.name = "even", .workers_max = 2), &error), &error);
    must(brg_pool_create(&pools[1], brg_pool_opts(.name = "odd", .workers_max = 2), &error), &error);

    struct MHD_Daemon *server = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, pools,
                                                 MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
    if (server == NULL) {
        perror("metrics_page: cannot listen on 127.0.0.1");
        return EXIT_FAILURE;
    }
    uint16_t port = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port;
    submit(pools, 100);
    int failed = 0;
    if (argc > 1) {
        printf("http://127.0.0.1:%u/metrics\n", port);
        fflush(stdout);
        signal(SIGINT, SIG_DFL);
        for (;; sleep(1))
            submit(pools, 100); /* something to see */
    }
    for (int i = 0; i < POOLS; i++)
        brg_pool_wait_idle(pools[i], BRG_FOREVER);
    if (fetch(port, text, sizeof(text)))
        print_some(text);
    else
        failed = 1;
    MHD_stop_daemon(server);
    for (int i = 0; i < POOLS; i++)
        brg_pool_destroy(pools[i]);
    return failed;
}
