/* SPDX-License-Identifier: MIT */
/*
 * A chart for a terminal: a canvas of dots, eight to a character (braille, U+2800 and what follows) where the terminal
 * has UTF-8, else one. Characters over the canvas are the measured points.
 */
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"

#define TEXT_LABEL 7 /* columns of the y ticks */
#define TEXT_ROWS_LEAST 4
#define TEXT_COLUMNS_LEAST 16
#define TEXT_BOLD "\033[1m"
#define TEXT_POINTS "\033[36m"
#define TEXT_MARK "\033[1;32m"
#define TEXT_PLAIN "\033[0m"

typedef enum text_over { TEXT_NOTHING, TEXT_POINT, TEXT_BEST } text_over;

typedef struct text_canvas {
    int columns, rows;
    int dots_x, dots_y; /* in a character */
    unsigned char *cells;
    unsigned char *over; /* text_over of each character */
} text_canvas;

bool plot_has_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (locale == (locale_t)0)
        return false;
    bool has = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return has;
}

static void text_dot(text_canvas *canvas, int x, int y)
{
    /* The dots of a braille character, by column and row from the top. */
    static const unsigned char bits[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};
    if (x < 0 || y < 0 || x >= canvas->columns * canvas->dots_x || y >= canvas->rows * canvas->dots_y)
        return;
    unsigned char *cell = &canvas->cells[y / canvas->dots_y * canvas->columns + x / canvas->dots_x];
    *cell |= canvas->dots_x == 1 ? 1 : bits[x % 2][y % 4];
}

/* Bresenham, 1965. */
static void text_line(text_canvas *canvas, int x0, int y0, int x1, int y1)
{
    int dx = abs(x1 - x0), dy = -abs(y1 - y0), error = dx + dy;
    int step_x = x0 < x1 ? 1 : -1, step_y = y0 < y1 ? 1 : -1;
    for (;;) {
        text_dot(canvas, x0, y0);
        if (x0 == x1 && y0 == y1)
            return;
        int twice = 2 * error;
        if (twice >= dy) {
            error += dy;
            x0 += step_x;
        }
        if (twice <= dx) {
            error += dx;
            y0 += step_y;
        }
    }
}

static int text_place(const plot_scale *scale, double value, int dots)
{
    return (int)lround(plot_scale_place(scale, value) * (dots - 1));
}

static void text_draw(text_canvas *canvas, const plot_chart *chart, const plot_scale *x, const plot_scale *y)
{
    int width = canvas->columns * canvas->dots_x, height = canvas->rows * canvas->dots_y;
    for (size_t s = 0; s < chart->series_count; s++) {
        const plot_series *series = &chart->series[s];
        if (series->is_guide)
            continue;
        for (size_t i = 0; i < series->count; i++) {
            const plot_point *point = &series->points[i];
            int px = text_place(x, point->x, width), py = height - 1 - text_place(y, point->y, height);
            if (i > 0)
                text_line(canvas, text_place(x, point[-1].x, width), height - 1 - text_place(y, point[-1].y, height),
                          px, py);
            bool best = chart->mark != NULL && point->x == chart->mark->x;
            canvas->over[py / canvas->dots_y * canvas->columns + px / canvas->dots_x] = best ? TEXT_BEST : TEXT_POINT;
        }
    }
}

static void text_cell(FILE *to, const text_canvas *canvas, int at, const plot_terminal *terminal)
{
    text_over over = (text_over)canvas->over[at];
    unsigned char dots = canvas->cells[at];
    if (over != TEXT_NOTHING) {
        const char *sign = terminal->utf8 ? "\xe2\x97\x8f" : over == TEXT_BEST ? "#" : "o";
        fprintf(to, "%s%s%s",
                !terminal->colour   ? ""
                : over == TEXT_BEST ? TEXT_MARK
                                    : TEXT_POINTS,
                sign, terminal->colour ? TEXT_PLAIN : "");
    } else if (dots == 0) {
        fputc(' ', to);
    } else if (!terminal->utf8) {
        fputc('.', to);
    } else {
        fprintf(to, "\xe2%c%c", 0xa0 | (dots >> 6), 0x80 | (dots & 0x3f));
    }
}

/* The row a tick stands in, from the top. */
static int text_tick_row(const text_canvas *canvas, const plot_scale *y, double tick)
{
    int height = canvas->rows * canvas->dots_y;
    return (height - 1 - text_place(y, tick, height)) / canvas->dots_y;
}

static void text_rows(FILE *to, const text_canvas *canvas, const plot_scale *y, const plot_terminal *terminal)
{
    for (int row = 0; row < canvas->rows; row++) {
        char label[32] = "";
        for (size_t i = 0; i < y->count; i++)
            if (text_tick_row(canvas, y, y->ticks[i]) == row)
                plot_format(label, sizeof(label), y->ticks[i]);
        const char *axis = label[0] != '\0' ? (terminal->utf8 ? "\xe2\x94\xa4" : "+")
                           : terminal->utf8 ? "\xe2\x94\x82"
                                            : "|";
        fprintf(to, "%*s %s", TEXT_LABEL, label, axis);
        int last = canvas->columns - 1; /* no blanks at the end of the line */
        while (last >= 0 && canvas->cells[row * canvas->columns + last] == 0 &&
               canvas->over[row * canvas->columns + last] == TEXT_NOTHING)
            last--;
        for (int column = 0; column <= last; column++)
            text_cell(to, canvas, row * canvas->columns + column, terminal);
        fputc('\n', to);
    }
}

static void text_axis(FILE *to, int columns, const plot_chart *chart, const plot_scale *x,
                      const plot_terminal *terminal)
{
    fprintf(to, "%*s %s", TEXT_LABEL, "", terminal->utf8 ? "\xe2\x94\x94" : "+");
    for (int i = 0; i < columns; i++)
        fputs(terminal->utf8 ? "\xe2\x94\x80" : "-", to);
    fprintf(to, "\n%*s  ", TEXT_LABEL, "");
    int at = 0, free_from = 0;
    for (size_t i = 0; i < x->count; i++) {
        char label[32];
        plot_format(label, sizeof(label), x->ticks[i]);
        int length = (int)strlen(label), place = text_place(x, x->ticks[i], columns) - (length - 1) / 2;
        if (place < free_from || place + length > columns + 1)
            continue;
        fprintf(to, "%*s%s", place - at, "", label);
        at = place + length;
        free_from = at + 1;
    }
    fprintf(to, "  %s\n", chart->x_label);
}

void plot_print(FILE *to, const plot_chart *chart, const plot_terminal *terminal)
{
    text_canvas canvas = {.columns = terminal->columns - TEXT_LABEL - 4 - (int)strlen(chart->x_label),
                          .rows = terminal->rows - 3,
                          .dots_x = terminal->utf8 ? 2 : 1,
                          .dots_y = terminal->utf8 ? 4 : 1};
    if (canvas.columns < TEXT_COLUMNS_LEAST)
        canvas.columns = TEXT_COLUMNS_LEAST;
    if (canvas.rows < TEXT_ROWS_LEAST)
        canvas.rows = TEXT_ROWS_LEAST;
    size_t size = (size_t)canvas.columns * (size_t)canvas.rows;
    canvas.cells = calloc(size, 1);
    canvas.over = calloc(size, 1);
    if (canvas.cells != NULL && canvas.over != NULL) {
        plot_scale x, y;
        plot_chart_scales(chart, &x, &y, canvas.columns / 6, canvas.rows / 3);
        text_draw(&canvas, chart, &x, &y);
        fprintf(to, "%*s %s%s%s\n", TEXT_LABEL, "", terminal->colour ? TEXT_BOLD : "", chart->y_label,
                terminal->colour ? TEXT_PLAIN : "");
        text_rows(to, &canvas, &y, terminal);
        text_axis(to, canvas.columns, chart, &x, terminal);
    }
    free(canvas.cells);
    free(canvas.over);
}
