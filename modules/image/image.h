/* SPDX-License-Identifier: MIT */
/*
 * The image task module, inside: a request, what runs it, and what comes out. Nothing here knows workers;
 * request.c fills a request from a value and module.c hands it over.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The stable codes of failed tasks, listed once: they are brg_error.code. X(name, number, meaning). */
#define IMAGE_CODE_MAP(X)                                                                                              \
    X(BAD_REQUEST, 1, "the request is wrong")                                                                          \
    X(UNREADABLE, 2, "the input cannot be read")                                                                       \
    X(UNKNOWN_FORMAT, 3, "the input is no picture we know")                                                            \
    X(CORRUPT, 4, "the input is damaged")                                                                              \
    X(LIMIT, 5, "a limit on pixels, bytes or pages is passed")                                                         \
    X(UNSUPPORTED, 6, "this picture or format is not supported")                                                       \
    X(WRITE_FAILED, 7, "the output cannot be written")                                                                 \
    X(EXISTS, 8, "the output exists and overwrite is not set")                                                         \
    X(NO_MEMORY, 9, "out of memory")                                                                                   \
    X(CANCELLED, 10, "the task was cancelled")

typedef enum image_code {
    IMAGE_OK = 0,
#define IMAGE_CODE_ENUM(name, number, meaning) IMAGE_##name = number,
    IMAGE_CODE_MAP(IMAGE_CODE_ENUM)
#undef IMAGE_CODE_ENUM
} image_code;

typedef enum image_format {
    IMAGE_FORMAT_NONE = 0,
    IMAGE_FORMAT_JPEG,
    IMAGE_FORMAT_PNG,
    IMAGE_FORMAT_WEBP,
    IMAGE_FORMAT_AVIF,
    IMAGE_FORMAT_GIF,
    IMAGE_FORMAT_TIFF,
    IMAGE_FORMAT_HEIF /* read only */
} image_format;

typedef enum image_op_kind {
    IMAGE_OP_RESIZE, /* thumbnail too */
    IMAGE_OP_ROTATE,
    IMAGE_OP_BLUR,
    IMAGE_OP_SHARPEN,
    IMAGE_OP_GRAYSCALE
} image_op_kind;

typedef enum image_fit {
    IMAGE_FIT_COVER,   /* fills the box, cuts what sticks out, centred */
    IMAGE_FIT_CONTAIN, /* whole picture in the box, letterboxed to its size */
    IMAGE_FIT_INSIDE   /* whole picture no larger than the box, never enlarged */
} image_fit;

typedef struct image_color {
    uint8_t red;
    uint8_t green;
    uint8_t blue;
    bool set;
} image_color;

typedef struct image_op {
    image_op_kind kind;
    uint32_t width;  /* resize: 0 follows from the height */
    uint32_t height; /* resize: 0 follows from the width */
    image_fit fit;
    double sigma; /* blur, sharpen */
    double angle; /* rotate: degrees clockwise */
    image_color background;
} image_op;

/* How to encode. NONE, 0 and -1 mean "not said". */
typedef struct image_encoding {
    image_format format;
    int quality;     /* 1..100; lossless formats have none */
    int effort;      /* 0..9; -1: the encoder's default */
    int progressive; /* 0, 1; -1 */
    int lossless;    /* 0, 1; -1: webp, avif */
} image_encoding;

#define IMAGE_OPS_MAX 32
#define IMAGE_SIDE_MAX 65500 /* what JPEG can hold */
#define IMAGE_MEGAPIXELS_MAX 50.0
#define IMAGE_BYTES_MAX ((uint64_t)256 << 20)
#define IMAGE_PAGES_MAX 1000

/* Strings and bytes are borrowed and outlive the run. */
typedef struct image_request {
    const char *input; /* a path, or NULL: `bytes` */
    const void *bytes;
    size_t byte_count;
    const char *output; /* a path, or NULL: the result holds the bytes */
    image_op ops[IMAGE_OPS_MAX];
    size_t op_count;
    image_encoding wanted;   /* what the caller said */
    image_encoding fallback; /* what the operation says where the caller did not */
    image_color background;  /* under transparency, beside letterboxed pictures */
    bool smallest;           /* optimize: keep the coefficients where encoding anew gains nothing */
    bool keep_metadata;
    bool fsync;
    bool overwrite;
    double megapixels_max;
    uint64_t bytes_max;
    /* Of a file with more pages or frames than this nothing is done; of others the first page is used. */
    uint32_t pages_max;
    bool force_vips; /* for tests: never the fast path */
    bool (*cancelled)(void *user_data);
    void *user_data;
} image_request;

typedef struct image_error {
    image_code code;
    int os_errno;
    char message[256];
} image_error;

typedef struct image_result {
    uint32_t width;
    uint32_t height;
    image_format format;
    uint32_t pages; /* of the input */
    uint64_t pixels_in;
    size_t bytes_in;
    size_t bytes_out;
    bool fast;     /* which path did it */
    bool original; /* optimize kept the coefficients */
    void *data;    /* the encoded picture where no output was named; the caller's to image_result_done */
} image_result;

/* What a worker keeps between tasks: resize graphs, the last colour profile's verdict. One thread at a time. */
typedef struct image_cache image_cache;

image_cache *image_cache_create(void);
void image_cache_destroy(image_cache *cache);

/* Once in the process, before the first run; starts no thread. False with a reason. */
bool image_start(image_error *error);
/* On each thread that ran pictures, after its last one. */
void image_thread_end(void);

void image_request_init(image_request *request);

/* Runs one request whole. False: `error` says why, `result` is untouched and no file is left behind. */
bool image_run(image_cache *cache, const image_request *request, image_result *result, image_error *error);
void image_result_done(image_result *result);

/* Fills `error` and returns false. */
bool image_fail(image_error *error, image_code code, int os_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
bool image_fail_memory(image_error *error);
bool image_check_cancelled(const image_request *request, image_error *error);

/* "jpeg" and so on; NONE for an unknown name. */
const char *image_format_name(image_format format);
image_format image_format_from_name(const char *name);
image_format image_format_from_path(const char *path);

#endif
