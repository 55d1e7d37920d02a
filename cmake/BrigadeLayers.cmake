# SPDX-License-Identifier: MIT
# The layers of src/LAYERS, each an object library that sees the public headers and, through a folder of links made for
# it alone, itself and the layers it may use. An include of any other layer finds no file.

# Reads src/LAYERS into BRIGADE_LAYERS and BRIGADE_LAYER_<layer>_USES.
function(brigade_read_layers)
    set(table ${PROJECT_SOURCE_DIR}/src/LAYERS)
    set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${table})
    file(STRINGS ${table} lines REGEX "^[a-z]+:")
    set(layers)
    foreach(line IN LISTS lines)
        string(REGEX MATCH "^[a-z]+" layer "${line}")
        string(REGEX REPLACE "^[a-z]+:[ \t]*" "" uses "${line}")
        string(REGEX REPLACE "[ \t]+" ";" uses "${uses}")
        list(APPEND layers ${layer})
        set(BRIGADE_LAYER_${layer}_USES "${uses}" PARENT_SCOPE)
    endforeach()
    set(BRIGADE_LAYERS "${layers}" PARENT_SCOPE)
endfunction()

# Makes build/<preset>/layers/<layer>, with links to exactly `layer` and ARGN, and sets `out` to it.
function(brigade_layer_folder out layer)
    set(folder ${PROJECT_BINARY_DIR}/layers/${layer})
    file(MAKE_DIRECTORY ${folder})
    file(GLOB links RELATIVE ${folder} ${folder}/*)
    foreach(link IN LISTS links)
        if(NOT link IN_LIST ARGN AND NOT link STREQUAL layer)
            file(REMOVE ${folder}/${link})
        endif()
    endforeach()
    foreach(name IN ITEMS ${layer} ${ARGN})
        if(NOT IS_SYMLINK ${folder}/${name})
            file(CREATE_LINK ${PROJECT_SOURCE_DIR}/src/${name} ${folder}/${name} SYMBOLIC)
        endif()
    endforeach()
    set(${out} ${folder} PARENT_SCOPE)
endfunction()

# Adds the object library brg_<layer>; sets BRIGADE_LAYER_<layer>_TESTS to its test sources. Layers without sources are
# left out.
function(brigade_add_layer layer)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${layer}/*.c)
    set(tests ${sources})
    list(FILTER tests INCLUDE REGEX "_test\\.c$")
    list(FILTER sources EXCLUDE REGEX "(_test|/os/fault)\\.c$")
    set(BRIGADE_LAYER_${layer}_TESTS "${tests}" PARENT_SCOPE)
    if(NOT sources)
        return()
    endif()
    brigade_layer_folder(folder ${layer} ${BRIGADE_LAYER_${layer}_USES})
    add_library(brg_${layer} OBJECT ${sources})
    target_include_directories(brg_${layer} PRIVATE ${PROJECT_SOURCE_DIR}/include ${folder})
    target_compile_definitions(brg_${layer} PRIVATE BRG_LIBEXECDIR="${CMAKE_INSTALL_FULL_LIBEXECDIR}")
endfunction()
