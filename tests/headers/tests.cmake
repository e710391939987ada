# Each header of the library compiles alone, and includes only what its room may know.
file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR}/include CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/terse/*.hpp)
list(REMOVE_ITEM headers terse/cuda.hpp) # nvcc's
set(sources "")
foreach(header ${headers})
  string(REGEX REPLACE "[/.]" "_" name ${header})
  set(source ${CMAKE_CURRENT_BINARY_DIR}/headers/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "#include <@header@>\n#include <@header@>\n" @ONLY)
  list(APPEND sources ${source})
endforeach()
add_library(terse_headers_alone OBJECT ${sources})
target_link_libraries(terse_headers_alone PRIVATE terse::terse terse_warnings)
target_compile_options(terse_headers_alone PRIVATE -O0)

add_test(NAME headers_rooms COMMAND ${CMAKE_COMMAND} -DINCLUDE=${PROJECT_SOURCE_DIR}/include/terse -P ${CMAKE_CURRENT_LIST_DIR}/rooms.cmake)
set_tests_properties(headers_rooms PROPERTIES LABELS unit)
