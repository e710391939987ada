# What a CPU program needs. Debian and Ubuntu names: libdnnl-dev (or libopenblas-dev), libpcre2-dev, libcsv-dev, nlohmann-json3-dev.
#
# The build includes this file, and so does terseConfig.cmake of an installed tree. It reads TERSE_BLAS (AUTO, ONEDNN, OPENBLAS) and
# TERSE_OPENMP, makes the targets that terse::terse links, and says in terse_missing what there is not, one sentence each.
set(terse_missing)

# Targets are global: with add_subdirectory those who link terse stand outside of the folder that found them.
macro(terse_find_package target words package)
  if(NOT TARGET ${target})
    find_package(${package} QUIET ${ARGN})
    if(TARGET ${target})
      set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
    else()
      list(APPEND terse_missing "${words}")
    endif()
  endif()
endmacro()

# An imported target for a library that ships a header and a .so but no CMake package.
function(terse_find_library target header library package)
  find_path(${target}_INCLUDE ${header})
  find_library(${target}_LIBRARY ${library})
  mark_as_advanced(${target}_INCLUDE ${target}_LIBRARY)
  if(NOT ${target}_INCLUDE OR NOT ${target}_LIBRARY)
    set(terse_missing ${terse_missing} "${header} or lib${library} not found (Debian, Ubuntu: apt install ${package})" PARENT_SCOPE)
  elseif(NOT TARGET ${target})
    add_library(${target} INTERFACE IMPORTED GLOBAL)
    target_include_directories(${target} INTERFACE ${${target}_INCLUDE})
    target_link_libraries(${target} INTERFACE ${${target}_LIBRARY})
  endif()
endfunction()

terse_find_package(Threads::Threads "no POSIX threads found" Threads)
terse_find_package(nlohmann_json::nlohmann_json "nlohmann/json not found (Debian, Ubuntu: apt install nlohmann-json3-dev)" nlohmann_json)
terse_find_library(terse_pcre2 pcre2.h pcre2-8 libpcre2-dev)
terse_find_library(terse_csv csv.h csv libcsv-dev)

# Without OpenMP a rank has one thread. What `omp simd` allows still holds, so that results are the same.
if(TERSE_OPENMP)
  terse_find_package(OpenMP::OpenMP_CXX "this compiler has no OpenMP (clang: apt install libomp-dev); or say TERSE_OPENMP=OFF, for one thread a rank"
                     OpenMP COMPONENTS CXX)
endif()
if(NOT TARGET terse_openmp)
  add_library(terse_openmp INTERFACE IMPORTED GLOBAL)
  if(TERSE_OPENMP)
    target_link_libraries(terse_openmp INTERFACE OpenMP::OpenMP_CXX)
  else()
    target_compile_options(terse_openmp INTERFACE -fopenmp-simd)
    target_link_libraries(terse_openmp INTERFACE ${CMAKE_DL_LIBS})
  endif()
endif()

# oneDNN by default: in fp32 and bf16 it runs near the machine's peak; Debian's OpenBLAS 0.3.21 is slow on recent CPUs.
set(terse_blas_choice ${TERSE_BLAS})
if(TERSE_BLAS STREQUAL "AUTO")
  find_path(TERSE_ONEDNN_INCLUDE oneapi/dnnl/dnnl.h)
  find_library(TERSE_ONEDNN_LIBRARY dnnl)
  find_library(TERSE_OPENBLAS_LIBRARY openblas)
  mark_as_advanced(TERSE_ONEDNN_INCLUDE TERSE_ONEDNN_LIBRARY TERSE_OPENBLAS_LIBRARY)
  set(terse_blas_choice ONEDNN) # also where neither is there: it is the one to install
  if(TERSE_OPENBLAS_LIBRARY AND NOT (TERSE_ONEDNN_INCLUDE AND TERSE_ONEDNN_LIBRARY))
    set(terse_blas_choice OPENBLAS)
  endif()
endif()
if(terse_blas_choice STREQUAL "ONEDNN")
  terse_find_library(terse_blas oneapi/dnnl/dnnl.h dnnl "libdnnl-dev, or libopenblas-dev, which is slower")
else()
  terse_find_library(terse_blas cblas.h openblas libopenblas-dev)
endif()
if(TARGET terse_blas)
  set_target_properties(terse_blas PROPERTIES INTERFACE_COMPILE_DEFINITIONS TERSE_WITH_${terse_blas_choice})
endif()
