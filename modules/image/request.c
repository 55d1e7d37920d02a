/* SPDX-License-Identifier: MIT */
/*
 * One table lists every key with its type and range, one every operation with the keys it takes; reading, checking and
 * the messages follow from them.
 */
#include "request.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Who takes a key. */
enum {
    REQUEST_TASK = 1, /* every task, beside its operation's keys */
    REQUEST_PIPELINE = 2,
    REQUEST_BOX = 4,
    REQUEST_SIGMA = 8,
    REQUEST_ANGLE = 16,
    REQUEST_BACKGROUND = 32,
    REQUEST_ENCODING = 64,
    REQUEST_STEP = 128 /* an entry of a pipeline's operations */
};

typedef enum request_type {
    REQUEST_STRING,
    REQUEST_BYTES,
    REQUEST_BOOL,
    REQUEST_WHOLE,
    REQUEST_NUMBER,
    REQUEST_LIST
} request_type;

/* What a map said; unsaid: NULL, NAN, or a view of nothing. Bools are 0, 1 and NAN. */
typedef struct request_fields {
    const char *input;
    const char *output;
    const char *op;
    const char *fit;
    const char *format;
    const char *background;
    brg_view bytes;
    brg_view operations;
    double width;
    double height;
    double sigma;
    double angle;
    double quality;
    double effort;
    double progressive;
    double lossless;
    double keep_metadata;
    double overwrite;
    double fsync;
    double megapixels_max;
    double bytes_max;
    double pages_max;
} request_fields;

#define REQUEST_FIELD(name) #name, offsetof(request_fields, name)

static const struct request_key {
    const char *name;
    size_t offset;
    request_type type;
    unsigned takers;
    double min;
    double max;
} request_keys[] = {
    {REQUEST_FIELD(op), REQUEST_STRING, REQUEST_STEP, 0, 0},
    {REQUEST_FIELD(operations), REQUEST_LIST, REQUEST_PIPELINE, 0, 0},
    {REQUEST_FIELD(width), REQUEST_WHOLE, REQUEST_BOX, 1, IMAGE_SIDE_MAX},
    {REQUEST_FIELD(height), REQUEST_WHOLE, REQUEST_BOX, 1, IMAGE_SIDE_MAX},
    {REQUEST_FIELD(fit), REQUEST_STRING, REQUEST_BOX, 0, 0},
    {REQUEST_FIELD(sigma), REQUEST_NUMBER, REQUEST_SIGMA, 0.01, 100},
    {REQUEST_FIELD(angle), REQUEST_NUMBER, REQUEST_ANGLE, -3600, 3600},
    {REQUEST_FIELD(background), REQUEST_STRING, REQUEST_TASK | REQUEST_BACKGROUND, 0, 0},
    {REQUEST_FIELD(format), REQUEST_STRING, REQUEST_TASK | REQUEST_ENCODING, 0, 0},
    {REQUEST_FIELD(quality), REQUEST_WHOLE, REQUEST_TASK | REQUEST_ENCODING, 1, 100},
    {REQUEST_FIELD(effort), REQUEST_WHOLE, REQUEST_TASK | REQUEST_ENCODING, 0, 9},
    {REQUEST_FIELD(progressive), REQUEST_BOOL, REQUEST_TASK | REQUEST_ENCODING, 0, 0},
    {REQUEST_FIELD(lossless), REQUEST_BOOL, REQUEST_TASK | REQUEST_ENCODING, 0, 0},
    {REQUEST_FIELD(input), REQUEST_STRING, REQUEST_TASK, 0, 0},
    {REQUEST_FIELD(bytes), REQUEST_BYTES, REQUEST_TASK, 0, 0},
    {REQUEST_FIELD(output), REQUEST_STRING, REQUEST_TASK, 0, 0},
    {REQUEST_FIELD(keep_metadata), REQUEST_BOOL, REQUEST_TASK, 0, 0},
    {REQUEST_FIELD(overwrite), REQUEST_BOOL, REQUEST_TASK, 0, 0},
    {REQUEST_FIELD(fsync), REQUEST_BOOL, REQUEST_TASK, 0, 0},
    {REQUEST_FIELD(megapixels_max), REQUEST_NUMBER, REQUEST_TASK, 0.000001, 10000},
    {REQUEST_FIELD(bytes_max), REQUEST_WHOLE, REQUEST_TASK, 1, 4294967296.0},
    {REQUEST_FIELD(pages_max), REQUEST_WHOLE, REQUEST_TASK, 1, 1000000},
};

#define REQUEST_KEY_COUNT (sizeof(request_keys) / sizeof(request_keys[0]))

typedef struct request_operation request_operation;

static bool request_do_resize(const request_operation *kind, const request_fields *fields, image_request *request,
                              image_error *error);
static bool request_do_filter(const request_operation *kind, const request_fields *fields, image_request *request,
                              image_error *error);
static bool request_do_rotate(const request_operation *kind, const request_fields *fields, image_request *request,
                              image_error *error);
static bool request_do_convert(const request_operation *kind, const request_fields *fields, image_request *request,
                               image_error *error);
static bool request_do_optimize(const request_operation *kind, const request_fields *fields, image_request *request,
                                image_error *error);

struct request_operation {
    const char *name;
    unsigned keys;
    image_op_kind kind;
    bool (*apply)(const request_operation *kind, const request_fields *fields, image_request *request,
                  image_error *error);
    double side;  /* of the box, by default; 0: one side must be said */
    double sigma; /* by default */
    double sigma_max;
};

static const request_operation request_operations[] = {
    {"resize", REQUEST_BOX | REQUEST_BACKGROUND | REQUEST_ENCODING, IMAGE_OP_RESIZE, request_do_resize, 0, 0, 0},
    {"thumbnail", REQUEST_BOX | REQUEST_BACKGROUND | REQUEST_ENCODING, IMAGE_OP_RESIZE, request_do_resize, 200, 0, 0},
    {"optimize", REQUEST_ENCODING, IMAGE_OP_RESIZE, request_do_optimize, 0, 0, 0},
    {"blur", REQUEST_SIGMA, IMAGE_OP_BLUR, request_do_filter, 0, 1.5, 100},
    {"rotate", REQUEST_ANGLE | REQUEST_BACKGROUND, IMAGE_OP_ROTATE, request_do_rotate, 0, 0, 0},
    {"sharpen", REQUEST_SIGMA, IMAGE_OP_SHARPEN, request_do_filter, 0, 1, 10},
    {"grayscale", 0, IMAGE_OP_GRAYSCALE, request_do_filter, 0, 0, 0},
    {"convert", REQUEST_ENCODING | REQUEST_BACKGROUND, IMAGE_OP_RESIZE, request_do_convert, 0, 0, 0},
};

#define REQUEST_OPERATION_COUNT (sizeof(request_operations) / sizeof(request_operations[0]))

static const char *const request_fits[] = {
    [IMAGE_FIT_COVER] = "cover", [IMAGE_FIT_CONTAIN] = "contain", [IMAGE_FIT_INSIDE] = "inside"};

/* ---- reading a map ------------------------------------------------------------------------------------------ */

static void request_list_keys(unsigned takers, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < REQUEST_KEY_COUNT; i++)
        if ((request_keys[i].takers & takers) != 0 && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", request_keys[i].name);
}

static bool request_wrong_type(const char *who, const struct request_key *key, brg_view view, image_error *error)
{
    static const char *const wanted[] = {"a string",       "bytes or a buffer", "true or false",
                                         "a whole number", "a number",          "a list"};

    return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"%s\" is of type %s; it must be %s", who, key->name,
                      brg_type_name(brg_view_type(view)), wanted[key->type]);
}

static bool request_read_number(const char *who, const struct request_key *key, brg_view view, double *out,
                                image_error *error)
{
    double number = 0;

    if (brg_view_double(view, &number) != BRG_OK)
        return request_wrong_type(who, key, view, error);
    if (key->type == REQUEST_WHOLE && floor(number) != number)
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"%s\" is %g; it must be a whole number", who, key->name,
                          number);
    if (!(number >= key->min && number <= key->max))
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"%s\" is %.15g; it must be from %.15g to %.15g", who,
                          key->name, number, key->min, key->max);
    *out = number;
    return true;
}

static bool request_read_string(const char *who, const struct request_key *key, brg_view view, const char **out,
                                image_error *error)
{
    size_t size = 0;
    const char *string = brg_view_string(view, &size);

    if (string == NULL)
        return request_wrong_type(who, key, view, error);
    if (size == 0 || strlen(string) != size)
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"%s\" is %s", who, key->name,
                          size == 0 ? "empty" : "a string with a zero byte in it");
    *out = string;
    return true;
}

static bool request_read_key(const char *who, const struct request_key *key, brg_view view, request_fields *fields,
                             image_error *error)
{
    void *field = (char *)fields + key->offset;
    brg_type type = brg_view_type(view);
    bool on = false;

    switch (key->type) {
    case REQUEST_STRING:
        return request_read_string(who, key, view, field, error);
    case REQUEST_WHOLE:
    case REQUEST_NUMBER:
        return request_read_number(who, key, view, field, error);
    case REQUEST_BOOL:
        if (brg_view_bool(view, &on) != BRG_OK)
            return request_wrong_type(who, key, view, error);
        *(double *)field = on;
        return true;
    case REQUEST_BYTES:
        if (type != BRG_TYPE_BYTES && type != BRG_TYPE_BUFFER)
            return request_wrong_type(who, key, view, error);
        break;
    case REQUEST_LIST:
        if (type != BRG_TYPE_LIST)
            return request_wrong_type(who, key, view, error);
        break;
    }
    *(brg_view *)field = view;
    return true;
}

static const struct request_key *request_find_key(const char *name, unsigned takers)
{
    for (size_t i = 0; i < REQUEST_KEY_COUNT; i++)
        if ((request_keys[i].takers & takers) != 0 && strcmp(request_keys[i].name, name) == 0)
            return &request_keys[i];
    return NULL;
}

static void request_fields_init(request_fields *fields)
{
    *fields = (request_fields){0};
    for (size_t i = 0; i < REQUEST_KEY_COUNT; i++) {
        request_type type = request_keys[i].type;
        if (type == REQUEST_BOOL || type == REQUEST_WHOLE || type == REQUEST_NUMBER)
            *(double *)((char *)fields + request_keys[i].offset) = NAN;
    }
}

/* A nil counts as not said. */
static bool request_read_map(const char *who, brg_view map, unsigned takers, request_fields *fields, image_error *error)
{
    char known[160];

    request_fields_init(fields);
    if (brg_view_type(map) != BRG_TYPE_MAP)
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: what was sent is of type %s; it must be a map", who,
                          brg_type_name(brg_view_type(map)));
    for (size_t i = 0; i < brg_view_count(map); i++) {
        const char *name = brg_view_key_at(map, i, NULL);
        const struct request_key *key = request_find_key(name, takers);
        if (key == NULL) {
            request_list_keys(takers, known, sizeof(known));
            return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: unknown key \"%.40s\"; known are %s", who, name, known);
        }
        brg_view view = brg_view_at(map, i);
        if (brg_view_type(view) != BRG_TYPE_NIL && !request_read_key(who, key, view, fields, error))
            return false;
    }
    return true;
}

/* ---- words -------------------------------------------------------------------------------------------------- */

static int request_hex(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = digit == '\0' ? NULL : strchr(digits, digit >= 'A' && digit <= 'F' ? digit + 32 : digit);

    return found == NULL ? -1 : (int)(found - digits);
}

static bool request_read_color(const char *who, const char *text, image_color *color, image_error *error)
{
    int digits[6];
    bool good = text[0] == '#' && strlen(text) == 7;

    for (int i = 0; good && i < 6; i++) {
        digits[i] = request_hex(text[1 + i]);
        good = digits[i] >= 0;
    }
    if (!good)
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"background\" is \"%.40s\"; it must be like \"#rrggbb\"",
                          who, text);
    *color = (image_color){.red = (uint8_t)(digits[0] * 16 + digits[1]),
                           .green = (uint8_t)(digits[2] * 16 + digits[3]),
                           .blue = (uint8_t)(digits[4] * 16 + digits[5]),
                           .set = true};
    return true;
}

static bool request_read_fit(const char *who, const char *text, image_fit *fit, image_error *error)
{
    for (size_t i = 0; i < sizeof(request_fits) / sizeof(request_fits[0]); i++)
        if (strcmp(text, request_fits[i]) == 0) {
            *fit = (image_fit)i;
            return true;
        }
    return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"fit\" is \"%.40s\"; it must be cover, contain or inside", who,
                      text);
}

static int request_whole(double number, int unsaid) { return isnan(number) ? unsaid : (int)number; }

/* Said by an operation, over what was said before. */
static bool request_read_encoding(const char *who, const request_fields *fields, image_encoding *encoding,
                                  image_error *error)
{
    if (fields->format != NULL) {
        image_format format = image_format_from_name(fields->format);
        if (format == IMAGE_FORMAT_NONE || format == IMAGE_FORMAT_HEIF)
            return image_fail(error, IMAGE_BAD_REQUEST, 0,
                              "%s: \"format\" is \"%.40s\"; it must be jpeg, png, webp, avif, gif or tiff", who,
                              fields->format);
        encoding->format = format;
    }
    encoding->quality = request_whole(fields->quality, encoding->quality);
    encoding->effort = request_whole(fields->effort, encoding->effort);
    encoding->progressive = request_whole(fields->progressive, encoding->progressive);
    encoding->lossless = request_whole(fields->lossless, encoding->lossless);
    return true;
}

/* ---- operations --------------------------------------------------------------------------------------------- */

static bool request_add(const image_op *op, image_request *request, image_error *error)
{
    if (request->op_count == IMAGE_OPS_MAX)
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "more than %d operations", IMAGE_OPS_MAX);
    request->ops[request->op_count++] = *op;
    return true;
}

static bool request_do_resize(const request_operation *kind, const request_fields *fields, image_request *request,
                              image_error *error)
{
    image_op op = {.kind = IMAGE_OP_RESIZE, .background = request->background};
    bool said = !isnan(fields->width) || !isnan(fields->height);

    if (!said && kind->side == 0)
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"width\" or \"height\" is needed", kind->name);
    op.width = (uint32_t)(said ? (isnan(fields->width) ? 0 : fields->width) : kind->side);
    op.height = (uint32_t)(said ? (isnan(fields->height) ? 0 : fields->height) : kind->side);
    if (kind->side > 0) {
        request->fallback.format = IMAGE_FORMAT_JPEG;
        request->fallback.quality = 80;
    }
    return (fields->fit == NULL || request_read_fit(kind->name, fields->fit, &op.fit, error)) &&
           (fields->background == NULL || request_read_color(kind->name, fields->background, &op.background, error)) &&
           request_add(&op, request, error);
}

static bool request_do_filter(const request_operation *kind, const request_fields *fields, image_request *request,
                              image_error *error)
{
    const image_op op = {.kind = kind->kind, .sigma = isnan(fields->sigma) ? kind->sigma : fields->sigma};

    if (kind->sigma_max > 0 && op.sigma > kind->sigma_max)
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"sigma\" is %g; it must be from 0.01 to %g", kind->name,
                          op.sigma, kind->sigma_max);
    return request_add(&op, request, error);
}

static bool request_do_rotate(const request_operation *kind, const request_fields *fields, image_request *request,
                              image_error *error)
{
    image_op op = {.kind = IMAGE_OP_ROTATE, .angle = fields->angle, .background = request->background};

    if (isnan(fields->angle))
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"angle\" is needed, degrees clockwise", kind->name);
    return (fields->background == NULL || request_read_color(kind->name, fields->background, &op.background, error)) &&
           request_add(&op, request, error);
}

static bool request_do_convert(const request_operation *kind, const request_fields *fields, image_request *request,
                               image_error *error)
{
    if (fields->format == NULL && request->wanted.format == IMAGE_FORMAT_NONE)
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: \"format\" is needed: jpeg, png, webp, avif, gif or tiff",
                          kind->name);
    return fields->background == NULL ||
           request_read_color(kind->name, fields->background, &request->background, error);
}

static bool request_do_optimize(const request_operation *kind, const request_fields *fields, image_request *request,
                                image_error *error)
{
    (void)kind;
    (void)fields;
    (void)error;
    request->fallback.format = IMAGE_FORMAT_JPEG;
    request->fallback.quality = 85;
    request->fallback.progressive = 1;
    request->smallest = true;
    return true;
}

static const request_operation *request_find_operation(const char *name)
{
    for (size_t i = 0; i < REQUEST_OPERATION_COUNT; i++)
        if (strcmp(request_operations[i].name, name) == 0)
            return &request_operations[i];
    return NULL;
}

static bool request_unknown_operation(const char *name, image_error *error)
{
    return image_fail(error, IMAGE_BAD_REQUEST, 0,
                      "unknown operation \"%.40s\"; known are resize, thumbnail, optimize, blur, rotate, sharpen, "
                      "grayscale, convert",
                      name);
}

static bool request_step(brg_view view, image_request *request, image_error *error)
{
    const char *name = brg_view_get_string(view, "op", NULL);
    request_fields fields;

    if (name == NULL)
        return image_fail(error, IMAGE_BAD_REQUEST, 0,
                          "each entry of \"operations\" must be a map with the key \"op\"");
    const request_operation *operation = request_find_operation(name);
    if (operation == NULL)
        return request_unknown_operation(name, error);
    return request_read_map(name, view, operation->keys | REQUEST_STEP, &fields, error) &&
           request_read_encoding(name, &fields, &request->wanted, error) &&
           operation->apply(operation, &fields, request, error);
}

static bool request_steps(brg_view list, image_request *request, image_error *error)
{
    if (brg_view_type(list) != BRG_TYPE_LIST || brg_view_count(list) == 0)
        return image_fail(error, IMAGE_BAD_REQUEST, 0,
                          "pipeline: \"operations\" is needed, a list of maps like "
                          "{\"op\": \"resize\", \"width\": 800}");
    for (size_t i = 0; i < brg_view_count(list); i++)
        if (!request_step(brg_view_at(list, i), request, error))
            return false;
    return true;
}

/* ---- the whole request -------------------------------------------------------------------------------------- */

static bool request_common(const char *task, const request_fields *fields, image_request *request, image_error *error)
{
    bool has_bytes = brg_view_type(fields->bytes) != BRG_TYPE_NONE;

    if ((fields->input != NULL) == has_bytes)
        return image_fail(error, IMAGE_BAD_REQUEST, 0, "%s: one of \"input\" (a path) and \"bytes\" is needed", task);
    request->input = fields->input;
    request->output = fields->output;
    if (brg_view_type(fields->bytes) == BRG_TYPE_BUFFER) {
        request->bytes = brg_buffer_bytes(brg_view_buffer(fields->bytes));
        request->byte_count = brg_buffer_size(brg_view_buffer(fields->bytes));
    } else if (has_bytes) {
        request->bytes = brg_view_bytes(fields->bytes, &request->byte_count);
    }
    request->keep_metadata = fields->keep_metadata == 1;
    request->overwrite = fields->overwrite == 1;
    request->fsync = fields->fsync == 1;
    if (!isnan(fields->megapixels_max))
        request->megapixels_max = fields->megapixels_max;
    if (!isnan(fields->bytes_max))
        request->bytes_max = (uint64_t)fields->bytes_max;
    if (!isnan(fields->pages_max))
        request->pages_max = (uint32_t)fields->pages_max;
    if (fields->background != NULL && !request_read_color(task, fields->background, &request->background, error))
        return false;
    return request_read_encoding(task, fields, &request->wanted, error);
}

bool image_request_parse(const char *task, brg_view input, image_request *request, image_error *error)
{
    bool pipeline = strcmp(task, "pipeline") == 0;
    const request_operation *operation = pipeline ? NULL : request_find_operation(task);
    unsigned keys = REQUEST_TASK | (pipeline ? REQUEST_PIPELINE : 0);
    request_fields fields;

    image_request_init(request);
    *error = (image_error){0};
    if (!pipeline && operation == NULL)
        return request_unknown_operation(task, error);
    if (operation != NULL)
        keys |= operation->keys;
    if (!request_read_map(task, input, keys, &fields, error) || !request_common(task, &fields, request, error))
        return false;
    return pipeline ? request_steps(fields.operations, request, error)
                    : operation->apply(operation, &fields, request, error);
}
