# Profile-guided optimisation of Release builds: RONDO_PROFILE. Included by RondoBuild.cmake.
#
# The profile is text (.cmake/rondo.proftext), made by bench/train from a build with RONDO_PROFILE=generate. It fits
# as long as a function keeps its shape; one that has changed is compiled as without a profile. Names of functions
# that are local to a file are kept with the file's name, without its folder, so it fits wherever the sources lie.
set(RONDO_PROFILE auto CACHE STRING
  "Profile of Release builds: auto (the committed one, where the tools are there), off, generate, or a file")

set(RONDO_PROFILE_NAMES -mllvm -static-func-full-module-prefix=false)

# rondo_use_profile(FILE): Release builds are compiled with it; sets `problem` in the caller where that cannot be.
function(rondo_use_profile file)
  string(REGEX MATCH "^[0-9]+" major "${CMAKE_CXX_COMPILER_VERSION}")
  # Its indexed form is the version's own, so the tool must be of the compiler's.
  get_filename_component(folder "${CMAKE_CXX_COMPILER}" REALPATH)
  get_filename_component(folder "${folder}" DIRECTORY)
  find_program(RONDO_PROFDATA NAMES llvm-profdata-${major} HINTS "${folder}")
  if(NOT RONDO_PROFDATA)
    set(problem "llvm-profdata-${major} is not installed (Debian: llvm-${major})" PARENT_SCOPE)
    return()
  endif()
  # The name changes with the profile, so that all is compiled anew then.
  file(MD5 "${file}" hash)
  string(SUBSTRING "${hash}" 0 12 hash)
  set(merged "${CMAKE_BINARY_DIR}/rondo-${hash}.profdata")
  set_property(DIRECTORY "${CMAKE_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  if(NOT EXISTS "${merged}")
    execute_process(COMMAND "${RONDO_PROFDATA}" merge -sparse -o "${merged}" "${file}"
      RESULT_VARIABLE failed ERROR_VARIABLE error OUTPUT_QUIET)
    if(failed)
      file(REMOVE "${merged}")
      set(problem "${RONDO_PROFDATA} does not take ${file}: ${error}" PARENT_SCOPE)
      return()
    endif()
  endif()
  set(options "-fprofile-use=${merged}" ${RONDO_PROFILE_NAMES}
    -Wno-profile-instr-unprofiled -Wno-profile-instr-out-of-date -Wno-backend-plugin)
  add_compile_options("$<$<CONFIG:Release>:${options}>")
  message(STATUS "Profile: Release builds use ${file}")
endfunction()

set(problem "")
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND NOT RONDO_SANITIZE AND NOT RONDO_FUZZ)
  if(RONDO_PROFILE STREQUAL "generate")
    # Several threads count.
    set(options -fprofile-generate -fprofile-update=atomic ${RONDO_PROFILE_NAMES})
    add_compile_options("$<$<CONFIG:Release>:${options}>")
    add_link_options($<$<CONFIG:Release>:-fprofile-generate>)
    message(STATUS "Profile: Release builds count what they do, for bench/train")
  elseif(RONDO_PROFILE STREQUAL "auto")
    if(EXISTS "${CMAKE_SOURCE_DIR}/.cmake/rondo.proftext")
      rondo_use_profile("${CMAKE_SOURCE_DIR}/.cmake/rondo.proftext")
    else()
      set(problem ".cmake/rondo.proftext is not there")
    endif()
    if(problem)
      message(STATUS "Profile: built without one, because ${problem}")
    endif()
  elseif(NOT RONDO_PROFILE STREQUAL "off")
    get_filename_component(file "${RONDO_PROFILE}" ABSOLUTE BASE_DIR "${CMAKE_SOURCE_DIR}")
    if(NOT EXISTS "${file}")
      message(FATAL_ERROR "RONDO_PROFILE is '${RONDO_PROFILE}': use auto, off, generate or a file")
    endif()
    rondo_use_profile("${file}")
    if(problem)
      message(FATAL_ERROR "RONDO_PROFILE: ${problem}")
    endif()
  endif()
elseif(RONDO_PROFILE STREQUAL "generate")
  message(FATAL_ERROR "RONDO_PROFILE=generate needs clang, without sanitizers and fuzzing")
endif()
