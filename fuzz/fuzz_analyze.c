/* SPDX-License-Identifier: MIT */
/* A CSV of any origin, in chunks of any size: the rows of an obvious parser. The first bytes choose how it is read. */
#include "chunks.h"
#include "message/value_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    chunks_input input = {.format = ANALYZE_CSV,
                          .data = (const char *)data + 3,
                          .size = size - 3,
                          .delimiter = ",;\t|"[data[0] % 4],
                          .columns = data[0] / 4 % 5 + 1,
                          .row_max = data[1] % 4 == 0 ? data[1] / 4 + 1 : 100000,
                          .chunk = (uint64_t)data[2] + 1};
    chunks_outcome expected, got;
    chunks_expect(&input, &expected);
    fixture_require(chunks_read(&input, &got), "the chunks could not be read");
    fixture_require(chunks_equal(&expected, &got), "chunks give other rows");
    free(expected.text.data);
    free(got.text.data);
    input.format = ANALYZE_NDJSON;
    fixture_require(chunks_read(&input, &expected), "the lines could not be read");
    input.chunk = 1 << 20;
    fixture_require(chunks_read(&input, &got), "all lines at once could not be read");
    fixture_require(chunks_equal(&expected, &got), "chunks give other lines");
    free(expected.text.data);
    free(got.text.data);
    return 0;
}
