/* SPDX-License-Identifier: MIT */
/* JSON text of any origin: refused, or a value that prints, and what is printed reads back as the same. */
#include <brigade/value.h>

#include "message/value_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_print(const brg_value *value, brg_json_flags flags)
{
    brg_value *again = NULL;
    char *text = NULL;
    size_t size = 0;
    fixture_require(brg_value_to_json(value, flags, &text, &size, NULL) == BRG_OK, "what was parsed does not print");
    fixture_require(brg_value_from_json(&again, text, size, NULL) == BRG_OK, "what was printed does not parse");
    fixture_require(brg_view_equal(brg_value_root(value), brg_value_root(again)),
                    "printed and parsed to another value");
    brg_value_unref(again);
    brg_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    brg_value *value = NULL;
    brg_error error;
    if (brg_value_from_json(&value, (const char *)data, size, &error) == BRG_OK) {
        fixture_check_whole(value);
        check_print(value, BRG_JSON_COMPACT);
        check_print(value, BRG_JSON_INDENT);
    } else {
        fixture_require(strstr(error.message, "line ") != NULL, "refused without a place");
    }
    brg_value_unref(value);
    value = NULL;
    if (brg_value_from_json_flags(&value, (const char *)data, size, BRG_JSON_TYPED, &error) == BRG_OK)
        fixture_check_whole(value);
    brg_value_unref(value);
    return 0;
}
