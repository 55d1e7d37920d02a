/* SPDX-License-Identifier: MIT */
#include "marks.h"

#include "base/random.h"
#include "plug.h"

void marks_burn(uint32_t turns)
{
    for (uint32_t i = 0; i < turns; i++)
        __asm__ __volatile__("");
}

brg_status marks_range(brg_context *context, size_t first, size_t end, void *state)
{
    marks *m = state;
    bool too_small = end - first < m->chunk_min && end != m->count;
    bool too_large = m->chunk_max != 0 && end - first > m->chunk_max;
    if (context == NULL || first >= end || end > m->count || too_small || too_large)
        __atomic_fetch_add(&m->xbad, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&m->xclosed, __ATOMIC_RELAXED) != 0)
        __atomic_fetch_add(&m->xafter, 1, __ATOMIC_RELAXED);
    for (size_t i = first; i < end; i++) {
        __atomic_fetch_add(&m->xcounts[i], 1, __ATOMIC_RELAXED);
        marks_burn((uint32_t)(brg__random_mix(i) % (m->work + 1)));
        if (i == m->cancels_at)
            brg_token_cancel(m->token);
    }
    if (m->fails_at >= first && m->fails_at < end)
        return brg_context_fail(context, 7, "at %zu", m->fails_at);
    return BRG_OK;
}

marks marks_new(size_t count)
{
    marks m = {.count = count, .fails_at = SIZE_MAX, .cancels_at = SIZE_MAX};
    m.xcounts = calloc(count + 1, 1);
    assert_non_null(m.xcounts);
    return m;
}

size_t marks_end(marks *m)
{
    size_t ran = 0;
    flag_set(&m->xclosed);
    for (size_t i = 0; i < m->count; i++) {
        assert_in_range(m->xcounts[i], 0, 1);
        ran += m->xcounts[i];
    }
    assert_int_equal(m->xbad, 0);
    return ran;
}

void marks_free(marks *m)
{
    assert_int_equal(m->xafter, 0);
    free(m->xcounts);
}

brg_status marks_count(brg_context *context, size_t first, size_t end, void *state)
{
    (void)context;
    __atomic_fetch_add((uint64_t *)state, end - first, __ATOMIC_RELAXED);
    return BRG_OK;
}
