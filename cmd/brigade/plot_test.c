/* SPDX-License-Identifier: MIT */
/* Charts: scales, numbers, marked-up text, and what comes out of the two writers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plot.h"

static void linear_ticks_are_round(void **state)
{
    (void)state;
    plot_scale scale;
    plot_scale_linear(&scale, 0, 3412, 6, false);
    assert_int_equal(scale.count, 5);
    assert_true(scale.ticks[1] == 1000 && scale.high == 4000);
    plot_scale_linear(&scale, 0, 0.034, 4, false);
    assert_true(scale.ticks[1] > 0.00999 && scale.ticks[1] < 0.01001);
    plot_scale_linear(&scale, 1, 3, 12, true);
    assert_int_equal(scale.count, 3);
    plot_scale_linear(&scale, 5, 5, 12, true); /* nothing to span */
    assert_true(scale.high > scale.low);
    for (int i = 0; i < 2000; i++) { /* never more ticks than there is room for, and the ends are covered */
        double high = 0.001 * i * i * i + 0.5;
        plot_scale_linear(&scale, 0, high, 1 + i % 40, i % 2 == 0);
        assert_in_range(scale.count, 2, PLOT_TICKS_MAX);
        assert_true(scale.high >= high * (1 - 1e-6));
    }
}

static void log_ticks_are_powers(void **state)
{
    (void)state;
    plot_scale scale;
    plot_scale_log(&scale, 1, 100, 2);
    assert_int_equal(scale.count, 8);
    assert_true(scale.high == 128);
    assert_true(plot_scale_place(&scale, 128) == 1 && plot_scale_place(&scale, 1) == 0);
    assert_true(plot_scale_place(&scale, 0) == 0); /* what has no logarithm */
    plot_scale_log(&scale, 10, 10, 10);
    assert_true(scale.high > scale.low);
}

static void numbers_have_three_digits(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},         {1, "1"},        {1.5, "1.5"},     {12.34, "12.3"},    {999.4, "999"},
                 {999.6, "1k"},    {1000, "1k"},    {2000, "2k"},     {12345, "12.3k"},   {100, "100"},
                 {10, "10"},       {9.996, "10"},   {0.1234, "0.12"}, {1234567, "1.23M"}, {2.5e9, "2.5G"},
                 {-3.25, "-3.25"}, {400000, "400k"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[32];
        plot_format(text, sizeof(text), cases[i].value);
        assert_string_equal(text, cases[i].text);
    }
}

static char *written(void (*write)(FILE *to, const void *what), const void *what)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    write(to, what);
    fclose(to);
    return text;
}

static void write_escaped(FILE *to, const void *what) { plot_escape(to, what); }

static void text_is_marked_up(void **state)
{
    (void)state;
    static const struct {
        const char *text, *escaped;
    } cases[] = {{"a<b>&\"c\"", "a&lt;b&gt;&amp;&quot;c&quot;"},
                 {"caf\xc3\xa9", "caf\xc3\xa9"},
                 {"caf\xe9", "caf?"},
                 {"\x01\x1b[0m", "??[0m"},
                 {"\xc3", "?"},
                 {"\xe2\x82", "??"},
                 {"\xed\xa0\x80", "???"},
                 {"\xef\xbf\xbf", "???"},
                 {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = written(write_escaped, cases[i].text);
        assert_string_equal(text, cases[i].escaped);
        free(text);
    }
}

/* ---- the writers ------------------------------------------------------------------------------------------------- */

static const plot_point chart_points[] = {{1, 1000, 950, 1050}, {2, 1900, 1900, 1900}, {4, 2500, 2400, 2600}};
static const plot_point chart_guide[] = {{1, 1000, 1000, 1000}, {4, 4000, 4000, 4000}};
static const plot_series chart_series[] = {{"measured <&>", chart_points, 3, false}, {"linear", chart_guide, 2, true}};
static const plot_chart chart = {.title = "a <title>",
                                 .note = "and a note",
                                 .x_label = "workers",
                                 .y_label = "tasks/s",
                                 .series = chart_series,
                                 .series_count = 2,
                                 .mark = &chart_points[2],
                                 .mark_label = "best: 4",
                                 .height = 200};

static void write_lines(FILE *to, const void *what) { assert_true(plot_write_lines(to, what, 1)); }

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

static void lines_as_picture(void **state)
{
    (void)state;
    char *text = written(write_lines, &chart);
    assert_non_null(strstr(text, "a &lt;title&gt;"));
    assert_non_null(strstr(text, "measured &lt;&amp;&gt;"));
    assert_int_equal(count_of(text, "class=\"dot"), 3);
    assert_int_equal(count_of(text, "class=\"error"), 6); /* two points have bars, of three lines each */
    assert_int_equal(count_of(text, "class=\"ring"), 1);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
}

static void write_bars(FILE *to, const void *what) { assert_true(plot_write_bars(to, what)); }

static void bars_as_picture(void **state)
{
    (void)state;
    static const char *const rows[] = {"fifo", "lifo"}, *const series[] = {"short", "long"};
    static const double waits[] = {1, 100, 0, -1}, spans[] = {1.1, 1.1, 1.2, 1.2};
    const plot_panel panels[] = {{"makespan", false, true, spans}, {"wait", true, false, waits}};
    const plot_bars bars = {"bars", NULL, rows, 2, series, 2, panels, 2};
    char *text = written(write_bars, &bars);
    assert_int_equal(count_of(text, "height=\"9\""), 2 + 3); /* one wait is missing */
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    free(text);
}

typedef struct print_case {
    const plot_chart *chart;
    plot_terminal terminal;
} print_case;

static void print(FILE *to, const void *what)
{
    const print_case *it = what;
    plot_print(to, it->chart, &it->terminal);
}

static void lines_on_a_terminal(void **state)
{
    (void)state;
    static const int widths[] = {20, 40, 80, 200};
    for (size_t i = 0; i < 4; i++) {
        print_case it = {&chart, {widths[i], 16, false, false}};
        char *text = written(print, &it);
        assert_int_equal(count_of(text, "o"), 2 + 1); /* two points and "workers" */
        assert_int_equal(count_of(text, "#"), 1);
        for (char *line = strtok(text, "\n"); line != NULL && widths[i] >= 40; line = strtok(NULL, "\n"))
            assert_in_range(strlen(line), 0, (size_t)widths[i]);
        free(text);
    }
    print_case it = {&chart, {80, 16, true, true}};
    char *text = written(print, &it);
    assert_int_equal(count_of(text, "\xe2\x97\x8f"), 3);
    assert_int_equal(count_of(text, "\033[1;32m"), 1);
    free(text);
}

/* One point, or all zero: still a chart. */
static void little_to_show(void **state)
{
    (void)state;
    static const plot_point one[] = {{3, 0, 0, 0}};
    const plot_series series = {"one", one, 1, false};
    plot_chart small = chart;
    small.series = &series;
    small.series_count = 1;
    small.mark = NULL;
    char *text = written(write_lines, &small);
    assert_int_equal(count_of(text, "class=\"dot"), 1);
    assert_null(strstr(text, "nan"));
    free(text);
    print_case it = {&small, {80, 16, false, false}};
    text = written(print, &it);
    assert_int_equal(count_of(text, "o"), 1 + 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_ticks_are_round),    cmocka_unit_test(log_ticks_are_powers),
        cmocka_unit_test(numbers_have_three_digits), cmocka_unit_test(text_is_marked_up),
        cmocka_unit_test(lines_as_picture),          cmocka_unit_test(bars_as_picture),
        cmocka_unit_test(lines_on_a_terminal),       cmocka_unit_test(little_to_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
