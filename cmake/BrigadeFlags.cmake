# SPDX-License-Identifier: MIT
# How everything in the tree is compiled: GNU C11, hidden symbols, position-independent, frame pointers kept so that the
# backtraces of crashed workers are whole. No -march: one build runs on every machine of its kind.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# An installed program finds the library it came with, wherever the prefix was moved.
file(RELATIVE_PATH brigade_bin_to_lib ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH brigade_libexec_to_lib ${CMAKE_INSTALL_FULL_LIBEXECDIR}/brigade ${CMAKE_INSTALL_FULL_LIBDIR})

add_compile_definitions(_GNU_SOURCE=1 $<$<CONFIG:Debug>:BRG__DEBUG>)
add_compile_options(-fno-omit-frame-pointer)

add_compile_options(
    -Wall
    -Wextra
    -Wshadow
    -Wvla
    -Wundef
    -Wformat=2
    -Wwrite-strings
    -Wpointer-arith
    -Wimplicit-fallthrough
    -Wdate-time
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>
    $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
    $<$<COMPILE_LANGUAGE:C>:-Wold-style-definition>
    $<$<COMPILE_LANGUAGE:C>:-Werror=implicit-function-declaration>)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wlogical-op -Wduplicated-cond)
endif()
if(BRIGADE_WERROR)
    add_compile_options(-Werror)
endif()

if(BRIGADE_SANITIZE STREQUAL "address")
    set(brigade_sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(BRIGADE_SANITIZE STREQUAL "thread")
    set(brigade_sanitizers -fsanitize=thread)
elseif(BRIGADE_SANITIZE)
    message(FATAL_ERROR "BRIGADE_SANITIZE is address, thread or empty, not ${BRIGADE_SANITIZE}")
endif()
# For whatever runs under them.
set(BRIGADE_SANITIZER_ENVIRONMENT)
if(BRIGADE_SANITIZE STREQUAL "thread")
    # What libvips and GLib do among themselves is locked by futexes that ThreadSanitizer cannot see.
    set(BRIGADE_SANITIZER_ENVIRONMENT TSAN_OPTIONS=ignore_noninstrumented_modules=1)
elseif(BRIGADE_SANITIZE STREQUAL "address")
    # A thread that is just ending when the leak check looks at it: its list of thread-local blocks is gone, the check dies.
    set(BRIGADE_SANITIZER_ENVIRONMENT ASAN_OPTIONS=intercept_tls_get_addr=0)
endif()
if(BRIGADE_SANITIZE)
    add_compile_options(-O1 ${brigade_sanitizers})
    add_link_options(${brigade_sanitizers})
endif()
