# What documents quote is what is compiled.
add_test(NAME docs_tutorial COMMAND ${CMAKE_COMMAND} -DDOCUMENT=docs/tutorial.md -DROOT=${PROJECT_SOURCE_DIR} -P ${CMAKE_CURRENT_LIST_DIR}/excerpts.cmake)
set_tests_properties(docs_tutorial PROPERTIES LABELS unit)

find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_Interpreter_FOUND)
  add_test(NAME docs_roofline COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/scripts/roofline --check)
  set_tests_properties(docs_roofline PROPERTIES LABELS unit)
endif()
