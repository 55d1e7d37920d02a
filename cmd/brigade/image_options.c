/* SPDX-License-Identifier: MIT */
/* The options of `brigade image`: one table, and what each sets. */
#include <stdlib.h>
#include <string.h>

#include "image.h"

#define OPTIONS_SIDE_MAX 65500 /* what the module takes */

const cli_option image_option_table[] = {
    {"", 0, CLI_NONE, NULL, "Operations, applied in the order given, with one decode and one encode:"},
    {"resize", 0, CLI_REQUIRED, "WxH[:FIT]",
     "resize; W or H may be missing (800x, x600); FIT: cover, contain or inside"},
    {"thumbnail", 0, CLI_OPTIONAL, "WxH", "200x200 by default, cover, JPEG of quality 80"},
    {"optimize", 0, CLI_OPTIONAL, "QUALITY", "make it smaller: quality 85 and progressive by default"},
    {"blur", 0, CLI_REQUIRED, "SIGMA", "Gaussian blur, 0.01 to 100"},
    {"sharpen", 0, CLI_OPTIONAL, "SIGMA", "sharpen, 0.01 to 10, by default 1"},
    {"rotate", 0, CLI_REQUIRED, "DEGREES", "rotate clockwise"},
    {"grayscale", 0, CLI_NONE, NULL, "drop the colours"},
    {"convert", 0, CLI_REQUIRED, "FORMAT", "jpeg, png, webp or avif"},
    {"fit", 0, CLI_REQUIRED, "FIT", "how resize and thumbnail fit: cover (default), contain or inside"},
    {"", 0, CLI_NONE, NULL, "Output:"},
    {"output", 'o', CLI_REQUIRED, "DIR", "where results go; made if it is missing"},
    {"recursive", 'r', CLI_NONE, NULL, "go into the directories of directories"},
    {"overwrite", 0, CLI_NONE, NULL, "replace results that exist; without it such a picture fails"},
    {"quality", 'q', CLI_REQUIRED, "1-100", "of jpeg, webp and avif"},
    {"progressive", 0, CLI_NONE, NULL, "progressive JPEG, interlaced PNG"},
    {"no-progressive", 0, CLI_NONE, NULL, "baseline JPEG, also for --optimize"},
    {"keep-metadata", 0, CLI_NONE, NULL, "keep EXIF, XMP and profiles, which are dropped otherwise"},
    {"fsync", 0, CLI_NONE, NULL, "wait for the disk before a result counts as written"},
    {"", 0, CLI_NONE, NULL, "Workers:"},
    {"isolation", 0, CLI_REQUIRED, "KIND", "process (default): a crash costs one picture; or thread"},
    {"workers", 'w', CLI_REQUIRED, "N", "how many; by default as many as CPUs may be used"},
    {"timeout", 't', CLI_REQUIRED, "TIME", "for one picture, as 500ms, 5s or 2m; by default 1m"},
    {"retries", 0, CLI_REQUIRED, "N", "more tries after a crash or timeout; by default 0"},
    {"memory-max", 0, CLI_REQUIRED, "SIZE", "memory of one process worker, as 512M or 2G"},
    {"megapixels-max", 0, CLI_REQUIRED, "N", "refuse larger pictures, in and out; by default 50"},
    {"module", 0, CLI_REQUIRED, "PATH", "the image module, where it is not found by itself"},
    {"", 0, CLI_NONE, NULL, "What is shown:"},
    {"json", 0, CLI_NONE, NULL, "one JSON document on standard output, nothing else"},
    {"progress", 0, CLI_REQUIRED, "WHEN", "auto (default: on a terminal), always or never"},
    {"quiet", 0, CLI_NONE, NULL, "no progress and no summary, only failures"},
    {"help", 'h', CLI_NONE, NULL, "show this"},
    {NULL, 0, CLI_NONE, NULL, NULL},
};

static bool options_size(const char *option, const char *text, image_operation *operation)
{
    char *end = NULL;
    const char *at = text;
    if (*at != 'x') {
        operation->width = strtoll(at, &end, 10);
        if (end == at || operation->width < 1 || operation->width > OPTIONS_SIDE_MAX)
            goto wrong;
        at = end;
    }
    if (*at != 'x')
        goto wrong;
    at++;
    if (*at != '\0' && *at != ':') {
        operation->height = strtoll(at, &end, 10);
        if (end == at || operation->height < 1 || operation->height > OPTIONS_SIDE_MAX)
            goto wrong;
        at = end;
    }
    if (*at == ':')
        operation->fit = at + 1;
    else if (*at != '\0')
        goto wrong;
    if (operation->width != 0 || operation->height != 0)
        return true;
wrong:
    return cli_complain("image", "--%s: \"%s\" is no size; write 800x600, 800x, x600 or 800x600:inside", option, text);
}

static bool options_operation(image_options *options, const char *name, const char *argument)
{
    if (options->operation_count == IMAGE_OPERATIONS_MAX)
        return cli_complain("image", "at most %d operations", IMAGE_OPERATIONS_MAX);
    image_operation operation = {.name = name};
    static const char *const formats[] = {"jpeg", "png", "webp", "avif", NULL};
    int word = 0;
    bool good = true;
    if (strcmp(name, "resize") == 0 || (strcmp(name, "thumbnail") == 0 && argument != NULL))
        good = options_size(name, argument, &operation);
    else if (strcmp(name, "blur") == 0)
        good = cli_read_number("image", name, argument, 0.01, 100, &operation.number);
    else if (strcmp(name, "sharpen") == 0 && argument != NULL)
        good = cli_read_number("image", name, argument, 0.01, 10, &operation.number);
    else if (strcmp(name, "rotate") == 0)
        good = cli_read_number("image", name, argument, -3600, 3600, &operation.number);
    else if (strcmp(name, "optimize") == 0 && argument != NULL)
        good = cli_read_number("image", name, argument, 1, 100, &operation.number);
    else if (strcmp(name, "convert") == 0) {
        good = cli_read_word("image", name, strcmp(argument, "jpg") == 0 ? "jpeg" : argument, formats, &word);
        operation.format = options->format = formats[word];
    }
    if (good)
        options->operations[options->operation_count++] = operation;
    return good;
}

/* Options that only set something. */
static bool options_flag(image_options *options, const char *name)
{
    const cli_flag flags[] = {{"recursive", &options->recursive},
                              {"overwrite", &options->overwrite},
                              {"progressive", &options->progressive},
                              {"no-progressive", &options->no_progressive},
                              {"keep-metadata", &options->keep_metadata},
                              {"fsync", &options->fsync},
                              {"json", &options->json},
                              {"quiet", &options->quiet},
                              {NULL, NULL}};
    return cli_set_flag(flags, name);
}

static bool options_value(image_options *options, const char *name, const char *argument)
{
    static const char *const isolations[] = {"thread", "process", NULL};
    static const char *const whens[] = {"auto", "always", "never", NULL};
    int word = 0;
    bool good = true;
    if (strcmp(name, "fit") == 0)
        options->fit = argument;
    else if (strcmp(name, "output") == 0)
        options->output = argument;
    else if (strcmp(name, "module") == 0)
        options->module = argument;
    else if (strcmp(name, "quality") == 0)
        good = cli_read_count("image", name, argument, 1, 100, &options->quality);
    else if (strcmp(name, "workers") == 0)
        good = cli_read_count("image", name, argument, 1, 1024, &options->workers);
    else if (strcmp(name, "retries") == 0)
        good = cli_read_count("image", name, argument, 0, 100, &options->retries);
    else if (strcmp(name, "megapixels-max") == 0)
        good = cli_read_count("image", name, argument, 1, 4000, &options->megapixels_max);
    else if (strcmp(name, "timeout") == 0)
        good = cli_read_duration("image", name, argument, &options->timeout_ns);
    else if (strcmp(name, "memory-max") == 0)
        good = cli_read_size("image", name, argument, &options->memory_max);
    else if (strcmp(name, "isolation") == 0 && (good = cli_read_word("image", name, argument, isolations, &word)))
        options->isolation = word == 0 ? BRG_ISOLATION_THREAD : BRG_ISOLATION_PROCESS;
    else if (strcmp(name, "progress") == 0 && (good = cli_read_word("image", name, argument, whens, &word)))
        options->progress = (image_when)word;
    return good;
}

bool image_take_option(void *state, const cli_option *option, const char *argument)
{
    static const char *const operations[] = {"resize",  "thumbnail", "optimize",  "blur",
                                             "sharpen", "rotate",    "grayscale", "convert"};
    image_options *options = state;
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        if (strcmp(option->name, operations[i]) == 0)
            return options_operation(options, operations[i], argument);
    return options_flag(options, option->name) || options_value(options, option->name, argument);
}

bool image_check_options(image_options *options)
{
    static const char *const fits[] = {"cover", "contain", "inside", NULL};
    int word;
    if (options->operation_count == 0)
        return cli_complain("image",
                            "nothing to do: give an operation, as --resize 800x600, --thumbnail or --optimize");
    if (options->output == NULL)
        return cli_complain("image", "where should the results go? Give -o DIR");
    if (options->output[0] == '\0')
        return cli_complain("image", "--output: the name is empty; \"-o .\" is the current directory");
    if (options->progressive && options->no_progressive)
        return cli_complain("image", "--progressive and --no-progressive contradict each other");
    if (options->fit != NULL && !cli_read_word("image", "fit", options->fit, fits, &word))
        return false;
    for (int i = 0; i < options->operation_count; i++) {
        image_operation *operation = &options->operations[i];
        bool sized = strcmp(operation->name, "resize") == 0 || strcmp(operation->name, "thumbnail") == 0;
        if (operation->fit == NULL && sized)
            operation->fit = options->fit;
        if (operation->fit != NULL && !cli_read_word("image", operation->name, operation->fit, fits, &word))
            return false;
    }
    return true;
}

const char *image_output_suffix(const image_options *options)
{
    if (options->format != NULL)
        return strcmp(options->format, "jpeg") == 0   ? ".jpg"
               : strcmp(options->format, "png") == 0  ? ".png"
               : strcmp(options->format, "webp") == 0 ? ".webp"
                                                      : ".avif";
    for (int i = 0; i < options->operation_count; i++)
        if (strcmp(options->operations[i].name, "thumbnail") == 0)
            return ".jpg";
    return NULL;
}

static void options_put_operation(brg_builder *builder, const image_operation *operation)
{
    const char *name = operation->name;
    brg_builder_map(builder);
    brg_builder_key(builder, "op");
    brg_builder_string(builder, name);
    if (operation->width != 0) {
        brg_builder_key(builder, "width");
        brg_builder_int(builder, operation->width);
    }
    if (operation->height != 0) {
        brg_builder_key(builder, "height");
        brg_builder_int(builder, operation->height);
    }
    if (operation->fit != NULL) {
        brg_builder_key(builder, "fit");
        brg_builder_string(builder, operation->fit);
    }
    if (operation->format != NULL) {
        brg_builder_key(builder, "format");
        brg_builder_string(builder, operation->format);
    }
    if (strcmp(name, "rotate") == 0 || operation->number != 0) {
        bool quality = strcmp(name, "optimize") == 0;
        brg_builder_key(builder, strcmp(name, "rotate") == 0 ? "angle" : quality ? "quality" : "sigma");
        if (quality)
            brg_builder_int(builder, (int64_t)operation->number);
        else
            brg_builder_double(builder, operation->number);
    }
    brg_builder_end(builder);
}

brg_status image_build_input(const image_options *options, const image_job *job, brg_value **out, brg_error *error)
{
    brg_builder *builder = NULL;
    brg_status status = brg_builder_create(&builder, error);
    if (status != BRG_OK)
        return status;
    brg_builder_map(builder);
    brg_builder_key(builder, "input");
    brg_builder_string(builder, job->input);
    brg_builder_key(builder, "output");
    brg_builder_string(builder, job->output);
    brg_builder_key(builder, "operations");
    brg_builder_list(builder);
    for (int i = 0; i < options->operation_count; i++)
        options_put_operation(builder, &options->operations[i]);
    brg_builder_end(builder);
    if (options->quality != 0) {
        brg_builder_key(builder, "quality");
        brg_builder_uint(builder, options->quality);
    }
    if (options->megapixels_max != 0) {
        brg_builder_key(builder, "megapixels_max");
        brg_builder_uint(builder, options->megapixels_max);
    }
    if (options->progressive || options->no_progressive) {
        brg_builder_key(builder, "progressive");
        brg_builder_bool(builder, options->progressive);
    }
    brg_builder_key(builder, "keep_metadata");
    brg_builder_bool(builder, options->keep_metadata);
    brg_builder_key(builder, "overwrite");
    brg_builder_bool(builder, options->overwrite);
    brg_builder_key(builder, "fsync");
    brg_builder_bool(builder, options->fsync);
    brg_builder_end(builder);
    status = brg_builder_finish(builder, out, error);
    brg_builder_destroy(builder);
    return status;
}
