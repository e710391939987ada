#pragma once
/// OpenMP's few functions that are needed, with and without it.
///
/// Compiled without -fopenmp a rank is one thread, and nothing else changes: results are those of one thread, bit for bit. Give
/// -fopenmp-simd then: it starts no threads, but the order of summation that `omp simd` allows belongs to the results.

#if defined(_OPENMP)
#include <omp.h>
#else
#include <dlfcn.h>
#endif

namespace terse::openmp {

#if defined(_OPENMP)

/// Threads that a team would have: OMP_NUM_THREADS, else one a core.
inline int max_threads() { return omp_get_max_threads(); }
/// The calling thread's number in its team.
inline int thread_number() { return omp_get_thread_num(); }
/// How many threads a library that uses OpenMP may take when this thread calls it.
inline void set_library_threads(int threads) { omp_set_num_threads(threads); }
/// The team that a rank gets which asks for `threads`; 0: as many as OpenMP would use.
inline int team(int threads) { return threads > 0 ? threads : max_threads(); }

#else

/// Without OpenMP there is one thread, whatever is asked.
inline int max_threads() { return 1; }
/// The only thread has number 0.
inline int thread_number() { return 0; }
/// oneDNN brings an OpenMP runtime along even where this program doesn't use it, and would take every core.
inline void set_library_threads(int threads) {
  static const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  if (set != nullptr) set(threads);
}
/// A team of one.
inline int team(int) { return 1; }

#endif

}  // namespace terse::openmp
