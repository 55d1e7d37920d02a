/* SPDX-License-Identifier: MIT */
/* Rows in sorted runs, through a temporary file or not, against qsort over the rules of row_key. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "rows.h"
#include "sorter.h"

#define ROWS_MAX 4000
#define TEXT_MAX 40

static uint64_t random_state;

static uint32_t pick(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

/* A row of two columns it is sorted by, and its place in the input as the one that is shown. */
typedef struct made_row {
    char text[2][TEXT_MAX];
    uint32_t size[2], place;
} made_row;

static made_row made[ROWS_MAX];
static analyze_plan plan;

static void make_cell(char *text, uint32_t *size)
{
    static const char bytes[] = {'\0', '\0', 'a', 'b', (char)0xff, 1, ' ', '1'};
    switch (pick(4)) {
    case 0:
        *size = 0;
        break;
    case 1:
        *size = (uint32_t)snprintf(text, TEXT_MAX, "%d.%u", (int)pick(200) - 100, pick(3));
        break;
    case 2:
        *size = (uint32_t)snprintf(text, TEXT_MAX, pick(2) == 0 ? "-0" : "1e%d", (int)pick(620) - 310);
        break;
    default:
        *size = pick(TEXT_MAX);
        for (uint32_t i = 0; i < *size; i++)
            text[i] = bytes[pick(sizeof(bytes))];
    }
}

static int compare_made(const void *a, const void *b)
{
    const made_row *first = a, *second = b;
    for (uint32_t i = 0; i < 2; i++) {
        row_key left = analyze_row_key(first->text[i], first->size[i]),
                right = analyze_row_key(second->text[i], second->size[i]);
        int order = analyze_row_compare(&left, &right, plan.sort[i].descending);
        if (order != 0)
            return order;
    }
    return first->place < second->place ? -1 : 1;
}

/* Runs of at most `run` rows, as workers make them. */
static void add_runs(analyze_sorter *sorter, uint32_t count, uint32_t run)
{
    sorted_rows rows = {.plan = &plan};
    pack_writer packed = {.data = NULL};
    for (uint32_t i = 0; i < count; i++) {
        analyze_field fields[3] = {{(const char *)&made[i].place, sizeof(uint32_t), false},
                                   {made[i].text[0], made[i].size[0], false},
                                   {made[i].text[1], made[i].size[1], false}};
        assert_true(analyze_sorted_add(&rows, fields));
        if ((i + 1) % run != 0 && i + 1 != count)
            continue;
        packed.size = 0;
        analyze_sorted_pack(&rows, &packed);
        pack_reader reader = {.at = packed.data, .end = packed.data + packed.size};
        size_t size = (size_t)pack_get_u64(&reader);
        const char *records = pack_take(&reader, size);
        assert_true(records != NULL && reader.at == reader.end);
        assert_int_equal(analyze_sorter_add(sorter, records, size), SORTER_DONE);
        analyze_sorted_clear(&rows);
    }
    free(packed.data);
    analyze_sorted_done(&rows);
}

typedef struct taken {
    uint32_t places[ROWS_MAX], count, stop_at;
} taken;

static bool take(const char *record, size_t size, void *user_data)
{
    taken *rows = user_data;
    const char *fields = record + SORTED_HEAD + sorted_word(record + sizeof(uint32_t));
    assert_int_equal(record + size - fields, 2 * sizeof(uint32_t));
    assert_int_equal(sorted_word(fields), sizeof(uint32_t));
    assert_true(rows->count < ROWS_MAX);
    rows->places[rows->count++] = sorted_word(fields + sizeof(uint32_t));
    return rows->stop_at == 0 || rows->count < rows->stop_at;
}

static void make_rows(uint32_t count)
{
    plan = (analyze_plan){.select_count = 1, .sort_count = 2, .rows = true, .sorted = true, .limit = UINT64_MAX};
    plan.sort[0].descending = pick(2) == 0;
    plan.sort[1].descending = pick(2) == 0;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < 2; j++)
            make_cell(made[i].text[j], &made[i].size[j]);
        made[i].place = i;
    }
}

static void any_runs_are_sorted(void **state)
{
    (void)state;
    uint64_t most_passes = 0;
    static taken rows;
    for (uint32_t round = 0; round < 60; round++) {
        analyze_sorter sorter;
        random_state = round;
        uint32_t count = round == 0 ? 0 : 1 + pick(ROWS_MAX), run = 1 + pick(pick(2) == 0 ? 10 : 700);
        make_rows(count);
        plan.limit = round % 4 == 1 ? pick(300) : UINT64_MAX;
        analyze_sorter_init(&sorter, round % 3 == 0 ? 1 << 20 : SORTER_MEMORY_LEAST, plan.limit, "/tmp");
        add_runs(&sorter, count, run);
        rows = (taken){.count = 0};
        assert_int_equal(analyze_sorter_finish(&sorter, take, &rows), SORTER_DONE);
        most_passes = sorter.pass_count > most_passes ? sorter.pass_count : most_passes;
        analyze_sorter_done(&sorter);
        qsort(made, count, sizeof(made[0]), compare_made);
        assert_int_equal(rows.count, count < plan.limit ? count : plan.limit);
        for (uint32_t i = 0; i < rows.count; i++)
            assert_int_equal(rows.places[i], made[i].place);
    }
    assert_true(most_passes > 1);
}

static void what_is_no_run_is_refused(void **state)
{
    (void)state;
    static const uint32_t words[][3] = {{100, 4, 0}, {8, 9, 0}, {2, 0, 0}, {UINT32_MAX, 0, 0}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        analyze_sorter sorter;
        analyze_sorter_init(&sorter, SORTER_MEMORY_LEAST, UINT64_MAX, "/tmp");
        assert_int_equal(analyze_sorter_add(&sorter, (const char *)words[i], sizeof(words[i])), SORTER_FALSE);
        assert_int_equal(analyze_sorter_add(&sorter, (const char *)words[i], 3), SORTER_FALSE);
        analyze_sorter_done(&sorter);
    }
}

static void without_a_directory_only_what_fits_is_sorted(void **state)
{
    (void)state;
    static taken rows;
    analyze_sorter sorter;
    make_rows(ROWS_MAX);
    analyze_sorter_init(&sorter, 1 << 20, UINT64_MAX, "/there/is/none");
    add_runs(&sorter, ROWS_MAX, 100);
    rows = (taken){.count = 0};
    assert_int_equal(analyze_sorter_finish(&sorter, take, &rows), SORTER_DONE);
    assert_int_equal(rows.count, ROWS_MAX);
    analyze_sorter_done(&sorter);

    char record[SORTED_HEAD + 4000] = {0};
    const uint32_t head[] = {sizeof(record) - sizeof(uint32_t), 0};
    memcpy(record, head, sizeof(head));
    analyze_sorter_init(&sorter, SORTER_MEMORY_LEAST, UINT64_MAX, "/there/is/none");
    sorter_outcome outcome = SORTER_DONE;
    for (int i = 0; i < 5 && outcome == SORTER_DONE; i++)
        outcome = analyze_sorter_add(&sorter, record, sizeof(record));
    assert_int_equal(outcome, SORTER_DIRECTORY);
    assert_int_equal(sorter.error, ENOENT);
    analyze_sorter_done(&sorter);
}

static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    static taken rows;
    analyze_sorter sorter;
    make_rows(ROWS_MAX);
    analyze_sorter_init(&sorter, SORTER_MEMORY_LEAST, UINT64_MAX, "/tmp");
    add_runs(&sorter, ROWS_MAX, 100);
    assert_true(sorter.spilled.count > 1);
    int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    assert_true(full >= 0 && dup2(full, sorter.fd) == sorter.fd);
    close(full);
    rows = (taken){.count = 0};
    assert_int_equal(analyze_sorter_finish(&sorter, take, &rows), SORTER_WRITE);
    assert_int_equal(sorter.error, ENOSPC);
    assert_int_equal(rows.count, 0);
    analyze_sorter_done(&sorter);
}

static void what_is_stopped_ends(void **state)
{
    (void)state;
    static taken rows;
    volatile sig_atomic_t stop = 0;
    analyze_sorter sorter;
    make_rows(ROWS_MAX);
    analyze_sorter_init(&sorter, SORTER_MEMORY_LEAST, UINT64_MAX, "/tmp");
    sorter.stop = &stop;
    add_runs(&sorter, ROWS_MAX, 100);
    stop = 1;
    rows = (taken){.count = 0};
    assert_int_equal(analyze_sorter_finish(&sorter, take, &rows), SORTER_STOPPED);
    assert_int_equal(rows.count, 0);
    analyze_sorter_done(&sorter);

    analyze_sorter_init(&sorter, SORTER_MEMORY_LEAST, UINT64_MAX, "/tmp");
    add_runs(&sorter, ROWS_MAX, 100);
    rows = (taken){.stop_at = 7};
    assert_int_equal(analyze_sorter_finish(&sorter, take, &rows), SORTER_STOPPED);
    assert_int_equal(rows.count, 7);
    analyze_sorter_done(&sorter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_runs_are_sorted),
        cmocka_unit_test(what_is_no_run_is_refused),
        cmocka_unit_test(without_a_directory_only_what_fits_is_sorted),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(what_is_stopped_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
