# terse as others use it: installed, as a folder of their project, in several translation units, for several instruction sets.

# Two translation units with all of it.
terse_add_test(package_two_units package ${CMAKE_CURRENT_LIST_DIR}/two_units/a.cpp ${CMAKE_CURRENT_LIST_DIR}/two_units/b.cpp)

# A summarizer for a model of one's own.
if(TARGET terse-summarize)
  terse_add_summarizer(NAME package_summarizer CONFIG Mine HEADER ${CMAKE_CURRENT_LIST_DIR}/consumer/mine.hpp PRECISIONS fp32)
  target_compile_options(package_summarizer PRIVATE -O0)
  add_test(NAME package_summarizer COMMAND package_summarizer plan)
  set_tests_properties(package_summarizer PROPERTIES LABELS package PASS_REGULAR_EXPRESSION "model mine \\(1 layers, 2 heads, width 16, context 32, vocabulary 300\\), fp32")
endif()

# Objects for two instruction sets, linked in both orders, and without OpenMP.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  file(STRINGS /proc/cpuinfo flags REGEX "^flags.* avx2 " LIMIT_COUNT 1)
endif()
if(flags MATCHES " fma " AND flags MATCHES " f16c ")
  foreach(threads openmp serial)
    foreach(isa baseline avx2)
      set(object terse_${isa}_${threads})
      add_library(${object} OBJECT ${CMAKE_CURRENT_LIST_DIR}/isas/kernels.cpp)
      # Not terse::terse, which brings -march=native.
      target_link_libraries(${object} PRIVATE terse_blas Threads::Threads nlohmann_json::nlohmann_json)
      target_include_directories(${object} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/tests)
      target_compile_features(${object} PRIVATE cxx_std_20)
      target_compile_definitions(${object} PRIVATE REPORT=report_${isa})
      target_compile_options(${object} PRIVATE -O2 $<IF:$<STREQUAL:${isa},avx2>,-march=haswell,-march=x86-64> $<$<STREQUAL:${threads},serial>:-fopenmp-simd>)
      if(threads STREQUAL "openmp" AND TERSE_OPENMP)
        target_link_libraries(${object} PRIVATE OpenMP::OpenMP_CXX)
      elseif(threads STREQUAL "openmp")
        target_compile_options(${object} PRIVATE -fopenmp-simd)
      endif()
    endforeach()
  endforeach()
  function(terse_add_isas name first second)
    add_executable(${name} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/isas/main.cpp $<TARGET_OBJECTS:${first}> $<TARGET_OBJECTS:${second}>)
    target_link_libraries(${name} PRIVATE terse_openmp terse_blas Threads::Threads)
    target_compile_features(${name} PRIVATE cxx_std_20)
  endfunction()
  terse_add_isas(package_isas_1 terse_baseline_openmp terse_avx2_openmp)
  terse_add_isas(package_isas_2 terse_avx2_openmp terse_baseline_openmp)
  terse_add_isas(package_isas_serial terse_baseline_serial terse_avx2_serial)
  find_program(TERSE_OBJDUMP objdump)
  mark_as_advanced(TERSE_OBJDUMP)
  add_test(NAME package_isas COMMAND ${CMAKE_COMMAND} "-DPROGRAMS=$<TARGET_FILE:package_isas_1>;$<TARGET_FILE:package_isas_2>;$<TARGET_FILE:package_isas_serial>"
                                     "-DOBJECTS=$<TARGET_OBJECTS:terse_baseline_openmp>;$<TARGET_OBJECTS:terse_avx2_openmp>" -DNM=${CMAKE_NM} -DOBJDUMP=${TERSE_OBJDUMP}
                                     -P ${CMAKE_CURRENT_LIST_DIR}/isas/check.cmake)
  set_tests_properties(package_isas PROPERTIES LABELS package)
else()
  message(STATUS "terse: this CPU has no AVX2, so the test of two instruction sets in one program is left out")
endif()

# Where libraries are missing.
add_test(NAME package_nothing_installed COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DBUILD=${CMAKE_CURRENT_BINARY_DIR}/package/nothing_installed
                                                -DCOMPILER=${CMAKE_CXX_COMPILER} -P ${CMAKE_CURRENT_LIST_DIR}/nothing_installed.cmake)
set_tests_properties(package_nothing_installed PROPERTIES LABELS package)

# Installed, and as a folder of a user's project.
if(NOT TERSE_INSTALL)
  return()
endif()
set(prefix ${CMAKE_CURRENT_BINARY_DIR}/package/prefix)
add_test(NAME package_install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${prefix})
set_tests_properties(package_install PROPERTIES LABELS package FIXTURES_SETUP installed)
function(terse_add_consumer name label how what)
  add_test(NAME package_${name} COMMAND ${CMAKE_COMMAND} -DHOW=${how} -DWHAT=${what} -DSOURCE=${PROJECT_SOURCE_DIR} -DPREFIX=${prefix} -DCOMPILER=${CMAKE_CXX_COMPILER}
                                        -DBUILD=${CMAKE_CURRENT_BINARY_DIR}/package/${name} ${ARGN} -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/consume.cmake)
  set_tests_properties(package_${name} PROPERTIES LABELS ${label} FIXTURES_REQUIRED installed SKIP_REGULAR_EXPRESSION "skipped: ")
endfunction()
terse_add_consumer(find_package package find_package trains "-DPRINTS=loss 5[.]")
terse_add_consumer(pkg_config package pkg_config small)
terse_add_consumer(add_subdirectory package add_subdirectory small)
terse_add_consumer(fetch_content package FetchContent small)
if(TARGET terse-summarize)
  terse_add_consumer(installed_summarizer slow find_package summarizer -DARGUMENTS=plan "-DPRINTS=model mine ")
endif()
