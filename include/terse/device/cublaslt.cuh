#pragma once
/// Matrix products by cuBLASLt, each kind of product planned once.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <type_traits>

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <terse/core/dtype.hpp>
#include <terse/core/error.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/cuda_memory.cuh>
#include <terse/device/gemm.hpp>
#include <terse/device/isa.hpp>

namespace terse::device {

/// As check of device/check.cuh, for cuBLASLt's own statuses.
inline void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) fail(Failure::device, what, ": cuBLASLt status ", static_cast<int>(status));
}

}  // namespace terse::device

namespace terse::device::inline TERSE_ISA {

/// All that tells one kind of product from another.
struct MatmulKind {
  GemmShape shape;
  Dtype in, out;
  std::size_t alignment_a, alignment_b, alignment_c, alignment_bias;  ///< of the addresses, in bytes: a power of two, at most alignment_bytes; bias: 0 without one

  auto operator<=>(const MatmulKind&) const = default;
};

/// A product ready to run: descriptors, and the algorithm that cuBLASLt's heuristic ranks first. A bias is its epilogue where cuBLASLt has one for the product.
///
/// cuBLASLt's matrices are column-major, so a row-major matrix is its transpose there, without moving a value. Hence of C = op(A) op(B) it
/// computes Cᵀ = op(B)ᵀ op(A)ᵀ: B is the left factor, A the right one, and each is transposed where ours is.
class MatmulPlan {
 public:
  MatmulPlan(cublasLtHandle_t handle, const MatmulKind& kind, const void* bias, std::size_t workspace_bytes) : accumulates_(kind.shape.write == Write::accumulate) {
    const GemmShape& s = kind.shape;
    cublasLtMatmulDesc_t product = nullptr;
    check(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    product_.reset(product);
    set(CUBLASLT_MATMUL_DESC_TRANSA, s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    left_ = layout(kind.in, s.transpose_b ? s.k : s.n, s.transpose_b ? s.n : s.k, s.ldb);
    right_ = layout(kind.in, s.transpose_a ? s.m : s.k, s.transpose_a ? s.k : s.m, s.lda);
    out_ = layout(kind.out, s.n, s.m, s.ldc);
    if (kind.alignment_bias > 0) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS), set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);  // the heuristic looks at its alignment
      if (adds_bias_ = choose_algorithm(handle, kind, workspace_bytes) == CUBLAS_STATUS_SUCCESS; adds_bias_) return;
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_DEFAULT);
    }
    if (const auto status = choose_algorithm(handle, kind, workspace_bytes); status != CUBLAS_STATUS_SUCCESS)
      fail(Failure::device, "cuBLASLt has no product of ", name_of(kind.in), " (", s.m, ", ", s.k, ") x (", s.k, ", ", s.n, ") into ", name_of(kind.out), ": status ",
           static_cast<int>(status));
  }

  /// The bias that was asked for is part of it.
  bool adds_bias() const { return adds_bias_; }

  void run(cublasLtHandle_t handle, cudaStream_t stream, const void* a, const void* b, void* c, const void* bias, const CudaMemory& workspace) {
    const float one = 1, zero = 0;
    if (adds_bias_) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    check(cublasLtMatmul(handle, product_.get(), &one, b, left_.get(), a, right_.get(), accumulates_ ? &one : &zero, c, out_.get(), c, out_.get(), &algorithm_,
                         workspace.data(), workspace.bytes(), stream),
          "cublasLtMatmul");
  }

 private:
  template <class Handle, auto destroy>
  struct Destroy {
    void operator()(Handle handle) const { static_cast<void>(destroy(handle)); }
  };
  template <class Handle, auto destroy>
  using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<Handle, destroy>>;
  using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
  using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, Value value) {
    check(cublasLtMatmulDescSetAttribute(product_.get(), attribute, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
  }
  static cudaDataType_t data_type(Dtype dtype) { return dtype == Dtype::f32 ? CUDA_R_32F : dtype == Dtype::f16 ? CUDA_R_16F : CUDA_R_16BF; }
  static Layout layout(Dtype dtype, Index rows, Index columns, Index stride) {
    cublasLtMatrixLayout_t result = nullptr;
    check(cublasLtMatrixLayoutCreate(&result, data_type(dtype), static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), stride),
          "cublasLtMatrixLayoutCreate");
    return Layout(result);
  }

  template <class Value>
  static void prefer(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, Value value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value), "cublasLtMatmulPreferenceSetAttribute");
  }

  cublasStatus_t choose_algorithm(cublasLtHandle_t handle, const MatmulKind& kind, std::size_t workspace_bytes) {
    cublasLtMatmulPreference_t made = nullptr;
    check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
    const Preference preference(made);
    prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{workspace_bytes});
    // Parts of K summed in no fixed order, or rounded to the output's 16 bits on the way, are nothing we want.
    prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
    // The defaults promise 256 bytes, and an algorithm that believes them may fault.
    prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<std::uint32_t>(kind.alignment_b));
    prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<std::uint32_t>(kind.alignment_a));
    prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<std::uint32_t>(kind.alignment_c));
    prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<std::uint32_t>(kind.alignment_c));
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const auto status = cublasLtMatmulAlgoGetHeuristic(handle, product_.get(), left_.get(), right_.get(), out_.get(), out_.get(), preference.get(), 1, &best, &found);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    algorithm_ = best.algo;
    return found == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : best.state;
  }

  bool accumulates_, adds_bias_ = false;
  Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> product_;
  Layout left_, right_, out_;
  cublasLtMatmulAlgo_t algorithm_{};
};

/// One GPU's handle, workspace and plans. The first product of a kind makes its plan, which takes time and must not happen while a graph is
/// captured; later ones find it.
///
/// Errors     Failure::device: cuBLASLt refuses, with its status
class MatmulPlans {
 public:
  /// Bytes of workspace that NVIDIA advises: 32 MiB from Hopper on, 4 MiB before.
  static constexpr std::size_t workspace_bytes(int capability) { return std::size_t{capability >= 90 ? 32u : 4u} << 20; }

  explicit MatmulPlans(int capability) : workspace_(workspace_bytes(capability)) {
    cublasLtHandle_t handle = nullptr;
    check(cublasLtCreate(&handle), "cublasLtCreate");
    handle_.reset(handle);
  }

  /// How many there are.
  std::size_t size() const { return plans_.size(); }

  /// C = op(A) op(B) (+ C) of `shape`, queued on `stream`; sums in float. Out: In or float. True where `bias` (n), if there is one, was added to each row: else the
  /// caller does so.
  template <Real In, Real Out>
  bool multiply(cudaStream_t stream, const GemmShape& shape, const In* a, const In* b, Out* c, const Out* bias) {
    if (shape.m == 0 || shape.n == 0) return true;
    MatmulPlan& known = plan(shape, a, b, c, bias);
    known.run(handle_.get(), stream, a, b, c, bias, workspace_);
    return known.adds_bias();
  }

  /// The plan of such a product, made now if it wasn't there.
  template <Real In, Real Out>
  MatmulPlan& plan(const GemmShape& shape, const In* a, const In* b, const Out* c, const Out* bias) {
    static_assert(!std::is_same_v<In, double> && (std::is_same_v<Out, In> || std::is_same_v<Out, float>),
                  "terse: matmul on CUDA: float, half or bfloat16, into the same or float");
    const std::size_t bias_alignment = bias == nullptr ? 0 : alignment(bias);
    if (bias_alignment % 16 != 0) fail(Failure::internal, "a bias on a GPU begins at a multiple of 16 bytes, this one of ", bias_alignment);  // else the kernel faults: pytorch #194497
    const MatmulKind kind{shape, dtype_of<In>(), dtype_of<Out>(), alignment(a), alignment(b), alignment(c), bias_alignment};
    const auto known = plans_.find(kind);
    return (known != plans_.end() ? known : plans_.emplace(kind, MatmulPlan(handle_.get(), kind, bias, workspace_.bytes())).first)->second;
  }

 private:
  struct Destroy {
    void operator()(cublasLtHandle_t handle) const { static_cast<void>(cublasLtDestroy(handle)); }
  };

  static std::size_t alignment(const void* address) {
    const auto number = reinterpret_cast<std::uintptr_t>(address) | alignment_bytes;
    return std::size_t{1} << std::countr_zero(number);
  }

  std::unique_ptr<std::remove_pointer_t<cublasLtHandle_t>, Destroy> handle_;
  CudaMemory workspace_;
  std::map<MatmulKind, MatmulPlan> plans_;
};

}  // namespace terse::device::inline TERSE_ISA
