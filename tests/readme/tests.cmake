# README's program compiles and links as it stands there.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md)
file(READ ${PROJECT_SOURCE_DIR}/README.md readme)
set(opening "<!-- main.cpp -->\n```cpp\n")
string(FIND "${readme}" "${opening}" begin)
if(begin LESS 0)
  message(FATAL_ERROR "terse: README.md has no program after <!-- main.cpp -->")
endif()
string(LENGTH "${opening}" opening_length)
math(EXPR begin "${begin} + ${opening_length}")
string(SUBSTRING "${readme}" ${begin} -1 program)
string(FIND "${program}" "\n```" end)
string(SUBSTRING "${program}" 0 ${end} program)
set(source ${CMAKE_CURRENT_BINARY_DIR}/readme/main.cpp)
file(CONFIGURE OUTPUT ${source} CONTENT "@program@\n" @ONLY)
add_executable(readme_main ${source})
target_link_libraries(readme_main PRIVATE terse::terse terse_warnings)

# So does the C++ of docs/rooms, and no link in a page is broken.
add_test(NAME readme_snippets COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DOUTPUT=${CMAKE_CURRENT_BINARY_DIR}/readme/snippets.cpp -DCOMPILER=${CMAKE_CXX_COMPILER}
                                      -DDEFINITIONS=-DTERSE_WITH_${terse_blas_choice} -P ${CMAKE_CURRENT_LIST_DIR}/snippets.cmake)
add_test(NAME readme_links COMMAND ${CMAKE_CURRENT_LIST_DIR}/links ${PROJECT_SOURCE_DIR})
set_tests_properties(readme_snippets readme_links PROPERTIES LABELS unit)
