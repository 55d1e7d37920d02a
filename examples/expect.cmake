# SPDX-License-Identifier: MIT
# Runs PROGRAM with ARGUMENTS and compares its standard output with the file EXPECTED, where "..." stands for any text.

execute_process(COMMAND ${PROGRAM} ${ARGUMENTS} OUTPUT_VARIABLE output RESULT_VARIABLE code)
if(NOT code STREQUAL "0")
    message(FATAL_ERROR "${PROGRAM} ended with ${code} after this output:\n${output}")
endif()

file(READ ${EXPECTED} expected)
string(REGEX REPLACE "([][+*?.^$()|\\])" "\\\\\\1" pattern "${expected}")
string(REPLACE "\\.\\.\\." ".*" pattern "${pattern}")
if(NOT output MATCHES "^${pattern}$")
    message(FATAL_ERROR "expected:\n${expected}\ngot:\n${output}")
endif()
