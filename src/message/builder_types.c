/* SPDX-License-Identifier: MIT */
/* Big integers, typed arrays and errors: building and reading. */
#include "message/builder.h"
#include "message/graph.h"
#include "message/utf8.h"

void brg_builder_bigint(brg_builder *builder, bool negative, const void *magnitude, size_t size_bytes)
{
    const unsigned char *bytes = magnitude;
    while (size_bytes > 0 && bytes[size_bytes - 1] == 0)
        size_bytes--;
    if (size_bytes > BRG_VALUE_BYTES_MAX) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "a big integer of %zu bytes does not fit into a value", size_bytes);
        return;
    }
    uint64_t size = brg__align_up(BRG__HEAD_BYTES + size_bytes, 8);
    unsigned char *at = brg__builder_append(builder, size);
    if (at == NULL)
        return;
    brg__builder_put_u64(at + size - sizeof(uint64_t), 0);
    brg__builder_put(at, BRG_TYPE_BIGINT, negative && size_bytes > 0, (uint32_t)size_bytes);
    if (size_bytes > 0)
        memcpy(at + BRG__HEAD_BYTES, bytes, size_bytes);
}

size_t brg_element_bytes(brg_element element) { return brg__element_size((uint32_t)element); }

const char *brg_element_name(brg_element element)
{
    static const char *const names[] = {"?", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"};
    return brg__element_size((uint32_t)element) != 0 ? names[element] : "?";
}

/* Bytes of an element, or 0 with a failure stuck. */
static uint32_t array_element(brg_builder *builder, brg_element element)
{
    uint32_t size = brg__element_size((uint32_t)element);
    if (size == 0)
        brg__builder_fail(builder, BRG_INVALID, "%d is no element type", (int)element);
    return size;
}

void brg_builder_array(brg_builder *builder, brg_element element, const void *elements, size_t count)
{
    uint32_t element_size = array_element(builder, element);
    if (element_size == 0)
        return;
    if (count > BRG_VALUE_BYTES_MAX / element_size) {
        brg__builder_fail(builder, BRG_TOO_LARGE, "%zu elements do not fit into a value; put them into a buffer",
                          count);
        return;
    }
    uint64_t size = brg__align_up(BRG__HEAD_BYTES + (uint64_t)count * element_size, 8);
    unsigned char *at = brg__builder_append(builder, size);
    if (at == NULL)
        return;
    brg__builder_put_u64(at + size - sizeof(uint64_t), 0);
    brg__builder_put(at, BRG_TYPE_ARRAY, (uint8_t)element, (uint32_t)count);
    if (count > 0)
        memcpy(at + BRG__HEAD_BYTES, elements, count * element_size);
}

static bool array_fits(brg_builder *builder, uint32_t element_size, const brg_buffer *buffer, size_t offset,
                       size_t count)
{
    size_t size = brg_buffer_size(buffer);
    if (offset > size || count > (size - offset) / element_size) {
        brg__builder_fail(builder, BRG_RANGE,
                          "%zu elements of %u bytes from byte %zu on are past the %zu of the buffer", count,
                          element_size, offset, size);
        return false;
    }
    if (offset % element_size != 0 || (uintptr_t)brg_buffer_bytes(buffer) % element_size != 0) {
        brg__builder_fail(builder, BRG_INVALID, "an array of elements of %u bytes needs their alignment", element_size);
        return false;
    }
    return true;
}

void brg_builder_array_buffer(brg_builder *builder, brg_element element, brg_buffer **buffer, size_t offset,
                              size_t count)
{
    uint32_t element_size = array_element(builder, element), index;
    if (element_size == 0)
        return;
    if (buffer == NULL || *buffer == NULL) {
        brg__builder_fail(builder, BRG_INVALID, "a buffer is NULL, perhaps since it moved away before");
        return;
    }
    if (!array_fits(builder, element_size, *buffer, offset, count))
        return;
    unsigned char *at = brg__builder_append(builder, BRG__HEAD_BYTES + 2 * sizeof(uint64_t));
    if (at == NULL || !brg__builder_add_object(builder, BRG_TYPE_BUFFER, *buffer, -1, &index))
        return;
    brg__builder_put(at, BRG_TYPE_ARRAY, (uint8_t)element | BRG__ARRAY_OUTSIDE, index);
    brg__builder_put_u64(at + 8, offset);
    brg__builder_put_u64(at + 16, count);
    *buffer = NULL;
}

/* Text of a field of an error, which is UTF-8 in a value: what is not, as a message cut in a character, ends there. */
static void error_text(brg_builder *builder, const char *text, size_t size_max)
{
    size_t size = strnlen(text, size_max);
    size_t good = 0;
    while (good < size) {
        size_t step = brg__utf8_step(text + good, size - good);
        if (step == 0)
            break;
        good += step;
    }
    brg_builder_string_n(builder, text, good);
}

void brg_builder_error_open(brg_builder *builder, const brg_error *error)
{
    if (error == NULL) {
        brg__builder_fail(builder, BRG_INVALID, "an error is NULL; brg_builder_nil stores none");
        return;
    }
    brg__builder_open(builder, BRG_TYPE_ERROR);
    const int64_t numbers[BRG__ERROR_NUMBERS] = {error->status, error->code,      error->os_errno,
                                                 error->signal, error->exit_code, error->attempt};
    for (size_t i = 0; i < BRG__ERROR_NUMBERS; i++)
        brg_builder_int(builder, numbers[i]);
    error_text(builder, error->domain, sizeof(error->domain) - 1);
    error_text(builder, error->message, sizeof(error->message) - 1);
    error_text(builder, error->backtrace, sizeof(error->backtrace) - 1);
}

void brg_builder_error(brg_builder *builder, const brg_error *error)
{
    brg_builder_error_open(builder, error);
    brg_builder_end(builder);
}

static bool view_is_error(brg_view view) { return brg_view_type(view) == BRG_TYPE_ERROR; }

static int64_t error_number(brg_view view, size_t index, int64_t low, int64_t high)
{
    int64_t number = 0;
    brg_view_int(brg__view_child(view, index), &number);
    return number < low ? low : number > high ? high : number;
}

/* Cut where it is too long, but not inside a character. */
static void error_copy_text(brg_view view, size_t index, char *to, size_t to_bytes)
{
    size_t size = 0;
    const char *text = brg_view_string(brg__view_child(view, index), &size);
    if (size >= to_bytes) {
        size = to_bytes - 1;
        while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
            size--;
    }
    memcpy(to, text, size);
    to[size] = '\0';
}

brg_status brg_view_error(brg_view view, brg_error *out)
{
    if (!view_is_error(view))
        return BRG_WRONG_TYPE;
    memset(out, 0, sizeof(*out));
    out->status = (brg_status)error_number(view, 0, INT32_MIN, INT32_MAX);
    out->code = error_number(view, 1, INT64_MIN, INT64_MAX);
    out->os_errno = (int)error_number(view, 2, INT32_MIN, INT32_MAX);
    out->signal = (int)error_number(view, 3, INT32_MIN, INT32_MAX);
    out->exit_code = (int)error_number(view, 4, INT32_MIN, INT32_MAX);
    out->attempt = (uint32_t)error_number(view, 5, 0, UINT32_MAX);
    error_copy_text(view, 6, out->domain, sizeof(out->domain));
    error_copy_text(view, 7, out->message, sizeof(out->message));
    error_copy_text(view, 8, out->backtrace, sizeof(out->backtrace));
    return BRG_OK;
}

brg_view brg_view_error_detail(brg_view view)
{
    return view_is_error(view) ? brg__view_child(view, BRG__ERROR_DETAIL) : (brg_view){NULL, 0, 0};
}

brg_view brg_view_error_cause(brg_view view)
{
    return view_is_error(view) ? brg__view_child(view, BRG__ERROR_CAUSE) : (brg_view){NULL, 0, 0};
}
