# SPDX-License-Identifier: MIT
# Installs the build BUILD, copies module/ of SOURCE out of the tree to WORK, builds it there by WAY and runs it.

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT code STREQUAL "0")
        message(FATAL_ERROR "${ARGN}\nended with ${code}:\n${output}")
    endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
file(COPY ${SOURCE}/module DESTINATION ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
set(ENV{CC} ${CC})
set(ENV{LD_LIBRARY_PATH} ${WORK}/prefix/${LIBDIR})

if(WAY STREQUAL "find_package")
    set(programs ${WORK}/module/build)
    run(${CMAKE_COMMAND} -S ${WORK}/module -B ${programs} -D CMAKE_PREFIX_PATH=${WORK}/prefix)
    run(${CMAKE_COMMAND} --build ${programs})
else()
    set(programs ${WORK}/module)
    set(ENV{PKG_CONFIG_PATH} ${WORK}/prefix/${LIBDIR}/pkgconfig)
    run(make -C ${programs} CC=${CC})
endif()

file(WRITE ${WORK}/poem.txt "Many cooks,\none broth,\nnobody waits.\n")
file(COPY ${SOURCE}/expect.cmake ${SOURCE}/expected/module.txt DESTINATION ${WORK})
execute_process(
    COMMAND
        ${CMAKE_COMMAND} -D PROGRAM=${programs}/word_count
        "-DARGUMENTS=${programs}/word_count.so;poem.txt;missing.txt" -D EXPECTED=module.txt -P expect.cmake
    WORKING_DIRECTORY ${WORK}
    RESULT_VARIABLE code)
if(NOT code STREQUAL "0")
    message(FATAL_ERROR "the module's program does not print what it should")
endif()
