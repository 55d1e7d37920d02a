# SPDX-License-Identifier: MIT
# Test programs. They link every object of the library whole, internal functions with it, and the failing calls and fake
# clock of src/os/fault.c; they export the public functions to the modules they load, as a program with the library does.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

set(BRIGADE_TEST_MODULE_DIR ${PROJECT_BINARY_DIR}/tests/modules CACHE INTERNAL "Where test modules are built")

# Tests may look at any layer.
add_library(brigade_testing STATIC ${BRIGADE_OBJECTS})
if(EXISTS ${PROJECT_SOURCE_DIR}/src/os/fault.c)
    target_sources(brigade_testing PRIVATE ${PROJECT_SOURCE_DIR}/src/os/fault.c)
endif()
target_include_directories(brigade_testing PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(brigade_testing PUBLIC PkgConfig::LIBUV Threads::Threads ${CMAKE_DL_LIBS} m)

# brigade_add_test_program(NAME SOURCES...): a program of internals and tests, not yet a test.
function(brigade_add_test_program name)
    add_executable(${name} ${ARGN})
    target_link_libraries(${name} PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,brigade_testing> PkgConfig::CMOCKA)
    set_target_properties(
        ${name} PROPERTIES ENABLE_EXPORTS ON RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/bin)
    foreach(dependency IN ITEMS brigade_worker brigade_test_modules)
        if(TARGET ${dependency})
            add_dependencies(${name} ${dependency})
        endif()
    endforeach()
endfunction()

set(BRIGADE_TEST_ENVIRONMENT BRIGADE_WORKER=${BRIGADE_OUTPUT_DIR}/brigade-worker
                             TEST_MODULE_DIR=${BRIGADE_TEST_MODULE_DIR} ${BRIGADE_SANITIZER_ENVIRONMENT})
set(BRIGADE_TEST_ENVIRONMENT ${BRIGADE_TEST_ENVIRONMENT} CACHE INTERNAL "Of every test")

# brigade_add_test(NAME COMMAND...): with the bound and the environment that every test has.
function(brigade_add_test name)
    add_test(NAME ${name} COMMAND ${ARGN})
    set_tests_properties(
        ${name}
        PROPERTIES TIMEOUT ${BRIGADE_TEST_TIMEOUT}
                   SKIP_RETURN_CODE 77
                   ENVIRONMENT "${BRIGADE_TEST_ENVIRONMENT}")
endfunction()

# The test of one source: its name is the folder and the file, as in message.ring.
function(brigade_add_unit_test source)
    get_filename_component(name ${source} NAME_WE)
    get_filename_component(folder ${source} DIRECTORY)
    get_filename_component(folder ${folder} NAME)
    string(REGEX REPLACE "_test$" "" subject ${name})
    brigade_add_test_program(test_${folder}_${subject} ${source})
    brigade_add_test(${folder}.${subject} test_${folder}_${subject})
endfunction()
