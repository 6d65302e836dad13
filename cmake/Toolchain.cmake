# Compiler conveniences: lld and ccache where found, warnings, sanitizers.
option(FORMWORK_TESTS "Build the tests" ON)
option(FORMWORK_BENCH "Build the benchmarks" OFF)
set(FORMWORK_SANITIZE "" CACHE STRING "address,undefined or thread")

find_program(FORMWORK_CCACHE ccache)
if(FORMWORK_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${FORMWORK_CCACHE})
endif()
find_program(FORMWORK_LLD NAMES ld.lld ld.lld-14)
if(FORMWORK_LLD AND CMAKE_CXX_COMPILER_ID MATCHES Clang)
  add_link_options(--ld-path=${FORMWORK_LLD})
endif()

add_compile_options(-Wall -Wextra -Wno-unused-parameter -march=x86-64-v2 -fPIC)
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  # ccache may reuse a precompiled header only when no time is written into it.
  add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endif()
if(FORMWORK_SANITIZE)
  add_compile_options(-fsanitize=${FORMWORK_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FORMWORK_SANITIZE})
endif()
