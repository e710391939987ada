# What only nvcc can say: that it takes every kernel, for every architecture, without a warning.
if(TARGET terse_cuda)
  add_library(terse_cuda_kernels OBJECT ${CMAKE_CURRENT_LIST_DIR}/kernels.cu)
  target_link_libraries(terse_cuda_kernels PRIVATE terse::cuda terse_warnings)
  set_target_properties(terse_cuda_kernels PROPERTIES CUDA_ARCHITECTURES "${TERSE_CUDA_ARCHITECTURES}")
endif()
