# SPDX-License-Identifier: MIT
# brigade_add_module(NAME [INSTALL] SOURCES...): the task module NAME.so, built into build/<preset>/modules. It takes the
# library's functions from the program that loads it, so it is not linked with the library and works with the shared and
# the static one.
function(brigade_add_module name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "INSTALL" "" "")
    add_library(brigade_${name} MODULE ${arg_UNPARSED_ARGUMENTS})
    target_include_directories(brigade_${name} PRIVATE ${PROJECT_SOURCE_DIR}/include)
    set_target_properties(
        brigade_${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name} LIBRARY_OUTPUT_DIRECTORY ${BRIGADE_MODULE_OUTPUT_DIR})
    if(arg_INSTALL)
        install(TARGETS brigade_${name} LIBRARY DESTINATION ${BRIGADE_MODULE_INSTALL_DIR})
    endif()
endfunction()
