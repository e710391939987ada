# cmake -DHOW=… -DWHAT=… -DSOURCE=… -DPREFIX=… -DBUILD=… -DCOMPILER=… [-DARGUMENTS=…] [-DPRINTS=…] -P consume.cmake
#
# Builds tests/package/consumer as a user would and runs it. HOW pkg_config is one line of the compiler.
cmake_minimum_required(VERSION 3.22)
file(REMOVE_RECURSE ${BUILD})
file(MAKE_DIRECTORY ${BUILD})
if(HOW STREQUAL "pkg_config")
  find_program(PKG_CONFIG NAMES pkg-config pkgconf)
  if(NOT PKG_CONFIG)
    message("skipped: no pkg-config here (apt install pkgconf)")
    return()
  endif()
  file(GLOB_RECURSE file ${PREFIX}/*/terse.pc)
  get_filename_component(folder ${file} DIRECTORY)
  set(ENV{PKG_CONFIG_PATH} ${folder})
  execute_process(COMMAND ${PKG_CONFIG} --cflags --libs terse OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  execute_process(COMMAND ${COMPILER} ${SOURCE}/tests/package/consumer/${WHAT}.cpp -o ${BUILD}/program ${flags} COMMAND_ERROR_IS_FATAL ANY)
else()
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE}/tests/package/consumer -B ${BUILD} -DHOW=${HOW} -DWHAT=${WHAT} -DTERSE_SOURCE=${SOURCE}
                          -DFETCHCONTENT_SOURCE_DIR_TERSE=${SOURCE} -DCMAKE_PREFIX_PATH=${PREFIX} -DCMAKE_CXX_COMPILER=${COMPILER}
                  COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND ${CMAKE_COMMAND} --build ${BUILD} COMMAND_ERROR_IS_FATAL ANY)
endif()
execute_process(COMMAND ${BUILD}/program ${ARGUMENTS} WORKING_DIRECTORY ${BUILD} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
message("${output}")
if(NOT result EQUAL 0 OR NOT output MATCHES "${PRINTS}")
  message(FATAL_ERROR "the program ended with ${result}; expected: '${PRINTS}'")
endif()
