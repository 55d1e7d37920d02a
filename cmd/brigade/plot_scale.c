/* SPDX-License-Identifier: MIT */
/* Round ticks: Heckbert, Nice numbers for graph labels (Graphics Gems, 1990). */
#include <math.h>

#include "plot.h"

/* 1, 2 or 5 times a power of ten, not below `value`. */
static double scale_round_up(double value)
{
    double power = pow(10, floor(log10(value))), part = value / power;
    return (part <= 1 + 1e-9 ? 1 : part <= 2 + 1e-9 ? 2 : part <= 5 + 1e-9 ? 5 : 10) * power;
}

void plot_scale_linear(plot_scale *self, double low, double high, int wanted, bool whole)
{
    if (!(high > low))
        high = low + 1;
    double step = scale_round_up((high - low) / (wanted > 1 ? wanted : 1));
    if (whole && step < 1)
        step = 1;
    while ((high - low) / step > PLOT_TICKS_MAX - 2)
        step = scale_round_up(step * 1.5);
    *self = (plot_scale){.low = floor(low / step + 1e-9) * step, .high = ceil(high / step - 1e-9) * step};
    size_t count = (size_t)lround((self->high - self->low) / step);
    for (size_t i = 0; i <= count && i < PLOT_TICKS_MAX; i++)
        self->ticks[self->count++] = self->low + (double)i * step;
}

void plot_scale_log(plot_scale *self, double low, double high, double base)
{
    double first = floor(log(low) / log(base) + 1e-9), last = ceil(log(high) / log(base) - 1e-9);
    if (last <= first)
        last = first + 1;
    *self = (plot_scale){.low = pow(base, first), .high = pow(base, last), .is_log = true};
    for (int power = (int)first; power <= (int)last && self->count < PLOT_TICKS_MAX; power++)
        self->ticks[self->count++] = pow(base, power);
}

double plot_scale_place(const plot_scale *self, double value)
{
    if (!self->is_log)
        return (value - self->low) / (self->high - self->low);
    if (value < self->low)
        value = self->low;
    return log(value / self->low) / log(self->high / self->low);
}

void plot_format(char *text, size_t size, double value)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    size_t unit = 0;
    double left = fabs(value);
    while (left >= 999.5 && unit < 4) {
        left /= 1000;
        value /= 1000;
        unit++;
    }
    if (left >= 1 || unit > 0)
        snprintf(text, size, "%.*f%s", left < 9.995 ? 2 : left < 99.95 ? 1 : 0, value, units[unit]);
    else
        snprintf(text, size, "%.2g", value);
    /* 2.00k is 2k */
    char *point = NULL, *end = text;
    for (char *at = text; (*at >= '0' && *at <= '9') || *at == '.' || *at == '-'; at++) {
        if (*at == '.')
            point = at;
        end = at + 1;
    }
    if (point == NULL)
        return;
    char *cut = end;
    while (cut[-1] == '0')
        cut--;
    if (cut - 1 == point)
        cut--;
    for (char *from = end;; from++) {
        *cut++ = *from;
        if (*from == '\0')
            break;
    }
}

/* No empty ends: the low end itself is a tick, where there is room for one. */
static void scale_fit(plot_scale *self, double low, double high)
{
    plot_scale fitted = {.low = low, .high = high > low ? high : low + 1, .ticks = {low}, .count = 1};
    double step = self->count > 1 ? self->ticks[1] - self->ticks[0] : 1;
    for (size_t i = 0; i < self->count; i++)
        if (self->ticks[i] >= low + 0.6 * step && self->ticks[i] <= fitted.high + 1e-9 && fitted.count < PLOT_TICKS_MAX)
            fitted.ticks[fitted.count++] = self->ticks[i];
    *self = fitted;
}

void plot_chart_scales(const plot_chart *chart, plot_scale *x, plot_scale *y, int x_wanted, int y_wanted)
{
    double low = INFINITY, high = -INFINITY, top = 0;
    for (size_t s = 0; s < chart->series_count; s++)
        for (size_t i = 0; i < chart->series[s].count; i++) {
            const plot_point *point = &chart->series[s].points[i];
            low = fmin(low, point->x);
            high = fmax(high, point->x);
            if (!chart->series[s].is_guide)
                top = fmax(top, fmax(point->y, point->high));
        }
    if (!(low <= high))
        low = high = 1;
    if (low > 0 && high / low > 32)
        plot_scale_log(x, low, high, 2);
    else
        plot_scale_linear(x, low, high, x_wanted, true);
    if (!x->is_log)
        scale_fit(x, low, high);
    plot_scale_linear(y, 0, top > 0 ? top * 1.02 : 1, y_wanted, false);
}
