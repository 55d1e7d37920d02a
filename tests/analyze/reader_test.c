/* SPDX-License-Identifier: MIT */
/* Rows in chunks of any size against an obvious parser, and JSON against jansson. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "chunks.h"
#include "number.h"

static uint64_t random_state;

static uint32_t pick(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static void check(const chunks_input *input, const chunks_outcome *expected, uint64_t seed)
{
    chunks_outcome got;
    if (!chunks_read(input, &got) || !chunks_equal(expected, &got)) {
        fprintf(stderr, "seed %llu, chunk %llu, row_max %llu: rows %llu, not %llu; malformed %llu, not %llu:\n%.*s\n",
                (unsigned long long)seed, (unsigned long long)input->chunk, (unsigned long long)input->row_max,
                (unsigned long long)got.rows, (unsigned long long)expected->rows, (unsigned long long)got.malformed,
                (unsigned long long)expected->malformed, (int)input->size, input->data);
        fail();
    }
    free(got.text.data);
}

/* Text that is nearly a CSV. */
static size_t make_text(char *data, size_t size, char delimiter, bool wild)
{
    static const char *const tidy[] = {"a",        "bc", "\"q\"", "\"x,y\"", "\"l\nm\"",
                                       "\"\"\"\"", "",   "12.5",  "\"\"",    "\"a\"\"\nb\""};
    static const char wild_bytes[] = {'"', '"', '\n', '\r', 'a', '\0', ' ', (char)0xff};
    size_t used = 0;
    while (used + 16 < size) {
        if (wild && pick(3) == 0) {
            data[used++] = wild_bytes[pick(sizeof(wild_bytes))];
            continue;
        }
        for (uint32_t column = 0; column < 3; column++) {
            const char *field = tidy[pick(sizeof(tidy) / sizeof(tidy[0]))];
            size_t length = strlen(field);
            if (used + length + 3 >= size)
                break;
            memcpy(data + used, field, length);
            used += length;
            if (column < 2)
                data[used++] = delimiter;
        }
        if (pick(4) == 0)
            data[used++] = '\r';
        data[used++] = '\n';
    }
    return used - (pick(2) == 0 ? 1 : 0);
}

static void check_seed(uint64_t seed, size_t most)
{
    static const uint64_t chunks[] = {1, 2, 3, 7, 13, 31, 64, 100, 1000, 100000};
    char data[4096];
    random_state = seed;
    char delimiter = pick(3) == 0 ? ';' : ',';
    chunks_input input = {.format = ANALYZE_CSV, .data = data, .delimiter = delimiter, .columns = 3};
    input.row_max = pick(3) == 0 ? 1 + pick(40) : 100000;
    input.size = make_text(data, 20 + pick((uint32_t)most), delimiter, pick(2) == 0);
    chunks_outcome expected;
    chunks_expect(&input, &expected);
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        input.chunk = chunks[i];
        check(&input, &expected, seed);
    }
    free(expected.text.data);
}

static void test_csv_like_the_obvious_parser(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1500; seed++)
        check_seed(seed, 200);
    for (uint64_t seed = 1; seed <= 60; seed++)
        check_seed(1000000 + seed, 4000);
}

/* Where quotes say little a guess may be wrong; here they say enough. */
static void test_csv_guesses_are_good(void **state)
{
    (void)state;
    static char data[200000];
    size_t size = 0;
    for (int row = 0; size + 100 < sizeof(data); row++)
        size += (size_t)sprintf(data + size, "%d,\"a, \"\"b\"\"\nc\",%d\n", row, row * 2);
    chunks_input input = {.data = data, .size = size, .delimiter = ',', .columns = 3, .row_max = 100000, .chunk = 1009};
    chunks_outcome expected, got;
    chunks_expect(&input, &expected);
    assert_true(chunks_read(&input, &got));
    assert_true(chunks_equal(&expected, &got));
    assert_int_equal(got.malformed, 0);
    assert_int_equal(got.again, 0);
    free(expected.text.data);
    free(got.text.data);
}

/* Rows that are read in several goes, as they do not end near their chunk. */
static void test_csv_rows_longer_than_what_is_read(void **state)
{
    (void)state;
    static const uint64_t chunks[] = {1000, 50000, 200000};
    static char data[900000];
    size_t size = 0;
    random_state = 11;
    while (size + 130000 < sizeof(data)) {
        size += (size_t)sprintf(data + size, "1,\"");
        for (uint32_t i = pick(120000); i != 0; i--)
            data[size++] = pick(50) == 0 ? '\n' : 'x';
        size += (size_t)sprintf(data + size, "\",2\n%s", pick(2) == 0 ? "3,4\n" : "");
    }
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        chunks_input input = {.data = data, .size = size, .delimiter = ',', .columns = 3, .chunk = chunks[i]};
        input.row_max = i == 0 ? 60000 : 1000000;
        chunks_outcome expected;
        chunks_expect(&input, &expected);
        assert_true(expected.rows > 0 && expected.malformed > 0);
        chunks_outcome got;
        assert_true(chunks_read(&input, &got));
        assert_true(chunks_equal(&expected, &got));
        free(got.text.data);
        free(expected.text.data);
    }
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static size_t make_json(char *data, int depth)
{
    static const char *const leaves[] = {"1",     "-2.5e3", "true", "null",    "\"x\"", "\"\\u0041\\n\"", "[]", "{}",
                                         "[1,2]", "01",     "tru",  "\"\\x\"", "1.",    "\"a\\\"b\"",     "-",  "[1,]"};
    size_t used = 0;
    data[used++] = '{';
    for (uint32_t i = 0, count = pick(4); i < count; i++) {
        used += (size_t)sprintf(data + used, "%s\"%c\"%s", i == 0 ? "" : ",", "abcdefgh"[pick(8)],
                                pick(9) == 0 ? " : " : ":");
        if (depth < 3 && pick(4) == 0)
            used += make_json(data + used, depth + 1);
        else
            used += (size_t)sprintf(data + used, "%s", leaves[pick(pick(6) == 0 ? 16 : 9)]);
    }
    data[used++] = '}';
    return used;
}

/* What the module has to say of one line. */
static void check_json(const char *line, size_t size)
{
    static analyze_plan plan;
    static char names[8][2] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    char padded[2048] = "";
    plan = (analyze_plan){.format = ANALYZE_NDJSON, .row_max = 100000, .slot_count = 8};
    for (uint32_t i = 0; i < 8; i++)
        plan.slots[i] = (analyze_slot){0, names[i], 1};
    memcpy(padded, line, size);
    analyze_reader reader;
    assert_true(analyze_reader_init(&reader, &plan));
    analyze_reader_set(&reader, padded, size, true, 0);
    analyze_row outcome = analyze_reader_next(&reader);
    json_t *root = json_loadb(line, size, 0, NULL);
    if ((outcome == READER_GOOD) != (root != NULL))
        fprintf(stderr, "differs: %.*s\n", (int)size, line);
    assert_int_equal(outcome == READER_GOOD, root != NULL);
    for (uint32_t i = 0; root != NULL && i < 8; i++) {
        const analyze_field *field = &reader.fields[i];
        json_t *member = json_object_get(root, names[i]);
        char text[2048];
        size_t length = field->size;
        if (field->escaped)
            length = analyze_ndjson_decode(field, text);
        else
            memcpy(text, field->text, field->size);
        if (member == NULL || json_is_null(member))
            assert_int_equal(length, 0);
        else if (json_is_string(member)) {
            assert_int_equal(length, json_string_length(member));
            assert_memory_equal(text, json_string_value(member), length);
        } else if (json_is_number(member)) {
            double number;
            assert_true(analyze_number(text, length, &number));
            assert_true(number == json_number_value(member));
        } else {
            assert_true(length >= 2);
        }
    }
    json_decref(root);
    analyze_reader_done(&reader);
}

static void test_json_like_jansson(void **state)
{
    (void)state;
    char line[2048];
    random_state = 7;
    for (int i = 0; i < 20000; i++) {
        size_t size = make_json(line, 0);
        if (pick(5) == 0 && size > 2)
            line[pick((uint32_t)size)] = "{}[],:\"1a\\ \x11"[pick(12)];
        check_json(line, size);
    }
}

static void test_json_paths(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":{\"b\":{\"c\":1},\"d\":\"x\"},\"a.d\":2}          "
                               "                                                      ";
    static char first[] = "a.b.c", second[] = "a.d", third[] = "a";
    analyze_plan plan = {.format = ANALYZE_NDJSON, .row_max = 1000, .slot_count = 3};
    plan.slots[0] = (analyze_slot){0, first, 5};
    plan.slots[1] = (analyze_slot){0, second, 3};
    plan.slots[2] = (analyze_slot){0, third, 1};
    analyze_reader reader;
    assert_true(analyze_reader_init(&reader, &plan));
    analyze_reader_set(&reader, text, 41, true, 0);
    assert_int_equal(analyze_reader_next(&reader), READER_GOOD);
    assert_memory_equal(reader.fields[0].text, "1", reader.fields[0].size);
    assert_memory_equal(reader.fields[1].text, "2", reader.fields[1].size); /* the key itself, and it came last */
    assert_memory_equal(reader.fields[2].text, "{\"b\":{\"c\":1},\"d\":\"x\"}", reader.fields[2].size);
    analyze_reader_done(&reader);
}

/* ---- numbers ------------------------------------------------------------------------------------------------------- */

static void test_numbers_like_strtod(void **state)
{
    (void)state;
    char text[64];
    random_state = 3;
    for (int i = 0; i < 200000; i++) {
        int length = 0;
        switch (pick(4)) {
        case 0:
            length = sprintf(text, "%u.%02u", pick(100000), pick(100));
            break;
        case 1:
            length = sprintf(text, "-%u%u.%u%ue%d", pick(1000000), pick(1000000), pick(1000000), pick(1000000),
                             (int)pick(80) - 40);
            break;
        case 2:
            length = sprintf(text, "%u%09u%09u", pick(100), pick(1000000000), pick(1000000000));
            break;
        default:
            length = sprintf(text, "0.%0*u", (int)pick(30) + 1, pick(1000000));
        }
        double number = 0;
        assert_true(analyze_number(text, (size_t)length, &number));
        if (number != strtod(text, NULL))
            fprintf(stderr, "%s\n", text);
        assert_true(number == strtod(text, NULL));
    }
    static const char *const wrong[] = {"",    " ",   "-",   ".",   "1e",  "1e+",   "0x10",
                                        "nan", "inf", "1 2", "1,5", "--1", "1e999", "e5"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        double number;
        assert_false(analyze_number(wrong[i], strlen(wrong[i]), &number));
    }
}

static void test_words_of_numbers(void **state)
{
    (void)state;
    random_state = 5;
    double before = 0;
    for (int i = 0; i < 100000; i++) {
        double number = ((double)pick(1000000) - 500000) / 1000 * (pick(10) == 0 ? 1e9 : 1);
        assert_true(analyze_number_of_word(analyze_order(number), false) == number);
        assert_true((analyze_order(number) < analyze_order(before)) == (number < before));
        double about = analyze_number_of_word(analyze_sketch_word(number), true);
        double error = about > number ? about - number : number - about;
        assert_true(error <= (number < 0 ? -number : number) / 256);
        before = number;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_csv_like_the_obvious_parser),
                                       cmocka_unit_test(test_csv_guesses_are_good),
                                       cmocka_unit_test(test_csv_rows_longer_than_what_is_read),
                                       cmocka_unit_test(test_json_like_jansson),
                                       cmocka_unit_test(test_json_paths),
                                       cmocka_unit_test(test_numbers_like_strtod),
                                       cmocka_unit_test(test_words_of_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
