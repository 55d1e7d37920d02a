/* SPDX-License-Identifier: MIT */
/*
 * Cancel tokens: a shared memory of one word, 0 until it is cancelled, and waits on that word.
 *
 * A watch is an asynchronous wait and a flag. `cancelled` runs unless the flag says that the watch was destroyed; on
 * the loop's thread both happen on one thread, so that it cannot run after destroy. One reference is the handle's,
 * one the wait's.
 */
#include "base/options.h"
#include "message/shared.h"
#include "os/atomic.h"
#include "os/memory.h"

struct brg_token {
    uint32_t xrefs;
    brg_shared *shared;
    uint32_t *xcancelled; /* in it */
};

struct brg_token_watch {
    uint32_t xrefs;
    uint32_t xdestroyed;
    brg_shared_wait *wait;
    brg_token_watch_options options;
};

static const brg__wait_key token_key = {.offset = 0, .width = sizeof(uint32_t), .expected = 0};

brg_status brg__token_from_shared(brg_token **out, brg_shared *shared, brg_error *error)
{
    if (brg_shared_size(shared) < sizeof(uint32_t))
        return brg_error_set(error, BRG_MALFORMED, "token", "the shared memory is too small for a token");
    brg_token *token = brg__malloc(sizeof(*token));
    if (token == NULL)
        return brg__error_memory(error, "a token");
    *token = (brg_token){.xrefs = 1, .shared = shared, .xcancelled = brg_shared_data(shared)};
    *out = token;
    return BRG_OK;
}

brg_status brg_token_create(brg_token **out, brg_error *error)
{
    if (out == NULL)
        return brg_error_set(error, BRG_INVALID, "token", "out must not be NULL");
    brg_shared *shared = NULL;
    brg_status status = brg_shared_create(&shared, brg_shared_opts(.size_bytes = sizeof(uint32_t)), error);
    if (status != BRG_OK)
        return status;
    status = brg__token_from_shared(out, shared, error);
    if (status != BRG_OK)
        brg_shared_unref(shared);
    return status;
}

brg_token *brg_token_ref(brg_token *token)
{
    brg_add_relaxed(&token->xrefs, 1u);
    return token;
}

void brg_token_unref(brg_token *token)
{
    if (token == NULL || brg_sub_acq_rel(&token->xrefs, 1u) != 1)
        return;
    brg_shared_unref(token->shared);
    brg__mfree(token);
}

brg_shared *brg__token_shared(brg_token *token) { return token->shared; }

void brg_token_cancel(brg_token *token)
{
    /* Pairs with the load below. */
    if (brg_exchange_seq_cst(token->xcancelled, 1u) == 0)
        brg_shared_notify(token->shared, 0, UINT32_MAX, NULL);
}

bool brg_token_is_cancelled(const brg_token *token)
{
    return token != NULL && brg_load_acquire(token->xcancelled) != 0;
}

brg_status brg_token_wait(brg_token *token, uint64_t timeout_ns)
{
    brg_status status = brg_shared_wait32(token->shared, 0, 0, timeout_ns);
    return status == BRG_NOT_EQUAL ? BRG_OK : status;
}

/* ---- watches ----------------------------------------------------------------------------------------------- */

static void watch_unref(brg_token_watch *watch)
{
    if (brg_sub_acq_rel(&watch->xrefs, 1u) != 1)
        return;
    brg_shared_wait_unref(watch->wait);
    brg__mfree(watch);
}

static void watch_done(brg_status status, void *user_data)
{
    brg_token_watch *watch = user_data;
    if (status != BRG_CANCELLED && brg_load_acquire(&watch->xdestroyed) == 0)
        watch->options.cancelled(watch->options.user_data);
}

static void watch_release(void *user_data)
{
    brg_token_watch *watch = user_data;
    if (watch->options.release != NULL)
        watch->options.release(watch->options.user_data);
    watch_unref(watch);
}

static brg_status watch_start(brg_token *token, const brg_token_watch_options *options, brg_token_watch **out,
                              brg_error *error)
{
    brg_token_watch *watch = brg__calloc(1, sizeof(*watch));
    if (watch == NULL)
        return brg__error_memory(error, "a watch on a token");
    watch->xrefs = 2;
    watch->options = *options;
    const brg_shared_wait_options wait = {.size = sizeof(wait),
                                          .loop = options->loop,
                                          .timeout_ns = BRG_FOREVER,
                                          .is_background = options->is_background,
                                          .done = watch_done,
                                          .release = watch_release,
                                          .user_data = watch};
    brg_status status = brg__shared_wait_begin(token->shared, &token_key, &wait, true, &watch->wait, error);
    if (status != BRG_OK) {
        brg__mfree(watch);
        return status;
    }
    if (out != NULL)
        *out = watch;
    else
        watch_unref(watch);
    return BRG_OK;
}

brg_status brg_token_on_cancel(brg_token *token, const brg_token_watch_options *options, brg_token_watch **out,
                               brg_error *error)
{
    brg_token_watch_options read;
    brg_status status = brg__options_read(&read, sizeof(read), options, "brg_token_watch_options", error);
    if (status != BRG_OK)
        return status;
    if (read.loop == NULL || read.cancelled == NULL)
        return brg_error_set(error, BRG_INVALID, "token", "brg_token_watch_options: loop and cancelled are needed");
    return watch_start(token, &read, out, error);
}

brg_status brg__token_watch(brg_token *token, void (*cancelled)(void *user_data), void (*release)(void *user_data),
                            void *user_data, brg_token_watch **out, brg_error *error)
{
    const brg_token_watch_options options = {
        .size = sizeof(options), .cancelled = cancelled, .release = release, .user_data = user_data};
    return watch_start(token, &options, out, error);
}

void brg_token_watch_destroy(brg_token_watch *watch)
{
    if (watch == NULL)
        return;
    brg_store_release(&watch->xdestroyed, 1u); /* pairs with the load in watch_done */
    brg_shared_wait_cancel(watch->wait);
    watch_unref(watch);
}
