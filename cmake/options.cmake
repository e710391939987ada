# Every option of the build, with its default.
if(PROJECT_IS_TOP_LEVEL OR CMAKE_SOURCE_DIR STREQUAL PROJECT_SOURCE_DIR)
  set(top_level ON)
else()
  set(top_level OFF)
endif()

option(TERSE_EXAMPLES "Build the examples, terse-summarize among them" ${top_level})
option(TERSE_TESTS "Build the tests (needs Catch2)" ${top_level})
option(TERSE_BENCHMARKS "Build the benchmarks (needs Google Benchmark)" ${top_level})
option(TERSE_NATIVE "Compile for this machine's CPU (-march=native)" ${top_level})
option(TERSE_WARNINGS_AS_ERRORS "Stop at warnings in terse's own programs and tests" OFF)
set(TERSE_BLAS AUTO CACHE STRING "Who multiplies large matrices on the CPU: AUTO (oneDNN where found), ONEDNN, OPENBLAS")
set_property(CACHE TERSE_BLAS PROPERTY STRINGS AUTO ONEDNN OPENBLAS)
set(TERSE_MODELS demo tiny gpt2 CACHE STRING "Models compiled into terse-summarize")
set(TERSE_PRECISIONS fp32 fp16 bf16 CACHE STRING "Precisions compiled into terse-summarize")

if(top_level AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Debug, Release, RelWithDebInfo" FORCE)
endif()
if(top_level)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

# What terse's own programs and tests are compiled with; users of the headers choose their own.
add_library(terse_warnings INTERFACE)
target_compile_options(terse_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion
                                                $<$<BOOL:${TERSE_WARNINGS_AS_ERRORS}>:-Werror>)
# GCC 12 takes "text" + std::string for an overlapping copy (GCC bug 105651, mended in 13).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12 AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(terse_warnings INTERFACE -Wno-restrict)
endif()
# clang says where a loop in double, which calls libm's exp, isn't vectorized: true of gradient checks, and no mistake.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(terse_warnings INTERFACE -Wno-pass-failed)
endif()
