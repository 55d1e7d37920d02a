/* SPDX-License-Identifier: MIT */
/* brigade in an event loop of one's own: here epoll, in any other the same descriptor is watched the same way. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <brigade.h>

typedef struct square {
    int number;
    int result;
} square;

/* On a worker. */
static brg_status compute(brg_context *context, void *argument)
{
    (void)context;
    square *job = argument;
    job->result = job->number * job->number;
    return BRG_OK;
}

/* Inside brg_loop_dispatch. */
static void print(const brg_result *result, void *user_data)
{
    const square *job = user_data;
    if (result->status == BRG_OK)
        printf("%d * %d = %d\n", job->number, job->number, job->result);
    else
        fprintf(stderr, "%s\n", result->error->message);
}

static int fail(const brg_error *error)
{
    fprintf(stderr, "%s: %s\n", brg_status_name(error->status), error->message);
    return EXIT_FAILURE;
}

static int watch(int poller, brg_loop *loop)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = loop};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, brg_loop_fd(loop), &event) != 0)
        return EXIT_FAILURE;
    while (brg_loop_pending(loop) > 0) {
        int ready = epoll_wait(poller, &event, 1, -1);
        if (ready < 0 && errno != EINTR)
            return EXIT_FAILURE;
        if (ready > 0 && event.data.ptr == loop)
            brg_loop_dispatch(loop);
    }
    return EXIT_SUCCESS;
}

static int run(brg_loop *loop, brg_pool *pool)
{
    static square squares[] = {{.number = 3}, {.number = 4}, {.number = 5}};
    for (size_t i = 0; i < sizeof(squares) / sizeof(squares[0]); i++) {
        brg_status status = brg_pool_call(pool, compute, &squares[i], print, &squares[i]);
        if (status != BRG_OK) {
            fprintf(stderr, "%s\n", brg_status_text(status));
            return EXIT_FAILURE;
        }
    }
    int poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        return EXIT_FAILURE;
    int code = watch(poller, loop);
    close(poller);
    return code;
}

int main(void)
{
    brg_error error;
    brg_loop *loop = NULL;
    brg_pool *pool = NULL;
    if (brg_loop_create(&loop, brg_loop_opts(.external = true), &error) != BRG_OK)
        return fail(&error);
    if (brg_pool_create(&pool, brg_pool_opts(.loop = loop, .workers_max = 1), &error) != BRG_OK) {
        brg_loop_destroy(loop);
        return fail(&error);
    }
    int code = run(loop, pool);
    brg_pool_destroy(pool);
    brg_loop_destroy(loop);
    return code;
}
