#pragma once
// One matrix product of cuBLASLt, ready to be queued.

#include <array>
#include <cstdint>
#include <string>

#include "cublasLt.h"

/// Column-major: element (row, column) lies at column * ld + row.
struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType type;
  std::uint64_t rows, columns;
  std::int64_t ld;
  std::int32_t order = CUBLASLT_ORDER_COL;
};
struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute;
  cudaDataType scale;
  std::int32_t pointer_mode = CUBLASLT_POINTER_MODE_HOST, transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void *bias = nullptr, *aux = nullptr;
  std::int64_t aux_ld = 0;
  std::int32_t aux_type = -1, bias_type = -1;
};
/// Defaults are cublasLt.h's: no workspace, and 256 bytes of alignment promised.
struct cublasLtMatmulPreferenceOpaque_t {
  std::uint64_t workspace = 0;
  std::uint32_t search_mode = 0, reduction_schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  std::array<std::uint32_t, 4> alignment{256, 256, 256, 256};   // of a, b, c, d
  std::uint64_t implementations = ~std::uint64_t{0};
};
struct cublasLtContext {
  int device;
};

namespace hostcuda {

using MatrixLayout = cublasLtMatrixLayoutOpaque_t;
using MatmulDesc = cublasLtMatmulDescOpaque_t;

struct Product {
  MatmulDesc desc;
  MatrixLayout a, b, c, d;
  float alpha = 1, beta = 0;
  const void *from_a = nullptr, *from_b = nullptr, *from_c = nullptr;
  void* to = nullptr;
  int m() const { return static_cast<int>(d.rows); }
  int n() const { return static_cast<int>(d.columns); }
  int k() const { return static_cast<int>(desc.transpose_a == CUBLAS_OP_N ? a.columns : a.rows); }
};

std::size_t bytes_of(cudaDataType type);
/// From the first element's first byte to the last one's last.
std::size_t span_of(const MatrixLayout& layout);
/// d = epilogue(alpha op(a) op(b) + beta c); every sum in float, k upwards.
void multiply(const Product& product);

}  // namespace hostcuda
