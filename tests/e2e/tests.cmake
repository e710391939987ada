# terse-summarize as a user runs it: arguments, files, exit codes.
if(NOT TARGET terse-summarize)
  message(STATUS "terse: terse-summarize isn't built, so its end-to-end tests are left out")
  return()
endif()

function(terse_add_e2e_test name)
  set(program terse-summarize)
  if(name STREQUAL lora)
    set(program llama-summarize)
  endif()
  terse_add_test(e2e_${name} e2e ${ARGN})
  add_dependencies(e2e_${name} ${program})
  target_compile_definitions(e2e_${name} PRIVATE TERSE_SUMMARIZE="$<TARGET_FILE:${program}>")
  target_include_directories(e2e_${name} PRIVATE ${CMAKE_CURRENT_FUNCTION_LIST_DIR} ${PROJECT_SOURCE_DIR}/examples/summarize)
  target_compile_options(e2e_${name} PRIVATE -O0)  # the work is done by the program
endfunction()

# The one program of the tests that trains adapters; a Llama, too, and of the tests' own.
terse_add_summarizer(NAME llama-summarize CONFIG SmallLlama HEADER ${CMAKE_CURRENT_LIST_DIR}/lora/small_llama.hpp PRECISIONS fp32 DEVICES cpu LORA_RANKS 4)
target_compile_options(llama-summarize PRIVATE ${TERSE_TEST_OPTIMIZATION})

file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.cpp)
foreach(source ${sources})
  get_filename_component(name ${source} NAME_WE)
  terse_add_e2e_test(${name} ${source})
endforeach()
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/mistakes/*.cpp)
terse_add_e2e_test(mistakes ${sources})

# The check of the CPU, with a program that no CPU can run.
add_executable(asks_for_every_instruction support/asks_for_every_instruction.cpp ${PROJECT_SOURCE_DIR}/examples/summarize/start_check.cpp)
target_link_libraries(asks_for_every_instruction PRIVATE terse::terse terse_warnings)
target_compile_definitions(e2e_instructions PRIVATE ASKS_FOR_EVERY_INSTRUCTION="$<TARGET_FILE:asks_for_every_instruction>")
add_dependencies(e2e_instructions asks_for_every_instruction)
