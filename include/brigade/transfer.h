/* SPDX-License-Identifier: MIT */
/*
 * Transfer lists: handles that move into a value all together or not at all.
 *     brg_transfer list[] = {brg_transfer_buffer(&pixels), brg_transfer_port(&answers)};
 *     brg_builder_map(b);
 *     brg_builder_key(b, "pixels"); brg_builder_transfer(b, 0);
 *     brg_builder_key(b, "answers"); brg_builder_transfer(b, 1);
 *     brg_builder_end(b);
 *     brg_builder_finish_transfer(b, list, 2, &value, &error);   // pixels and answers are NULL now, or both as before
 */
#ifndef BRIGADE_TRANSFER_H
#define BRIGADE_TRANSFER_H

#include <brigade/port.h>
#include <brigade/value.h>

#ifdef __cplusplus
extern "C" {
#endif

struct brg_token;

/* One entry: the variable that holds the handle, and will be NULL, or -1, once it has moved. */
typedef struct brg_transfer {
    brg_type type;
    void *variable;
} brg_transfer;

static inline brg_transfer brg_transfer_buffer(brg_buffer **buffer)
{
    brg_transfer transfer = {BRG_TYPE_BUFFER, buffer};
    return transfer;
}

static inline brg_transfer brg_transfer_port(brg_port **port)
{
    brg_transfer transfer = {BRG_TYPE_PORT, port};
    return transfer;
}

static inline brg_transfer brg_transfer_fd(int *fd)
{
    brg_transfer transfer = {BRG_TYPE_FD, fd};
    return transfer;
}

static inline brg_transfer brg_transfer_token(struct brg_token **token)
{
    brg_transfer transfer = {BRG_TYPE_TOKEN, token};
    return transfer;
}

/* A node for entry `index` of the list that will be given to brg_builder_finish_transfer; several may name one entry.
 * */
BRG_API void brg_builder_transfer(brg_builder *builder, size_t index);

/*
 * brg_builder_finish for a value with transfers: on success all entries have moved, those without a node too, and their
 * variables are NULL or -1. After an error all variables are untouched; what was put in by brg_builder_buffer and the
 * like is released with the rest of the builder. Errors, naming the entry: BRG_INVALID for a duplicate, for NULL, -1 or
 * a closed descriptor, and where a node names an index past the list; BRG_CLOSED for a closed port; BRG_STATE for a
 * started one; and those of brg_builder_finish.
 */
BRG_API brg_status brg_builder_finish_transfer(brg_builder *builder, const brg_transfer *list, size_t count,
                                               brg_value **out, brg_error *error);

#ifdef __cplusplus
}
#endif

#endif
