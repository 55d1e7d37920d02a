# SPDX-License-Identifier: MIT
# What `make install` installs: headers, both libraries, the worker program, pkg-config and CMake files, manual, completion.
# Modules and the command install themselves.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/brigade)

install(
    TARGETS brigade
    EXPORT brigade
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(
    TARGETS brigade_static
    EXPORT brigade
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/brigade.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/brigade DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
if(TARGET brigade_worker)
    install(TARGETS brigade_worker RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/brigade)
endif()

# The .pc file speaks of its prefix relative to itself, so that an installation can be moved.
file(RELATIVE_PATH BRIGADE_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" BRIGADE_PC_TO_PREFIX "${BRIGADE_PC_TO_PREFIX}")
configure_file(cmake/brigade.pc.in brigade.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/brigade.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/brigade-config.cmake.in brigade-config.cmake INSTALL_DESTINATION ${package_dir})
# Until 1.0 a minor version may change anything.
write_basic_package_version_file(brigade-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/brigade-config.cmake ${PROJECT_BINARY_DIR}/brigade-config-version.cmake
        DESTINATION ${package_dir})
install(EXPORT brigade NAMESPACE brigade:: FILE brigade-targets.cmake DESTINATION ${package_dir})

foreach(section IN ITEMS 1 3 7)
    file(GLOB pages CONFIGURE_DEPENDS docs/man/*.${section})
    if(pages)
        install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endif()
endforeach()

# docs/man/links.txt, "name page" a line: a page of each function's own name, which only points to its group's.
if(EXISTS ${PROJECT_SOURCE_DIR}/docs/man/links.txt)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS docs/man/links.txt)
    file(STRINGS docs/man/links.txt links REGEX "^[^#]")
    foreach(link IN LISTS links)
        string(REGEX MATCH "^([^ \t]+)[ \t]+([^ \t]+)$" matched "${link}")
        if(NOT matched)
            message(FATAL_ERROR "docs/man/links.txt: not \"name page\": ${link}")
        endif()
        string(REGEX MATCH "[0-9]$" section "${CMAKE_MATCH_2}")
        string(REGEX MATCH "^([^ \t]+)[ \t]+([^ \t]+)$" matched "${link}")
        set(page ${PROJECT_BINARY_DIR}/man/man${section}/${CMAKE_MATCH_1}.${section})
        file(CONFIGURE OUTPUT ${page} CONTENT ".so man${section}/${CMAKE_MATCH_2}\n" @ONLY)
        install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endforeach()
endif()

if(EXISTS ${PROJECT_SOURCE_DIR}/cmd/brigade/completion.bash)
    install(
        FILES cmd/brigade/completion.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME brigade)
endif()
