/* SPDX-License-Identifier: MIT */
#include "ssim.h"

#define SSIM_WINDOW 8
#define SSIM_STEP 4

static double ssim_window(const uint8_t *a, const uint8_t *b, size_t stride)
{
    const double count = SSIM_WINDOW * SSIM_WINDOW;
    const double c1 = (0.01 * 255) * (0.01 * 255);
    const double c2 = (0.03 * 255) * (0.03 * 255);
    double sum_a = 0, sum_b = 0, sum_aa = 0, sum_bb = 0, sum_ab = 0;

    for (size_t y = 0; y < SSIM_WINDOW; y++)
        for (size_t x = 0; x < SSIM_WINDOW; x++) {
            double va = a[y * stride + x];
            double vb = b[y * stride + x];
            sum_a += va;
            sum_b += vb;
            sum_aa += va * va;
            sum_bb += vb * vb;
            sum_ab += va * vb;
        }
    double mean_a = sum_a / count;
    double mean_b = sum_b / count;
    double variance_a = sum_aa / count - mean_a * mean_a;
    double variance_b = sum_bb / count - mean_b * mean_b;
    double covariance = sum_ab / count - mean_a * mean_b;
    return (2 * mean_a * mean_b + c1) * (2 * covariance + c2) /
           ((mean_a * mean_a + mean_b * mean_b + c1) * (variance_a + variance_b + c2));
}

double ssim_planes(const uint8_t *a, const uint8_t *b, size_t width, size_t height)
{
    double sum = 0;
    size_t windows = 0;

    for (size_t y = 0; y + SSIM_WINDOW <= height; y += SSIM_STEP)
        for (size_t x = 0; x + SSIM_WINDOW <= width; x += SSIM_STEP, windows++)
            sum += ssim_window(a + y * width + x, b + y * width + x, width);
    return windows > 0 ? sum / (double)windows : 0;
}
