/* SPDX-License-Identifier: MIT */
/*
 * Marks and references. A mark on a finished node is its offset. One on an open container is not known by offset before
 * that closes: until then its refs hold the number of the mark (and `zero` is 1, which no finished value has), and wait
 * in `open_refs`, from which closing the container takes them.
 */
#include "message/builder.h"
#include "os/memory.h"

bool brg__refs_push(brg_builder *builder, brg__builder_ref **refs, uint32_t *count, uint32_t *capacity,
                    brg__builder_ref ref)
{
    if (*count == *capacity) {
        uint32_t wanted = *capacity == 0 ? 8 : *capacity * 2;
        brg__builder_ref *grown = brg__realloc(*refs, (size_t)wanted * sizeof(*grown));
        if (grown == NULL) {
            brg__builder_fail_memory(builder);
            return false;
        }
        *refs = grown;
        *capacity = wanted;
    }
    (*refs)[(*count)++] = ref;
    return true;
}

brg_mark brg_builder_mark(brg_builder *builder)
{
    const brg__builder_frame *frame = builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;
    uint32_t own = frame != NULL && frame->type == BRG_TYPE_ERROR ? BRG__ERROR_DETAIL : 0;
    return brg__builder_mark(builder, frame != NULL && builder->children.count == frame->first + own);
}

brg_mark brg__builder_mark(brg_builder *builder, bool is_open)
{
    brg_mark none = {0, 0};
    if (builder->failure.status != BRG_OK)
        return none;
    brg__builder_frame *frame = builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;
    if (is_open && frame->mark != 0)
        return (brg_mark){frame->mark, builder->generation};
    if (!is_open && builder->children.count == 0) {
        brg__builder_fail(builder, BRG_STATE, "there is no node to mark yet");
        return none;
    }
    uint32_t offset = is_open ? BRG__MARK_OPEN : builder->children.at[builder->children.count - 1];
    if (!is_open) {
        brg__head node = brg__flat_head(builder->value->block, offset);
        if (node.type == BRG__TAG_REF && node.zero != 0)
            return (brg_mark){node.count + 1, builder->generation};
        offset = brg__flat_resolve(builder->value->block, offset);
    }
    if (!brg__offsets_push(builder, &builder->marks, offset))
        return none;
    if (is_open)
        frame->mark = builder->marks.count;
    return (brg_mark){builder->marks.count, builder->generation};
}

void brg_builder_ref(brg_builder *builder, brg_mark mark)
{
    if (builder->failure.status != BRG_OK)
        return;
    if (mark.number == 0 || mark.generation != builder->generation || mark.number > builder->marks.count) {
        brg__builder_fail(builder, BRG_INVALID, "a mark that was not made in this value");
        return;
    }
    uint32_t target = builder->marks.at[mark.number - 1];
    bool is_open = target == BRG__MARK_OPEN;
    uint8_t height = 0;
    if (!is_open) {
        brg__head node = brg__flat_head(builder->value->block, target);
        height = brg__head_is_container(node) ? node.extra : 0;
        if (builder->want == BRG__WANT_VALUE && !brg__builder_raise(builder, height))
            return;
    } else if (!brg__refs_push(builder, &builder->open_refs, &builder->open_ref_count, &builder->open_ref_capacity,
                               (brg__builder_ref){builder->used, mark.number - 1})) {
        return;
    }
    unsigned char *at = brg__builder_append(builder, BRG__HEAD_BYTES);
    if (at == NULL)
        return;
    brg__head node = {BRG__TAG_REF, height, is_open, is_open ? mark.number - 1 : target};
    memcpy(at, &node, sizeof(node));
    builder->has_refs = true;
}

void brg__builder_close_mark(brg_builder *builder, const brg__builder_frame *frame, uint32_t offset)
{
    uint32_t number = frame->mark - 1, kept = frame->ref_first;
    builder->marks.at[number] = offset;
    for (uint32_t i = kept; i < builder->open_ref_count; i++) {
        brg__builder_ref ref = builder->open_refs[i];
        if (ref.number == number)
            brg__builder_put(builder->value->block + ref.offset, BRG__TAG_REF, 0, offset);
        else
            builder->open_refs[kept++] = ref;
    }
    builder->open_ref_count = kept;
}
