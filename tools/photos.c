/* SPDX-License-Identifier: MIT */
/*
 * Fills a directory with pictures to try brigade on:
 *     photos [--count N] [--size WIDTHxHEIGHT] [--hostile] DIRECTORY [PHOTOGRAPH...]
 * Each picture is another cut-out of one of the photographs, at photographic size. Without photographs it renders
 * landscapes of fractal noise with a camera's grain, whose detail costs a codec as much as a photograph's. --hostile
 * adds the files that a picture service meets sooner or later. The same arguments give the same pictures.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <vips/vips.h>

#define PHOTOS_PATH_MAX 4096
#define PHOTOS_QUALITY 90

typedef struct photos_options {
    const char *directory;
    char **sources;
    int source_count;
    int count;
    int width;
    int height;
    bool hostile;
} photos_options;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t photos_random(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

static double photos_random_unit(uint64_t *state) { return (double)(photos_random(state) >> 11) / 9007199254740992.0; }

static int photos_fail_vips(const char *path)
{
    fprintf(stderr, "photos: %s: %s", path, vips_error_buffer());
    vips_error_clear();
    return -1;
}

static int photos_save(VipsImage *image, const char *path)
{
    return vips_jpegsave(image, path, "Q", PHOTOS_QUALITY, "strip", TRUE, NULL) == 0 ? 0 : photos_fail_vips(path);
}

/* ---- cut-outs of photographs -------------------------------------------------------------------------------- */

/* A window of the target's shape, between 60 % and all of the photograph, anywhere in it. */
static int photos_cut(const photos_options *options, VipsImage *photo, uint64_t *state, VipsImage **out)
{
    double shape = (double)options->width / options->height;
    double widest = fmin(photo->Xsize, photo->Ysize * shape);
    int width = (int)(widest * (0.6 + 0.4 * photos_random_unit(state)));
    int height = (int)(width / shape);
    int left = (int)((photo->Xsize - width) * photos_random_unit(state));
    int top = (int)((photo->Ysize - height) * photos_random_unit(state));
    VipsImage *window = NULL;

    if (vips_extract_area(photo, &window, left, top, width, height, NULL) != 0)
        return -1;
    int failed = vips_thumbnail_image(window, out, options->width, "height", options->height, "size", VIPS_SIZE_FORCE,
                                      NULL);
    g_object_unref(window);
    return failed;
}

static int photos_from_source(const photos_options *options, int index, const char *path)
{
    const char *source = options->sources[index % options->source_count];
    uint64_t state = (uint64_t)index + 1;
    VipsImage *photo = vips_image_new_from_file(source, NULL);
    VipsImage *picture = NULL;

    if (photo == NULL || photos_cut(options, photo, &state, &picture) != 0) {
        g_clear_object(&photo);
        return photos_fail_vips(source);
    }
    int failed = photos_save(picture, path);
    g_object_unref(picture);
    g_object_unref(photo);
    return failed;
}

/* ---- rendered landscapes ------------------------------------------------------------------------------------ */

static double photos_lattice(int x, int y, uint64_t seed)
{
    uint64_t state = seed ^ ((uint64_t)(uint32_t)x << 32 | (uint32_t)y);

    return photos_random_unit(&state);
}

/* Value noise with smooth interpolation, octaves added: fractional Brownian motion (Perlin 1985, Musgrave 1994). */
static double photos_noise(double x, double y, uint64_t seed)
{
    int left = (int)floor(x);
    int top = (int)floor(y);
    double across = x - left;
    double down = y - top;

    across = across * across * (3 - 2 * across);
    down = down * down * (3 - 2 * down);
    double upper = photos_lattice(left, top, seed) * (1 - across) + photos_lattice(left + 1, top, seed) * across;
    double lower = photos_lattice(left, top + 1, seed) * (1 - across) +
                   photos_lattice(left + 1, top + 1, seed) * across;
    return upper * (1 - down) + lower * down;
}

static double photos_fractal(double x, double y, int octaves, uint64_t seed)
{
    double sum = 0;
    double weight = 0.5;

    for (int i = 0; i < octaves; i++, x *= 2, y *= 2, weight /= 2)
        sum += weight * photos_noise(x, y, seed + (uint64_t)i);
    return sum;
}

static void photos_shade(double x, double y, uint64_t seed, double color[3])
{
    double ridge = 0.35 + 0.5 * photos_fractal(x * 3, 0, 6, seed);

    if (y < ridge) {
        double cloud = fmax(0, photos_fractal(x * 4, y * 8, 7, seed + 50) - 0.45) * 3;
        color[0] = 90 + 100 * y + 130 * cloud;
        color[1] = 140 + 70 * y + 90 * cloud;
        color[2] = 215 + 30 * cloud;
        return;
    }
    double ground = photos_fractal(x * 24, y * 24, 8, seed + 99);
    double patch = photos_fractal(x * 5, y * 5, 4, seed + 200);
    double light = 0.35 + 1.3 * ground * (0.6 + 0.4 * (y - ridge));
    color[0] = light * (110 + 110 * patch);
    color[1] = light * (150 + 30 * patch);
    color[2] = light * (70 + 40 * (1 - patch));
}

static void photos_render_pixels(const photos_options *options, uint64_t seed, uint8_t *pixels)
{
    uint64_t state = seed;

    for (int y = 0; y < options->height; y++) {
        for (int x = 0; x < options->width; x++, pixels += 3) {
            double color[3];
            photos_shade((double)x / options->width, (double)y / options->height, seed, color);
            double grain = (photos_random_unit(&state) + photos_random_unit(&state) - 1) * 6;
            for (int i = 0; i < 3; i++)
                pixels[i] = (uint8_t)fmin(255, fmax(0, color[i] + grain));
        }
    }
}

static int photos_from_noise(const photos_options *options, int index, const char *path)
{
    size_t size = (size_t)options->width * (size_t)options->height * 3;
    uint8_t *pixels = malloc(size);

    if (pixels == NULL)
        return -1;
    photos_render_pixels(options, (uint64_t)index * 1000 + 7, pixels);
    VipsImage *image = vips_image_new_from_memory(pixels, size, options->width, options->height, 3, VIPS_FORMAT_UCHAR);
    VipsImage *picture = NULL;
    int failed = image == NULL || vips_copy(image, &picture, "interpretation", VIPS_INTERPRETATION_sRGB, NULL) != 0;
    failed = failed ? photos_fail_vips(path) : photos_save(picture, path);
    g_clear_object(&picture);
    g_clear_object(&image);
    free(pixels);
    return failed;
}

/* ---- hostile files ------------------------------------------------------------------------------------------ */

static int photos_write(const photos_options *options, const char *name, const void *bytes, size_t size)
{
    char path[PHOTOS_PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", options->directory, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    bool written = fwrite(bytes, 1, size, file) == size;
    written = fclose(file) == 0 && written;
    if (!written)
        perror(path);
    return written ? 0 : -1;
}

/* The first picture, cut off in the middle, and with its middle overwritten. */
static int photos_damage(const photos_options *options)
{
    char path[PHOTOS_PATH_MAX];
    char *bytes = NULL;
    size_t size = 0;

    snprintf(path, sizeof(path), "%s/photo-0000.jpg", options->directory);
    if (!g_file_get_contents(path, &bytes, &size, NULL)) {
        fprintf(stderr, "photos: cannot read %s\n", path);
        return -1;
    }
    int failed = photos_write(options, "hostile-truncated.jpg", bytes, size / 2);
    memset(bytes + size / 3, 0xff, size / 8);
    failed |= photos_write(options, "hostile-corrupt.jpg", bytes, size);
    g_free(bytes);
    return failed;
}

static int photos_hostile(const photos_options *options)
{
    static const char text[] = "This is a letter, not a picture.\n";
    /* A PNG that says it is 50001 x 50001: 7.5 GB once decoded. */
    static const uint8_t bomb[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0,    0, 0,    13,
                                   'I',  'H', 'D', 'R', 0,    0,    0xc3, 0x51, 0,    0, 0xc3, 0x51,
                                   8,    2,   0,   0,   0,    0xd5, 0xfb, 0x31, 0x9f, 0, 0,    0,
                                   0,    'I', 'E', 'N', 'D',  0xae, 'B',  0x60, 0x82};
    char path[PHOTOS_PATH_MAX];

    snprintf(path, sizeof(path), "%s/hostile-directory.jpg", options->directory);
    int failed = mkdir(path, 0777) != 0 && !g_file_test(path, G_FILE_TEST_IS_DIR);
    failed |= photos_write(options, "hostile-bomb.png", bomb, sizeof(bomb));
    failed |= photos_write(options, "hostile-text.jpg", text, sizeof(text) - 1);
    failed |= photos_write(options, "hostile-empty.jpg", "", 0);
    return photos_damage(options) | failed ? -1 : 0;
}

/* ---- the program -------------------------------------------------------------------------------------------- */

static int photos_usage(void)
{
    fputs("usage: photos [--count N] [--size WIDTHxHEIGHT] [--hostile] DIRECTORY [PHOTOGRAPH...]\n", stderr);
    return 2;
}

static bool photos_parse(int argc, char **argv, photos_options *options)
{
    int i = 1;

    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--hostile") == 0)
            options->hostile = true;
        else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
            options->count = atoi(argv[++i]);
        else if (strcmp(argv[i], "--size") != 0 || i + 1 >= argc ||
                 sscanf(argv[++i], "%dx%d", &options->width, &options->height) != 2)
            return false;
    }
    if (i >= argc || options->count < 1 || options->width < 16 || options->height < 16)
        return false;
    options->directory = argv[i];
    options->sources = argv + i + 1;
    options->source_count = argc - i - 1;
    return true;
}

static int photos_make(const photos_options *options)
{
    char path[PHOTOS_PATH_MAX];

    for (int i = 0; i < options->count; i++) {
        snprintf(path, sizeof(path), "%s/photo-%04d.jpg", options->directory, i);
        if (g_file_test(path, G_FILE_TEST_EXISTS))
            continue;
        int failed = options->source_count > 0 ? photos_from_source(options, i, path)
                                               : photos_from_noise(options, i, path);
        if (failed != 0)
            return -1;
    }
    return options->hostile ? photos_hostile(options) : 0;
}

int main(int argc, char **argv)
{
    photos_options options = {.count = 60, .width = 2000, .height = 1500};

    if (!photos_parse(argc, argv, &options))
        return photos_usage();
    if (vips_init(argv[0]) != 0)
        return 1;
    mkdir(options.directory, 0777);
    int failed = photos_make(&options);
    vips_shutdown();
    return failed == 0 ? 0 : 1;
}
