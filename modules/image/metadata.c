/* SPDX-License-Identifier: MIT */
/*
 * Profiles that call themselves sRGB come in dozens of spellings, and others lie; so we ask lcms what the profile
 * does to a cube of colours and compare. A difference nobody sees (PROFILE_DIFFERENCE_MAX of 255) is sRGB.
 */
#include "metadata.h"

#include <lcms2.h>
#include <libexif/exif-data.h>
#include <stdlib.h>
#include <string.h>

#define PROFILE_STEPS 6 /* a side of the cube */
#define PROFILE_COLORS (PROFILE_STEPS * PROFILE_STEPS * PROFILE_STEPS)
#define PROFILE_DIFFERENCE_MAX 3

static size_t metadata_make_colors(uint8_t *colors, int components)
{
    size_t count = 0;

    for (int i = 0; i < PROFILE_COLORS; i++) {
        int digits[3] = {i % PROFILE_STEPS, i / PROFILE_STEPS % PROFILE_STEPS, i / PROFILE_STEPS / PROFILE_STEPS};
        if (components == 1) {
            colors[count++] = (uint8_t)(i * 255 / (PROFILE_COLORS - 1));
            continue;
        }
        for (int j = 0; j < 3; j++)
            colors[count++] = (uint8_t)(digits[j] * 255 / (PROFILE_STEPS - 1));
    }
    return count;
}

static bool metadata_colors_same(cmsHTRANSFORM transform, int components)
{
    uint8_t before[PROFILE_COLORS * 3];
    uint8_t after[PROFILE_COLORS * 3];

    metadata_make_colors(before, components);
    cmsDoTransform(transform, before, after, PROFILE_COLORS);
    for (int i = 0; i < PROFILE_COLORS * 3; i++) {
        int expected = components == 1 ? before[i / 3] : before[i];
        if (abs(expected - after[i]) > PROFILE_DIFFERENCE_MAX)
            return false;
    }
    return true;
}

static bool metadata_compare(cmsContext context, const uint8_t *profile, size_t profile_size, int components)
{
    bool same = false;
    cmsHPROFILE from = cmsOpenProfileFromMemTHR(context, profile, (cmsUInt32Number)profile_size);
    cmsHPROFILE to = cmsCreate_sRGBProfileTHR(context);
    cmsColorSpaceSignature space = components == 1 ? cmsSigGrayData : cmsSigRgbData;

    if (from != NULL && to != NULL && cmsGetColorSpace(from) == space) {
        cmsUInt32Number layout = components == 1 ? TYPE_GRAY_8 : TYPE_RGB_8;
        cmsHTRANSFORM transform = cmsCreateTransformTHR(context, from, layout, to, TYPE_RGB_8,
                                                        INTENT_RELATIVE_COLORIMETRIC,
                                                        cmsFLAGS_NOOPTIMIZE | cmsFLAGS_NOCACHE);
        if (transform != NULL) {
            same = metadata_colors_same(transform, components);
            cmsDeleteTransform(transform);
        }
    }
    if (from != NULL)
        cmsCloseProfile(from);
    if (to != NULL)
        cmsCloseProfile(to);
    return same;
}

/* FNV-1a, Fowler, Noll and Vo. A profile made to clash only spoils the colours of its own batch. */
static uint64_t metadata_hash(const uint8_t *bytes, size_t byte_count, int components)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)components;

    for (size_t i = 0; i < byte_count; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

bool image_profile_is_srgb(image_cache *cache, const uint8_t *profile, size_t profile_size, int components)
{
    uint64_t hash = metadata_hash(profile, profile_size, components);

    if (cache != NULL && cache->profile_size == profile_size && cache->profile_hash == hash)
        return cache->profile_is_srgb;
    cmsContext context = cmsCreateContext(NULL, NULL);
    if (context == NULL)
        return false;
    bool same = metadata_compare(context, profile, profile_size, components);
    cmsDeleteContext(context);
    if (cache != NULL) {
        cache->profile_hash = hash;
        cache->profile_size = profile_size;
        cache->profile_is_srgb = same;
    }
    return same;
}

int image_exif_orientation(const uint8_t *segment, size_t segment_size)
{
    int orientation = 1;

    if (segment_size < 6 || memcmp(segment, "Exif\0", 6) != 0)
        return 1;
    ExifData *data = exif_data_new_from_data(segment, (unsigned)segment_size);
    if (data == NULL)
        return 1;
    ExifEntry *entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
    if (entry != NULL && entry->format == EXIF_FORMAT_SHORT && entry->components >= 1 && entry->size >= 2)
        orientation = exif_get_short(entry->data, exif_data_get_byte_order(data));
    exif_data_unref(data);
    return orientation >= 1 && orientation <= 8 ? orientation : 1;
}
