/* SPDX-License-Identifier: MIT */
/* Charts: what they show. plot_svg.c writes them as pictures, plot_text.c for terminals. All text is borrowed. */
#ifndef BRIGADE_PLOT_H
#define BRIGADE_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PLOT_TICKS_MAX 24

typedef struct plot_point {
    double x, y;
    double low, high; /* the ends of its error bar; both y: none */
} plot_point;

typedef struct plot_series {
    const char *name;
    const plot_point *points; /* by x */
    size_t count;
    bool is_guide; /* a dashed line without points, cut off at the top: what to compare with */
} plot_series;

/* Lines over one axis. y starts at 0. */
typedef struct plot_chart {
    const char *title, *note; /* may be NULL */
    const char *x_label, *y_label;
    const plot_series *series;
    size_t series_count;
    const plot_point *mark; /* one point to point out, or NULL */
    const char *mark_label;
    double height; /* pixels of its plot area in a picture */
} plot_chart;

/* Bars from left to right: a row for each thing compared, in it a bar for each series, and that for each measure. */
typedef struct plot_panel {
    const char *title;
    bool is_log;          /* for values over several powers of ten */
    bool has_one;         /* all series have the same value: one bar a row */
    const double *values; /* row by row, series by series in it; below 0: none */
} plot_panel;

typedef struct plot_bars {
    const char *title, *note;
    const char *const *rows;
    size_t row_count;
    const char *const *series;
    size_t series_count;
    const plot_panel *panels;
    size_t panel_count;
} plot_bars;

/* ---- scales (plot_scale.c) --------------------------------------------------------------------------------------- */

typedef struct plot_scale {
    double low, high;
    bool is_log;
    double ticks[PLOT_TICKS_MAX];
    size_t count;
} plot_scale;

/* Round ticks, about `wanted`, and ends that are ticks. `whole`: no fractions. */
void plot_scale_linear(plot_scale *self, double low, double high, int wanted, bool whole);
/* Powers of `base`, which is 2 or 10, the ends being such. */
void plot_scale_log(plot_scale *self, double low, double high, double base);
/* Where a value lies: 0 at the low end, 1 at the high end; outside it is not cut. */
double plot_scale_place(const plot_scale *self, double value);
/* 1.23k, 45.6M, 0.789: three digits. */
void plot_format(char *text, size_t size, double value);

/* The scales of a chart: x by powers of two where it spans more than 5 of them. */
void plot_chart_scales(const plot_chart *chart, plot_scale *x, plot_scale *y, int x_wanted, int y_wanted);

/* ---- pictures (plot_svg.c) --------------------------------------------------------------------------------------- */

/* Charts below each other, or bars, as one SVG document, good on light and dark pages. False when writing failed. */
bool plot_write_lines(FILE *to, const plot_chart *charts, size_t count);
bool plot_write_bars(FILE *to, const plot_bars *bars);

/* Text for XML: marked up, and what is no UTF-8 as '?'. */
void plot_escape(FILE *to, const char *text);

/* ---- terminals (plot_text.c) ------------------------------------------------------------------------------------- */

typedef struct plot_terminal {
    int columns, rows; /* of the whole plot, labels included */
    bool utf8, colour;
} plot_terminal;

void plot_print(FILE *to, const plot_chart *chart, const plot_terminal *terminal);

/* Whether the locale's characters are UTF-8. */
bool plot_has_utf8(void);

#endif
