/* SPDX-License-Identifier: MIT */
/* Exits with 0 when the file named is one JSON document. */
#include <jansson.h>

int main(int argc, char **argv)
{
    json_error_t error;
    json_t *document = argc == 2 ? json_load_file(argv[1], 0, &error) : NULL;
    if (document == NULL) {
        fprintf(stderr, "%s\n", argc == 2 ? error.text : "usage: test_json_document FILE");
        return 1;
    }
    json_decref(document);
    return 0;
}
