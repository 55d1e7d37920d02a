/* SPDX-License-Identifier: MIT */
/*
 * Formats by magic bytes, sizes by the few header bytes that hold them. Everything here reads hostile bytes:
 * each read goes through a bounds check, each walk moves forward or ends.
 *
 * Sources: ITU T.81 B (JPEG), PNG 3rd edition 5 and 11, GIF89a, RFC 9649 (WebP), TIFF 6.0 and BigTIFF,
 * ISO/IEC 14496-12 (ftyp). AVIF, HEIF and TIFF sizes are read by libvips' header call, which decodes nothing either.
 */
#include "sniff.h"

#include <string.h>

static uint32_t sniff_big16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

static uint32_t sniff_big32(const uint8_t *at) { return sniff_big16(at) << 16 | sniff_big16(at + 2); }

static uint32_t sniff_little16(const uint8_t *at) { return (uint32_t)at[1] << 8 | at[0]; }

static uint32_t sniff_little32(const uint8_t *at) { return sniff_little16(at + 2) << 16 | sniff_little16(at); }

static bool sniff_is(const uint8_t *bytes, size_t byte_count, size_t at, const char *magic, size_t magic_size)
{
    return byte_count >= at + magic_size && memcmp(bytes + at, magic, magic_size) == 0;
}

static image_format sniff_brand(const uint8_t *bytes, size_t byte_count)
{
    static const char *const heif[] = {"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"};

    if (byte_count < 16)
        return IMAGE_FORMAT_NONE;
    size_t end = sniff_big32(bytes);
    if (end > byte_count)
        end = byte_count;
    /* The major brand, then the compatible ones: files of brand mif1 name avif among those. */
    for (size_t at = 8; at + 4 <= end; at += at == 8 ? 8 : 4)
        if (memcmp(bytes + at, "avif", 4) == 0 || memcmp(bytes + at, "avis", 4) == 0)
            return IMAGE_FORMAT_AVIF;
    for (size_t i = 0; i < sizeof(heif) / sizeof(heif[0]); i++)
        if (memcmp(bytes + 8, heif[i], 4) == 0)
            return IMAGE_FORMAT_HEIF;
    return IMAGE_FORMAT_NONE;
}

image_format image_sniff(const uint8_t *bytes, size_t byte_count)
{
    static const struct {
        const char *magic;
        size_t size;
        image_format format;
    } magics[] = {
        {"\xff\xd8\xff", 3, IMAGE_FORMAT_JPEG}, {"\x89PNG\r\n\x1a\n", 8, IMAGE_FORMAT_PNG},
        {"GIF87a", 6, IMAGE_FORMAT_GIF},        {"GIF89a", 6, IMAGE_FORMAT_GIF},
        {"II*\0", 4, IMAGE_FORMAT_TIFF},        {"MM\0*", 4, IMAGE_FORMAT_TIFF},
        {"II+\0", 4, IMAGE_FORMAT_TIFF},        {"MM\0+", 4, IMAGE_FORMAT_TIFF},
    };

    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
        if (sniff_is(bytes, byte_count, 0, magics[i].magic, magics[i].size))
            return magics[i].format;
    if (sniff_is(bytes, byte_count, 0, "RIFF", 4) && sniff_is(bytes, byte_count, 8, "WEBP", 4))
        return IMAGE_FORMAT_WEBP;
    if (sniff_is(bytes, byte_count, 4, "ftyp", 4))
        return sniff_brand(bytes, byte_count);
    return IMAGE_FORMAT_NONE;
}

static bool sniff_cut(image_error *error, const char *name)
{
    return image_fail(error, IMAGE_CORRUPT, 0, "corrupt %s: the file ends inside its header", name);
}

static bool sniff_jpeg(const uint8_t *bytes, size_t byte_count, image_header *header, image_error *error)
{
    size_t at = 2;

    while (at + 4 <= byte_count) {
        if (bytes[at] != 0xff)
            return image_fail(error, IMAGE_CORRUPT, 0, "corrupt JPEG: no marker where one belongs");
        uint8_t marker = bytes[at + 1];
        if (marker == 0xff) {
            at++;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
            at += 2;
            continue;
        }
        if (marker == 0xd9 || marker == 0xda)
            return image_fail(error, IMAGE_CORRUPT, 0, "corrupt JPEG: no frame header before the data");
        bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
        if (frame) {
            if (at + 9 > byte_count)
                break;
            header->height = sniff_big16(bytes + at + 5);
            header->width = sniff_big16(bytes + at + 7);
            return true;
        }
        uint32_t length = sniff_big16(bytes + at + 2);
        if (length < 2)
            return image_fail(error, IMAGE_CORRUPT, 0, "corrupt JPEG: a header segment shorter than its length");
        at += 2 + (size_t)length;
    }
    return sniff_cut(error, "JPEG");
}

static bool sniff_png(const uint8_t *bytes, size_t byte_count, image_header *header, image_error *error)
{
    if (byte_count < 33)
        return sniff_cut(error, "PNG");
    if (memcmp(bytes + 12, "IHDR", 4) != 0)
        return image_fail(error, IMAGE_CORRUPT, 0, "corrupt PNG: it does not begin with its header chunk");
    header->width = sniff_big32(bytes + 16);
    header->height = sniff_big32(bytes + 20);
    return true;
}

/* Skips a chain of GIF sub-blocks; returns the place behind its end, or byte_count. */
static size_t sniff_gif_skip(const uint8_t *bytes, size_t byte_count, size_t at)
{
    while (at < byte_count && bytes[at] != 0)
        at += 1 + (size_t)bytes[at];
    return at < byte_count ? at + 1 : byte_count;
}

static bool sniff_gif(const uint8_t *bytes, size_t byte_count, uint32_t pages_max, image_header *header,
                      image_error *error)
{
    if (byte_count < 13)
        return sniff_cut(error, "GIF");
    header->width = sniff_little16(bytes + 6);
    header->height = sniff_little16(bytes + 8);
    size_t at = 13;
    if (bytes[10] & 0x80)
        at += (size_t)3 << ((bytes[10] & 7) + 1);
    uint32_t pages = 0;
    while (at < byte_count && pages <= pages_max) {
        if (bytes[at] == 0x21) {
            at = sniff_gif_skip(bytes, byte_count, at + 2);
        } else if (bytes[at] == 0x2c && at + 10 <= byte_count) {
            uint8_t flags = bytes[at + 9];
            pages++;
            at += 10 + (flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0);
            at = sniff_gif_skip(bytes, byte_count, at + 1);
        } else {
            break;
        }
    }
    if (pages == 0)
        return image_fail(error, IMAGE_CORRUPT, 0, "corrupt GIF: no picture in it");
    header->pages = pages;
    return true;
}

static void sniff_webp_frames(const uint8_t *bytes, size_t byte_count, uint32_t pages_max, image_header *header)
{
    uint32_t frames = 0;

    for (size_t at = 12; at + 8 <= byte_count && frames <= pages_max;) {
        if (memcmp(bytes + at, "ANMF", 4) == 0)
            frames++;
        at += 8 + (size_t)sniff_little32(bytes + at + 4);
        at += at & 1;
    }
    header->pages = frames > 0 ? frames : 1;
}

static bool sniff_webp(const uint8_t *bytes, size_t byte_count, uint32_t pages_max, image_header *header,
                       image_error *error)
{
    if (byte_count < 30)
        return sniff_cut(error, "WebP");
    const uint8_t *chunk = bytes + 12;
    if (memcmp(chunk, "VP8X", 4) == 0) {
        header->width = 1 + (sniff_little32(chunk + 12) & 0xffffff);
        header->height = 1 + (sniff_little16(chunk + 15) | (uint32_t)chunk[17] << 16);
        sniff_webp_frames(bytes, byte_count, pages_max, header);
        return true;
    }
    if (memcmp(chunk, "VP8L", 4) == 0) {
        uint32_t bits = sniff_little32(chunk + 9);
        header->width = 1 + (bits & 0x3fff);
        header->height = 1 + (bits >> 14 & 0x3fff);
        return true;
    }
    if (memcmp(chunk, "VP8 ", 4) == 0) {
        header->width = sniff_little16(chunk + 14) & 0x3fff;
        header->height = sniff_little16(chunk + 16) & 0x3fff;
        return true;
    }
    return image_fail(error, IMAGE_CORRUPT, 0, "corrupt WebP: no picture chunk behind its header");
}

bool image_header_read(image_format format, const uint8_t *bytes, size_t byte_count, uint32_t pages_max,
                       image_header *header, image_error *error)
{
    image_header found = {.pages = 1};
    bool read = true;

    if (format == IMAGE_FORMAT_JPEG)
        read = sniff_jpeg(bytes, byte_count, &found, error);
    else if (format == IMAGE_FORMAT_PNG)
        read = sniff_png(bytes, byte_count, &found, error);
    else if (format == IMAGE_FORMAT_GIF)
        read = sniff_gif(bytes, byte_count, pages_max, &found, error);
    else if (format == IMAGE_FORMAT_WEBP)
        read = sniff_webp(bytes, byte_count, pages_max, &found, error);
    else
        goto done; /* the decoder's header call knows */
    if (!read)
        return false;
    if (found.width == 0 || found.height == 0)
        return image_fail(error, IMAGE_CORRUPT, 0, "corrupt %s: its header says %ux%u", image_format_name(format),
                          found.width, found.height);
done:
    *header = found;
    return true;
}
