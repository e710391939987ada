# The CUDA half: target terse::cuda, and in TERSE_CUDA_ARCHITECTURES what terse's own kernels are compiled for.
set(TERSE_CUDA AUTO CACHE STRING "GPUs by CUDA: AUTO (where nvcc and a GPU are), ON, OFF")
set_property(CACHE TERSE_CUDA PROPERTY STRINGS AUTO ON OFF)

set(terse_cuda OFF)
if(TERSE_CUDA STREQUAL "AUTO")
  include(CheckLanguage)
  file(GLOB terse_gpus /dev/nvidia[0-9]*)
  if(terse_gpus)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
      set(terse_cuda ON)
    else()
      message(STATUS "terse: there is a GPU but no nvcc, so CUDA is left out (install the CUDA toolkit, or set CMAKE_CUDA_COMPILER)")
    endif()
  endif()
elseif(TERSE_CUDA)
  set(terse_cuda ON)
endif()

if(terse_cuda)
  # Each target says its own architectures. Not CUDA_STANDARD: for C++20 with nvcc it needs CMake 3.25.2.
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES OFF)
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  add_library(terse_cuda INTERFACE)
  add_library(terse::cuda ALIAS terse_cuda)
  target_link_libraries(terse_cuda INTERFACE terse::terse CUDA::cudart CUDA::cublasLt)
  # Header and library from one place: Kaggle has two versions.
  find_path(TERSE_NCCL_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(TERSE_NCCL_LIBRARY nccl HINTS ${TERSE_NCCL_INCLUDE}/../lib ${CUDAToolkit_LIBRARY_DIR})
  mark_as_advanced(TERSE_NCCL_INCLUDE TERSE_NCCL_LIBRARY)
  if(TERSE_NCCL_INCLUDE AND TERSE_NCCL_LIBRARY)
    target_include_directories(terse_cuda SYSTEM INTERFACE ${TERSE_NCCL_INCLUDE})
    target_link_libraries(terse_cuda INTERFACE ${TERSE_NCCL_LIBRARY})
    target_compile_definitions(terse_cuda INTERFACE TERSE_WITH_NCCL)
  else()
    message(STATUS "terse: NCCL not found, so a program uses one GPU (apt install libnccl-dev)")
  endif()
  # Host code of nvcc is compiled for any CPU: the intrinsics of a newer g++ than nvcc knows stop it. 554: it takes a view's conversion to a view
  # of const for one to itself, where T is const already and the conversion isn't there.
  target_compile_options(terse_cuda INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--expt-relaxed-constexpr;-diag-suppress=554>")
  # Host code of .cu files has OpenMP as that of .cpp files has: both may be linked into one program.
  target_compile_options(terse_cuda INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=$<IF:$<BOOL:${TERSE_OPENMP}>,-fopenmp,-fopenmp-simd>>")
  target_compile_definitions(terse_cuda INTERFACE CUDA_NO_HALF) # cuda_fp16.h would call its type ::half

  # Machine code for these, and for what is newer as far as this toolkit knows it. No PTX: drivers older than the toolkit refuse it.
  set(terse_architectures 75 80 86 89 90)
  if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.8)
    list(APPEND terse_architectures 100 120)
  endif()
  list(TRANSFORM terse_architectures APPEND "-real")
  set(TERSE_CUDA_ARCHITECTURES ${terse_architectures} CACHE STRING "Architectures that terse's own programs and tests are compiled for")
  message(STATUS "terse: CUDA ${CUDAToolkit_VERSION} for ${TERSE_CUDA_ARCHITECTURES}")
endif()
