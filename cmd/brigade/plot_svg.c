/* SPDX-License-Identifier: MIT */
/*
 * Charts as SVG. One style sheet, whose colours change with the page's scheme; programs that do not know that show the
 * light one. Widths of texts are guessed: there are no fonts here.
 */
#include <math.h>
#include <string.h>

#include "plot.h"

#define SVG_WIDTH 760
#define SVG_LEFT 70
#define SVG_RIGHT 28
#define SVG_HEAD 66    /* title, note */
#define SVG_OVER 30    /* above a chart: the name of its y axis */
#define SVG_UNDER 32   /* below one that is not the last: ticks */
#define SVG_FOOT 50    /* ticks and name of the x axis */
#define SVG_LETTER 6.3 /* width of a letter of the labels, about */
#define SVG_COLOURS 6
#define SVG_BAR 11
#define SVG_ROW_GAP 12
#define SVG_PANEL_GAP 34

/* Colours that people who see few colours can tell apart: after Okabe and Ito, 2008; and lighter ones for dark pages. */
static const char *const svg_light[SVG_COLOURS] = {"#0b6bb5", "#d5650a", "#0a8f6a", "#b0508f", "#7a6a00", "#555f6b"};
static const char *const svg_dark[SVG_COLOURS] = {"#5db2f2", "#ff9d4d", "#43cfa3", "#e88cc4", "#e0cd4f", "#b3bdc9"};

/* ---- text -------------------------------------------------------------------------------------------------------- */

/* The length of the UTF-8 character at `text`, 0 for what is none, or may not stand in XML. */
static int svg_character(const unsigned char *text)
{
    int length = text[0] < 0x80 ? 1 : text[0] >= 0xc2 && text[0] < 0xe0 ? 2 : (text[0] & 0xf0) == 0xe0 ? 3 : 0;
    if (text[0] >= 0xf0 && text[0] <= 0xf4)
        length = 4;
    if (length == 1)
        return text[0] >= 0x20 || text[0] == '\t' || text[0] == '\n' ? 1 : 0;
    for (int i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool wrong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
                 (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f) ||
                 (text[0] == 0xef && text[1] == 0xbf && text[2] >= 0xbe);
    return length > 1 && wrong ? 0 : length;
}

void plot_escape(FILE *to, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        int length = svg_character(at);
        if (length == 0)
            fputc('?', to);
        else if (*at == '&')
            fputs("&amp;", to);
        else if (*at == '<')
            fputs("&lt;", to);
        else if (*at == '>')
            fputs("&gt;", to);
        else if (*at == '"')
            fputs("&quot;", to);
        else
            fwrite(at, 1, (size_t)length, to);
        at += length == 0 ? 1 : length;
    }
}

static void svg_text(FILE *to, double x, double y, const char *classes, const char *anchor, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, classes, anchor);
    plot_escape(to, text);
    fputs("</text>\n", to);
}

static void svg_line(FILE *to, double x1, double y1, double x2, double y2, const char *classes)
{
    fprintf(to, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, classes);
}

/* ---- the page ---------------------------------------------------------------------------------------------------- */

static void svg_colours(FILE *to, const char *const colours[])
{
    for (int i = 0; i < SVG_COLOURS; i++)
        fprintf(to, ".s%d{stroke:%s}.f%d{fill:%s}", i, colours[i], i, colours[i]);
    fputc('\n', to);
}

static void svg_open(FILE *to, double height, const char *title, const char *note)
{
    fprintf(to,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" "
            "role=\"img\">\n<title>",
            SVG_WIDTH, height, SVG_WIDTH, height);
    plot_escape(to, title == NULL ? "" : title);
    fputs(
        "</title>\n<style>\n"
        "text{font-family:system-ui,\"Segoe UI\",\"DejaVu Sans\",sans-serif;font-size:12px;fill:#4a5563}\n"
        ".title{font-size:17px;font-weight:600;fill:#1a2330}.name{fill:#1a2330}.strong{font-weight:600;fill:#1a2330}\n"
        ".page{fill:#ffffff}.grid{stroke:#e3e8ee;stroke-width:1}.axis{stroke:#98a3b0;stroke-width:1}\n"
        ".curve{fill:none;stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}\n"
        ".guide{fill:none;stroke:#98a3b0;stroke-width:1.4;stroke-dasharray:5 5}.error{stroke-width:1.3;opacity:.75}\n"
        ".dot{stroke:#ffffff;stroke-width:1.4}.ring{fill:none;stroke-width:2}.mark{stroke-width:1.2;stroke-dasharray:3 4}\n",
        to);
    svg_colours(to, svg_light);
    fputs("@media (prefers-color-scheme:dark){\n"
          "text{fill:#a9b4c2}.title,.name,.strong{fill:#edf2f8}.page{fill:#12181f}.grid{stroke:#29323d}\n"
          ".axis,.guide{stroke:#66717f}.dot{stroke:#12181f}\n",
          to);
    svg_colours(to, svg_dark);
    fprintf(to, "}\n</style>\n<rect class=\"page\" width=\"%d\" height=\"%.0f\" rx=\"8\"/>\n", SVG_WIDTH, height);
    svg_text(to, 24, 32, "title", "start", title);
    svg_text(to, 24, 52, "note", "start", note);
}

static bool svg_close(FILE *to)
{
    fputs("</svg>\n", to);
    return fflush(to) == 0 && ferror(to) == 0;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

/* A chart's place on the page, and its scales. */
typedef struct svg_area {
    double left, top, width, height;
    plot_scale x, y;
} svg_area;

static double svg_x(const svg_area *area, double value)
{
    return area->left + plot_scale_place(&area->x, value) * area->width;
}

static double svg_y(const svg_area *area, double value)
{
    return area->top + (1 - plot_scale_place(&area->y, value)) * area->height;
}

static void svg_axes(FILE *to, const svg_area *area, const plot_chart *chart, bool has_x_label)
{
    char text[32];
    double bottom = area->top + area->height;
    for (size_t i = 0; i < area->y.count; i++) {
        double y = svg_y(area, area->y.ticks[i]);
        svg_line(to, area->left, y, area->left + area->width, y, i == 0 ? "axis" : "grid");
        plot_format(text, sizeof(text), area->y.ticks[i]);
        svg_text(to, area->left - 9, y + 4, "tick", "end", text);
    }
    for (size_t i = 0; i < area->x.count; i++) {
        double x = svg_x(area, area->x.ticks[i]);
        svg_line(to, x, bottom, x, bottom + 5, "axis");
        plot_format(text, sizeof(text), area->x.ticks[i]);
        svg_text(to, x, bottom + 19, "tick", "middle", text);
    }
    if (has_x_label)
        svg_text(to, area->left + area->width / 2, bottom + 39, "name", "middle", chart->x_label);
    svg_text(to, area->left, area->top - 10, "name", "start", chart->y_label);
}

/* A guide: dashed, and no higher than the plot area. */
static void svg_guide(FILE *to, const svg_area *area, const plot_series *series)
{
    bool drawing = false;
    fputs("<path class=\"guide\" d=\"", to);
    for (size_t i = 0; i < series->count; i++) {
        plot_point at = series->points[i];
        bool over = at.y > area->y.high;
        if (over && i > 0) {
            const plot_point *before = &series->points[i - 1];
            at.x = before->x + (at.x - before->x) * (area->y.high - before->y) / (at.y - before->y);
            at.y = area->y.high;
        }
        if (over && i == 0)
            break;
        fprintf(to, "%s%.1f %.1f", drawing ? "L" : "M", svg_x(area, at.x), svg_y(area, at.y));
        drawing = true;
        if (over)
            break;
    }
    fputs("\"/>\n", to);
}

static void svg_series(FILE *to, const svg_area *area, const plot_series *series, int colour)
{
    char error[24];
    snprintf(error, sizeof(error), "error s%d", colour);
    fprintf(to, "<polyline class=\"curve s%d\" points=\"", colour);
    for (size_t i = 0; i < series->count; i++)
        fprintf(to, "%.1f,%.1f ", svg_x(area, series->points[i].x), svg_y(area, series->points[i].y));
    fputs("\"/>\n", to);
    for (size_t i = 0; i < series->count; i++) {
        const plot_point *point = &series->points[i];
        double x = svg_x(area, point->x), low = svg_y(area, point->low), high = svg_y(area, point->high);
        if (low - high > 1) {
            svg_line(to, x, low, x, high, error);
            svg_line(to, x - 4, low, x + 4, low, error);
            svg_line(to, x - 4, high, x + 4, high, error);
        }
    }
    for (size_t i = 0; i < series->count; i++)
        fprintf(to, "<circle class=\"dot f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.2\"/>\n", colour,
                svg_x(area, series->points[i].x), svg_y(area, series->points[i].y));
}

static void svg_mark(FILE *to, const svg_area *area, const plot_chart *chart)
{
    double x = svg_x(area, chart->mark->x), y = svg_y(area, chart->mark->y), bottom = area->top + area->height;
    double width = SVG_LETTER * (double)strlen(chart->mark_label == NULL ? "" : chart->mark_label);
    bool left = x + 12 + width > area->left + area->width;
    svg_line(to, x, y + 8, x, bottom, "mark s1");
    fprintf(to, "<circle class=\"ring s1\" cx=\"%.1f\" cy=\"%.1f\" r=\"8\"/>\n", x, y);
    svg_text(to, left ? x - 10 : x + 10, bottom - 12, "strong", left ? "end" : "start", chart->mark_label);
}

/* The names of the series, from the right end of the line above the area. */
static void svg_legend(FILE *to, const svg_area *area, const plot_chart *chart)
{
    double x = area->left + area->width, y = area->top - 14;
    int colour = 0;
    for (size_t i = 0; i < chart->series_count; i++)
        colour += !chart->series[i].is_guide;
    for (size_t i = chart->series_count; i > 0; i--) {
        const plot_series *series = &chart->series[i - 1];
        char classes[24] = "guide";
        if (!series->is_guide)
            snprintf(classes, sizeof(classes), "curve s%d", --colour % SVG_COLOURS);
        x -= SVG_LETTER * (double)strlen(series->name);
        svg_text(to, x, y + 4, "name", "start", series->name);
        svg_line(to, x - 32, y, x - 8, y, classes);
        x -= 54;
    }
}

/* Room beside the first and the last point. */
static void svg_pad(plot_scale *x)
{
    double room = 0.025 * (x->high - x->low);
    if (x->is_log)
        return;
    x->low -= room;
    x->high += room;
}

static void svg_chart(FILE *to, const plot_chart *chart, double top, bool last)
{
    svg_area area = {.left = SVG_LEFT, .top = top, .width = SVG_WIDTH - SVG_LEFT - SVG_RIGHT, .height = chart->height};
    int colour = 0;
    plot_chart_scales(chart, &area.x, &area.y, 16, chart->height < 160 ? 3 : 6);
    svg_pad(&area.x);
    svg_axes(to, &area, chart, last);
    if (chart->series_count > 1)
        svg_legend(to, &area, chart);
    for (size_t i = 0; i < chart->series_count; i++)
        if (chart->series[i].is_guide)
            svg_guide(to, &area, &chart->series[i]);
    for (size_t i = 0; i < chart->series_count; i++)
        if (!chart->series[i].is_guide)
            svg_series(to, &area, &chart->series[i], colour++ % SVG_COLOURS);
    if (chart->mark != NULL)
        svg_mark(to, &area, chart);
}

bool plot_write_lines(FILE *to, const plot_chart *charts, size_t count)
{
    double height = SVG_HEAD + SVG_FOOT, top = SVG_HEAD;
    for (size_t i = 0; i < count; i++)
        height += SVG_OVER + charts[i].height + (i > 0 ? SVG_UNDER : 0);
    svg_open(to, height, charts[0].title, charts[0].note);
    for (size_t i = 0; i < count; i++) {
        top += SVG_OVER;
        svg_chart(to, &charts[i], top, i + 1 == count);
        top += charts[i].height + SVG_UNDER;
    }
    return svg_close(to);
}

/* ---- bars -------------------------------------------------------------------------------------------------------- */

static void svg_panel_scale(const plot_bars *bars, const plot_panel *panel, plot_scale *scale, double width)
{
    double low = INFINITY, high = 0;
    for (size_t i = 0; i < bars->row_count * bars->series_count; i++)
        if (panel->values[i] >= 0) {
            high = fmax(high, panel->values[i]);
            if (panel->values[i] > 0)
                low = fmin(low, panel->values[i]);
        }
    if (panel->is_log && high > 0)
        plot_scale_log(scale, low / 2, high, 10);
    else
        plot_scale_linear(scale, 0, high > 0 ? high * 1.15 : 1, (int)(width / 60), false);
}

static void svg_bar(FILE *to, double left, double y, double length, size_t series, double value)
{
    char text[32];
    plot_format(text, sizeof(text), value);
    fprintf(to, "<rect class=\"f%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"1.5\"/>\n",
            series % SVG_COLOURS, left, y, length > 1 ? length : 1, SVG_BAR - 2);
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" style=\"font-size:10px\">%s</text>\n", left + length + 4, y + SVG_BAR - 3,
            text);
}

static void svg_panel(FILE *to, const plot_bars *bars, const plot_panel *panel, const svg_area *area, double row_height)
{
    char text[32];
    plot_scale scale;
    double inner = area->width - 34; /* room for the longest bar's number */
    svg_panel_scale(bars, panel, &scale, inner);
    svg_text(to, area->left, area->top - 12, "strong", "start", panel->title);
    for (size_t i = 0; i < scale.count; i++) {
        double x = area->left + plot_scale_place(&scale, scale.ticks[i]) * inner;
        svg_line(to, x, area->top, x, area->top + area->height, i == 0 ? "axis" : "grid");
        plot_format(text, sizeof(text), scale.ticks[i]);
        svg_text(to, x, area->top + area->height + 17, "tick", "middle", text);
    }
    for (size_t row = 0; row < bars->row_count; row++) {
        size_t count = panel->has_one ? 1 : bars->series_count;
        double top = area->top + (double)row * row_height + (row_height - (double)count * SVG_BAR) / 2;
        for (size_t s = 0; s < count; s++) {
            double y = top + (double)s * SVG_BAR;
            double value = panel->values[row * bars->series_count + s];
            if (value >= 0)
                svg_bar(to, area->left, y, plot_scale_place(&scale, value) * inner, panel->has_one ? 5 : s, value);
        }
    }
}

bool plot_write_bars(FILE *to, const plot_bars *bars)
{
    double row_height = SVG_BAR * (double)bars->series_count + SVG_ROW_GAP, names = 40;
    for (size_t i = 0; i < bars->row_count; i++)
        names = fmax(names, SVG_LETTER * (double)strlen(bars->rows[i]) + 14);
    double count = (double)bars->panel_count, height = row_height * (double)bars->row_count, x = 24;
    double width = (SVG_WIDTH - 24 - SVG_RIGHT - names - (count - 1) * SVG_PANEL_GAP) / count;
    double top = SVG_HEAD + 52;
    svg_open(to, top + height + 40, bars->title, bars->note);
    for (size_t i = 0; i < bars->series_count && bars->series_count > 1; i++) {
        fprintf(to, "<rect class=\"f%zu\" x=\"%.1f\" y=\"%d\" width=\"11\" height=\"11\" rx=\"2\"/>\n", i % SVG_COLOURS,
                x, SVG_HEAD);
        svg_text(to, x + 17, SVG_HEAD + 10, "name", "start", bars->series[i]);
        x += SVG_LETTER * (double)strlen(bars->series[i]) + 40;
    }
    for (size_t row = 0; row < bars->row_count; row++) {
        double y = top + ((double)row + 0.5) * row_height;
        svg_text(to, 24 + names - 14, y + 4, "name", "end", bars->rows[row]);
    }
    for (size_t i = 0; i < bars->panel_count; i++) {
        double left = 24 + names + (double)i * (width + SVG_PANEL_GAP);
        svg_area area = {.left = left, .top = top, .width = width, .height = height};
        svg_panel(to, bars, &bars->panels[i], &area, row_height);
    }
    return svg_close(to);
}
