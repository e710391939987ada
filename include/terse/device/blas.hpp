#pragma once
/// The library that multiplies large matrices on the CPU: oneDNN (2 or 3) or OpenBLAS, whichever the build found.

#include <terse/core/dtype.hpp>
#include <terse/core/error.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/gemm.hpp>
#include <terse/device/isa.hpp>
#include <terse/device/openmp.hpp>

#if defined(TERSE_WITH_ONEDNN)
#include <terse/device/onednn.hpp>
#elif defined(TERSE_WITH_OPENBLAS)
#include <cblas.h>
#else
#error "terse: link terse::terse (CMake), or define TERSE_WITH_ONEDNN or TERSE_WITH_OPENBLAS"
#endif

namespace terse::inline TERSE_ISA {

/// The library behind one name. `multiply` runs on `threads` threads and waits for them.
///
/// Errors     Failure::internal: the library refused, with its status
class Blas {
 public:
#if defined(TERSE_WITH_ONEDNN)
  static constexpr const char* name = "oneDNN";

  /// True where bf16 x bf16 runs in hardware, so that converting to float would only cost time.
  static bool multiplies_bfloat16() { return onednn::cpu_multiplies_bfloat16(); }

  void multiply(int threads, const GemmShape& s, const float* a, const float* b, float* c) {
    openmp::set_library_threads(threads);
    const dnnl_status_t status =
        dnnl_sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, 1.0f, a, s.lda, b, s.ldb,
                   s.write == Write::accumulate ? 1.0f : 0.0f, c, s.ldc);
    if (status != dnnl_success) fail(Failure::internal, "oneDNN sgemm failed with status ", static_cast<int>(status));
  }
  template <class Out>
  void multiply(int threads, const GemmShape& s, const bfloat16* a, const bfloat16* b, Out* c) {
    openmp::set_library_threads(threads);
    bfloat16_matmul_.run({s.transpose_a, s.transpose_b, s.m, s.n, s.k, s.lda, s.ldb, s.ldc, s.write == Write::accumulate, dtype_of<Out>()},
                         a, b, c);
  }

 private:
  onednn::Bfloat16Matmul bfloat16_matmul_;
#elif defined(TERSE_WITH_OPENBLAS)
  static constexpr const char* name = "OpenBLAS";

  static bool multiplies_bfloat16() { return false; }

  void multiply(int threads, const GemmShape& s, const float* a, const float* b, float* c) {
    if (openblas_get_num_threads() != threads) openblas_set_num_threads(threads);
    cblas_sgemm(CblasRowMajor, s.transpose_a ? CblasTrans : CblasNoTrans, s.transpose_b ? CblasTrans : CblasNoTrans,
                static_cast<blasint>(s.m), static_cast<blasint>(s.n), static_cast<blasint>(s.k), 1.0f, a,
                static_cast<blasint>(s.lda), b, static_cast<blasint>(s.ldb), s.write == Write::accumulate ? 1.0f : 0.0f, c,
                static_cast<blasint>(s.ldc));
  }
#else  // so that the #error above is all that the compiler says
  static bool multiplies_bfloat16() { return false; }
  void multiply(int, const GemmShape&, const auto*, const auto*, auto*) {}
#endif
};

}  // namespace terse::inline TERSE_ISA
