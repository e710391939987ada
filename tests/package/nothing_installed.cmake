# cmake -DSOURCE=… -DBUILD=… -DCOMPILER=… -P nothing_installed.cmake
#
# Configures terse where no library is found: one message names every package that is missing, the preferred one where there is a choice.
# As CMAKE_PROJECT_terse_INCLUDE, which CMake reads when it has found the compiler, this file hides the libraries.
cmake_minimum_required(VERSION 3.22)
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(CMAKE_FIND_USE_CMAKE_SYSTEM_PATH OFF)
  set(CMAKE_FIND_USE_SYSTEM_ENVIRONMENT_PATH OFF)
  return()
endif()
file(REMOVE_RECURSE ${BUILD})
execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${BUILD} -DCMAKE_PROJECT_terse_INCLUDE=${CMAKE_SCRIPT_MODE_FILE} -DCMAKE_CXX_COMPILER=${COMPILER}
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
message("${output}")
if(result EQUAL 0)
  message(FATAL_ERROR "it configures")
endif()
foreach(package nlohmann-json3-dev libpcre2-dev libcsv-dev "libdnnl-dev, or libopenblas-dev" libcli11-dev scripts/install-dependencies)
  string(FIND "${output}" "${package}" place)
  if(place LESS 0)
    message(SEND_ERROR "it doesn't name ${package}")
  endif()
endforeach()
