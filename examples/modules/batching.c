/* SPDX-License-Identifier: MIT */
/* A module whose task takes many inputs at once, as a model or a database does: the price of each of many articles. */
#include <brigade.h>

static brg_status look_up(brg_context *context, brg_batch *batch)
{
    (void)context;
    uint32_t count = brg_batch_count(batch);
    for (uint32_t i = 0; i < count; i++) { /* here would be one query for all */
        int64_t article = 0;
        brg_value *price = NULL;
        if (brg_view_int(brg_value_root(brg_batch_input(batch, i)), &article) != BRG_OK || article < 0)
            brg_batch_fail(batch, i, BRG_FAILED, article, NULL, "no such article");
        else if (brg_value_map(&price, NULL, brg_field_int("price", article * 100), brg_field_int("with", count)) ==
                 BRG_OK)
            brg_batch_succeed(batch, i, price);
    }
    return BRG_NO_MEMORY; /* of those that have no answer */
}

BRG_MODULE(batching, .batch_tasks = BRG_BATCH_TASKS({"look_up", look_up}));
