// The arithmetic of a product.

#include "product.hpp"

#include <cmath>
#include <vector>

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "sanitizers.hpp"

namespace hostcuda {

namespace {

float load(cudaDataType type, const void* from, std::size_t i) {
  if (type == CUDA_R_16F) return __half2float(static_cast<const __half*>(from)[i]);
  if (type == CUDA_R_16BF) return __bfloat162float(static_cast<const __nv_bfloat16*>(from)[i]);
  return static_cast<const float*>(from)[i];
}

void store(cudaDataType type, void* to, std::size_t i, float value) {
  if (type == CUDA_R_16F) static_cast<__half*>(to)[i] = __float2half_rn(value);
  else if (type == CUDA_R_16BF) static_cast<__nv_bfloat16*>(to)[i] = __float2bfloat16_rn(value);
  else static_cast<float*>(to)[i] = value;
}

/// op(X) in float, column-major without gaps: rows of it lie side by side.
std::vector<float> loaded(const MatrixLayout& layout, const void* from, bool transposed) {
  const std::size_t rows = layout.rows, columns = layout.columns, size = bytes_of(layout.type), ld = static_cast<std::size_t>(layout.ld);
  std::vector<float> values(rows * columns);
  for (std::size_t c = 0; c < columns; ++c) {
    tell_read(static_cast<const char*>(from) + c * ld * size, rows * size);
    for (std::size_t r = 0; r < rows; ++r) values[transposed ? r * columns + c : c * rows + r] = load(layout.type, from, c * ld + r);
  }
  return values;
}

// tanh's approximation, as the epilogue has it: it agrees with GPT-2's GELU.
constexpr float root_2_over_pi = 0.7978845608f, cubic = 0.044715f;
float gelu(float x) { return 0.5f * x * (1 + std::tanh(root_2_over_pi * (x + cubic * x * x * x))); }
float gelu_slope(float x) {
  const float t = std::tanh(root_2_over_pi * (x + cubic * x * x * x));
  return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * root_2_over_pi * (1 + 3 * cubic * x * x);
}

/// One column of the result, in float, through the epilogue. AUX holds what GELU is applied to.
void apply_epilogue(const Product& p, std::size_t column, std::vector<float>& values) {
  const std::uint32_t epilogue = p.desc.epilogue;
  const std::size_t size = bytes_of(p.d.type), aux_at = column * static_cast<std::size_t>(p.desc.aux_ld);
  if ((epilogue & CUBLASLT_EPILOGUE_BIAS) != 0) {
    tell_read(p.desc.bias, p.d.rows * size);
    for (std::size_t r = 0; r < values.size(); ++r) values[r] += load(p.d.type, p.desc.bias, r);
  }
  if ((epilogue & CUBLASLT_EPILOGUE_GELU) != 0) {
    if ((epilogue & 128) != 0) tell_write(static_cast<char*>(p.desc.aux) + aux_at * size, p.d.rows * size);
    for (std::size_t r = 0; r < values.size(); ++r) {
      if ((epilogue & 128) != 0) store(p.d.type, p.desc.aux, aux_at + r, values[r]);
      values[r] = gelu(values[r]);
    }
  }
  if ((epilogue & 64) != 0) {
    tell_read(static_cast<char*>(p.desc.aux) + aux_at * size, p.d.rows * size);
    for (std::size_t r = 0; r < values.size(); ++r) values[r] *= gelu_slope(load(p.d.type, p.desc.aux, aux_at + r));
  }
}

/// Written over what was there, not scaled by alpha, and not added to, whatever beta is (measured, cuBLAS 13.0).
void store_bias_gradient(const Product& p, const std::vector<float>& sums) {
  tell_write(p.desc.bias, sums.size() * bytes_of(p.d.type));
  for (std::size_t i = 0; i < sums.size(); ++i) store(p.d.type, p.desc.bias, i, sums[i]);
}

}  // namespace

std::size_t bytes_of(cudaDataType type) { return type == CUDA_R_32F || type == CUDA_R_32I ? 4 : type == CUDA_R_64F ? 8 : type == CUDA_R_8I ? 1 : 2; }

std::size_t span_of(const MatrixLayout& layout) { return ((layout.columns - 1) * static_cast<std::size_t>(layout.ld) + layout.rows) * bytes_of(layout.type); }

void multiply(const Product& p) {
  const auto m = static_cast<std::size_t>(p.m()), n = static_cast<std::size_t>(p.n()), k = static_cast<std::size_t>(p.k());
  const std::vector<float> a = loaded(p.a, p.from_a, p.desc.transpose_a != CUBLAS_OP_N);   // (m, k)
  const std::vector<float> b = loaded(p.b, p.from_b, p.desc.transpose_b != CUBLAS_OP_N);   // (k, n)
  std::vector<float> sums(m), row_sums(m), of_a(m), of_b(n);
  const std::size_t size = bytes_of(p.d.type);
  for (std::size_t j = 0; j < n; ++j) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (std::size_t i = 0; i < k; ++i) {
      const float factor = b[j * k + i];
      const float* const column = a.data() + i * m;
      float* const sum = sums.data();
#pragma GCC ivdep
      for (std::size_t r = 0; r < m; ++r) sum[r] += column[r] * factor;
      of_b[j] += factor;
    }
    const std::size_t c_at = j * static_cast<std::size_t>(p.c.ld), d_at = j * static_cast<std::size_t>(p.d.ld);
    if (p.beta != 0) tell_read(static_cast<const char*>(p.from_c) + c_at * size, m * size);
    for (std::size_t r = 0; r < m; ++r) sums[r] = p.alpha * sums[r] + (p.beta == 0 ? 0 : p.beta * load(p.c.type, p.from_c, c_at + r));
    apply_epilogue(p, j, sums);
    tell_write(static_cast<char*>(p.to) + d_at * size, m * size);
    for (std::size_t r = 0; r < m; ++r) store(p.d.type, p.to, d_at + r, sums[r]), row_sums[r] += sums[r];
  }
  if (p.desc.epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD) store_bias_gradient(p, row_sums);
  if (p.desc.epilogue == CUBLASLT_EPILOGUE_BGRADB) store_bias_gradient(p, of_b);
  if (p.desc.epilogue != CUBLASLT_EPILOGUE_BGRADA) return;
  for (std::size_t i = 0; i < k; ++i)
    for (std::size_t r = 0; r < m; ++r) of_a[r] += a[i * m + r];
  store_bias_gradient(p, of_a);
}

}  // namespace hostcuda
