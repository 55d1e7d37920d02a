/* SPDX-License-Identifier: MIT */
/* A task that ends at once as often as its input says, in this process, and then never, until it is cancelled. */
#include <brigade/module.h>

#include <poll.h>
#include <stdatomic.h>

static brg_status tiring_work(brg_context *context, const brg_value *input, brg_value **output)
{
    static _Atomic int64_t done;
    int64_t good = 0;
    (void)output;
    if (input == NULL || brg_view_int(brg_value_root(input), &good) != BRG_OK)
        return brg_context_fail(context, 0, "how often?");
    if (atomic_fetch_add(&done, 1) < good)
        return BRG_OK;
    struct pollfd cancelled = {.fd = brg_context_cancel_fd(context), .events = POLLIN};
    while (!brg_context_cancelled(context))
        (void)poll(&cancelled, 1, -1);
    return BRG_CANCELLED;
}

BRG_MODULE(tiring, .tasks = BRG_TASKS({"work", tiring_work}));
