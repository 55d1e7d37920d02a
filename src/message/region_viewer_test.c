/* SPDX-License-Identifier: MIT */
/* Regions made for one worker: used again for it with what it left there, and for nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "message/region.h"
#include "os/atomic.h"

#define SIZE ((size_t)1 << 20)

static brg__region *take_for(uint64_t viewer)
{
    brg__region *region = NULL;
    assert_int_equal(brg__region_take_for(&region, SIZE, viewer, NULL), BRG_OK);
    return region;
}

/* A region of `viewer` with a mark in it, back in the cache; its id. */
static uint64_t used_before(uint64_t viewer)
{
    brg__region *region = take_for(viewer);
    uint64_t id = region->id;
    *(unsigned char *)region->memory = 42;
    brg__region_unuse(region);
    return id;
}

static void it_is_used_again_for_its_worker(void **state)
{
    (void)state;
    uint64_t viewer = brg__region_viewer_new(), id = used_before(viewer);
    brg__region *again = take_for(viewer);
    assert_int_equal(again->id, id);
    assert_int_equal(*(unsigned char *)again->memory, 42);
    brg__region_unuse(again);
    brg__region_viewer_gone(viewer);
}

static void nobody_else_gets_it(void **state)
{
    (void)state;
    uint64_t viewer = brg__region_viewer_new(), id = used_before(viewer), other = brg__region_viewer_new();
    brg__region *plain = NULL;
    assert_int_equal(brg__region_take(&plain, SIZE, true, NULL), BRG_OK);
    brg__region *others = take_for(other);
    assert_int_not_equal(plain->id, id);
    assert_int_not_equal(others->id, id);
    assert_int_equal(*(unsigned char *)others->memory, 0);
    brg__region_unuse(plain);
    brg__region_unuse(others);
    brg__region_viewer_gone(viewer);
    brg__region_viewer_gone(other);
}

/* What the program wrote into another buffer must not be in one that goes to a worker. */
static void a_worker_gets_none_of_the_programs(void **state)
{
    (void)state;
    uint64_t viewer = brg__region_viewer_new();
    brg__region *plain = NULL;
    assert_int_equal(brg__region_take(&plain, SIZE, true, NULL), BRG_OK);
    uint64_t id = plain->id;
    *(unsigned char *)plain->memory = 7;
    brg__region_unuse(plain);
    brg__region *fresh = take_for(viewer);
    assert_int_not_equal(fresh->id, id);
    assert_int_equal(*(unsigned char *)fresh->memory, 0);
    brg__region_unuse(fresh);
    brg__region_viewer_gone(viewer);
}

static void another_worker_saw_it_so_it_ends(void **state)
{
    (void)state;
    uint64_t viewer = brg__region_viewer_new();
    brg__region *region = take_for(viewer);
    brg__region_ref(region);
    brg__region_expose(region);
    brg__region_unuse(region);
    assert_int_equal(brg_load_acquire(&region->xretired), 1);
    brg__region *next = take_for(viewer);
    assert_int_not_equal(next->id, region->id);
    brg__region_unuse(next);
    brg__region_unref(region);
    brg__region_viewer_gone(viewer);
}

static void it_ends_with_its_worker(void **state)
{
    (void)state;
    uint64_t viewer = brg__region_viewer_new();
    brg__region *region = take_for(viewer);
    brg__region_ref(region);
    brg__region_unuse(region);
    assert_int_equal(brg_load_acquire(&region->xretired), 0);
    brg__region_viewer_gone(viewer);
    assert_int_equal(brg_load_acquire(&region->xretired), 1);
    brg__region_unref(region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_used_again_for_its_worker),
        cmocka_unit_test(nobody_else_gets_it),
        cmocka_unit_test(a_worker_gets_none_of_the_programs),
        cmocka_unit_test(another_worker_saw_it_so_it_ends),
        cmocka_unit_test(it_ends_with_its_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
