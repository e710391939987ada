# The tests of tests/hostcuda that hold ops and training against the CPU, compiled by nvcc for a real GPU: ctest -L gpu. *_emulated.cpp are about the emulated
# one alone. Each file is a program, because what a kernel breaks stays broken for the rest of its process.
if(NOT TARGET terse_cuda OR NOT TERSE_GPU_TESTS)
  return()
endif()

# For the GPUs that are here: each architecture costs minutes. Not "native", which needs CMake 3.24.
set(gpu_architectures)
execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader OUTPUT_VARIABLE capabilities ERROR_QUIET RESULT_VARIABLE failed)
if(NOT failed)
  string(REGEX MATCHALL "[0-9]+\\.[0-9]" gpu_architectures "${capabilities}")
  list(TRANSFORM gpu_architectures REPLACE "\\." "")
  list(TRANSFORM gpu_architectures APPEND "-real")
  list(REMOVE_DUPLICATES gpu_architectures)
endif()
if(NOT gpu_architectures)
  set(gpu_architectures ${TERSE_CUDA_ARCHITECTURES})
endif()
message(STATUS "terse: tests on GPUs are compiled for ${gpu_architectures}")

add_library(terse_gpu_test_main OBJECT gpu/main.cpp)
target_include_directories(terse_gpu_test_main PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_features(terse_gpu_test_main PRIVATE cxx_std_20)
target_link_libraries(terse_gpu_test_main PRIVATE Catch2::Catch2 CUDA::cudart terse_warnings)

add_custom_target(gpu_tests)
file(GLOB sources CONFIGURE_DEPENDS hostcuda/ops/*.cpp)
list(FILTER sources EXCLUDE REGEX "_emulated.cpp$")
foreach(source ${sources} hostcuda/whole/plan.cpp hostcuda/whole/training.cpp)
  get_filename_component(name ${source} NAME_WE)
  if(source MATCHES "/ops/")
    string(PREPEND name "ops_")
  endif()
  set_source_files_properties(${source} PROPERTIES LANGUAGE CUDA)
  add_executable(gpu_${name} ${source})
  set_target_properties(gpu_${name} PROPERTIES CUDA_ARCHITECTURES "${gpu_architectures}")
  target_include_directories(gpu_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_options(gpu_${name} PRIVATE $<$<BOOL:${TERSE_TEST_OPTIMIZATION}>:-Xcompiler=${TERSE_TEST_OPTIMIZATION}>) # kernels always in full
  target_link_libraries(gpu_${name} PRIVATE terse::cuda terse_warnings Catch2::Catch2 terse_gpu_test_main)
  add_dependencies(gpu_tests gpu_${name})
  add_test(NAME gpu_${name} COMMAND gpu_${name})
  # Eager: a kernel that is loaded at its first launch may wait for another rank's collective.
  set_tests_properties(gpu_${name} PROPERTIES LABELS gpu SKIP_RETURN_CODE 77 RESOURCE_LOCK gpus ENVIRONMENT "OMP_WAIT_POLICY=passive;CUDA_MODULE_LOADING=EAGER")
endforeach()
