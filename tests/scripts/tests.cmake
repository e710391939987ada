# Scripts that can't run here to their end, against stand-ins for the programs they need.
find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_Interpreter_FOUND)
  add_test(NAME scripts_gpu_check COMMAND ${CMAKE_CURRENT_LIST_DIR}/gpu_check ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_BINARY_DIR}/scripts/gpu_check)
  add_test(NAME scripts_get_smollm2 COMMAND ${CMAKE_CURRENT_LIST_DIR}/get_smollm2 ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_BINARY_DIR}/scripts/get_smollm2)
  set_tests_properties(scripts_gpu_check scripts_get_smollm2 PROPERTIES LABELS unit)
endif()
