/* SPDX-License-Identifier: MIT */
/*
 * libjpeg ends a program on errors and goes on after warnings, filling what is missing with gray. Here both jump back
 * to the call's setjmp: a picture that is damaged is not passed on as whole.
 */
#include "jpeg.h"

#include <jerror.h>
#include <string.h>

static void jpeg_errors_leave(j_common_ptr jpeg)
{
    image_jpeg_errors *errors = (image_jpeg_errors *)jpeg->err;
    static const char prefix[] = "Corrupt JPEG data: ";
    char message[JMSG_LENGTH_MAX];

    jpeg->err->format_message(jpeg, message);
    const char *reason = strncmp(message, prefix, sizeof(prefix) - 1) == 0 ? message + sizeof(prefix) - 1 : message;
    if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
        image_fail_memory(errors->error);
    else if (errors->error->code == IMAGE_OK) /* else a callback of ours has said why */
        image_fail(errors->error, IMAGE_CORRUPT, 0, "corrupt JPEG: %.180s", reason);
    longjmp(errors->jump, 1);
}

static void jpeg_errors_message(j_common_ptr jpeg, int level)
{
    image_jpeg_errors *errors = (image_jpeg_errors *)jpeg->err;

    if (level >= 0)
        return;
    jpeg->err->num_warnings++;
    if (!errors->tolerant)
        jpeg_errors_leave(jpeg);
}

static void jpeg_errors_print(j_common_ptr jpeg) { (void)jpeg; }

struct jpeg_error_mgr *image_jpeg_errors_init(image_jpeg_errors *errors, image_error *error)
{
    jpeg_std_error(&errors->manager);
    errors->manager.error_exit = jpeg_errors_leave;
    errors->manager.emit_message = jpeg_errors_message;
    errors->manager.output_message = jpeg_errors_print;
    errors->error = error;
    errors->tolerant = false;
    return &errors->manager;
}
