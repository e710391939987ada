// Products, epilogues and refusals of cuBLASLt.
#include "support/catch.hpp"

#include <cmath>
#include <random>

#include <cublasLt.h>
#include <terse/core/dtype.hpp>

#include "hostcuda/self/device.hpp"
#include "support/messages.hpp"

namespace {

template <class T>
constexpr cudaDataType type_of() {
  return std::is_same_v<T, float> ? CUDA_R_32F : std::is_same_v<T, terse::half> ? CUDA_R_16F : CUDA_R_16BF;
}

template <class T>
std::vector<T> numbers(std::size_t count, unsigned draw) {
  std::mt19937 random(draw);
  std::vector<T> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(T(static_cast<float>(static_cast<int>(random() % 9) - 4) / 4));
  return values;
}

/// D (m, n) = op(A) (m, k) op(B) (k, n), column-major, and all that a call needs; members are changed before `run`.
struct Call {
  std::uint64_t m = 24, n = 16, k = 8;
  std::int64_t lda = 0, ldb = 0, ldd = 0;   // 0: no gaps
  bool transpose_a = false, transpose_b = false;
  cudaDataType in = CUDA_R_32F, out = CUDA_R_32F;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void *bias = nullptr, *aux = nullptr;
  std::int64_t aux_ld = 0;
  float alpha = 1, beta = 0;
  std::uint32_t alignment = 16;
  std::uint64_t workspace_asked = 0;
  std::size_t workspace_given = 0;
  void* workspace = nullptr;
  cublasStatus_t heuristic = CUBLAS_STATUS_SUCCESS;

  cublasStatus_t run(cudaStream_t stream, const void* a, const void* b, void* d) {
    cublasLtHandle_t handle = nullptr;
    cublasLtMatmulDesc_t desc = nullptr;
    cublasLtMatrixLayout_t layout_a = nullptr, layout_b = nullptr, layout_d = nullptr;
    cublasLtMatmulPreference_t preference = nullptr;
    cublasLtCreate(&handle);
    cublasLtMatmulDescCreate(&desc, compute, CUDA_R_32F);
    set(desc, CUBLASLT_MATMUL_DESC_TRANSA, transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(desc, CUBLASLT_MATMUL_DESC_TRANSB, transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    if (bias != nullptr) set(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    if (aux != nullptr) set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux), set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, aux_ld);
    const std::uint64_t rows_a = transpose_a ? k : m, rows_b = transpose_b ? n : k;
    cublasLtMatrixLayoutCreate(&layout_a, in, rows_a, transpose_a ? m : k, lda != 0 ? lda : static_cast<std::int64_t>(rows_a));
    cublasLtMatrixLayoutCreate(&layout_b, in, rows_b, transpose_b ? k : n, ldb != 0 ? ldb : static_cast<std::int64_t>(rows_b));
    cublasLtMatrixLayoutCreate(&layout_d, out, m, n, ldd != 0 ? ldd : static_cast<std::int64_t>(m));
    cublasLtMatmulPreferenceCreate(&preference);
    for (const auto which : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                             CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      cublasLtMatmulPreferenceSetAttribute(preference, which, &alignment, sizeof alignment);
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_asked, sizeof workspace_asked);
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    heuristic = cublasLtMatmulAlgoGetHeuristic(handle, desc, layout_a, layout_b, layout_d, layout_d, preference, 1, &best, &found);
    const cublasStatus_t status = cublasLtMatmul(handle, desc, &alpha, a, layout_a, b, layout_b, &beta, d, layout_d, d, layout_d, found > 0 ? &best.algo : nullptr,
                                                 workspace, workspace_given, stream);
    cublasLtMatmulPreferenceDestroy(preference), cublasLtMatmulDescDestroy(desc), cublasLtDestroy(handle);
    cublasLtMatrixLayoutDestroy(layout_a), cublasLtMatrixLayoutDestroy(layout_b), cublasLtMatrixLayoutDestroy(layout_d);
    return status;
  }

 private:
  template <class Value>
  static void set(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, Value value) {
    cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value);
  }
};

/// op(X)(row, column) of a column-major matrix.
template <class T>
double at(const std::vector<T>& values, bool transposed, std::int64_t ld, std::size_t row, std::size_t column) {
  if (transposed) std::swap(row, column);
  return float(values[column * static_cast<std::size_t>(ld) + row]);
}

// Values are quarters, so every sum is exact in float, and in 16 bits.
template <class In, class Out>
void check_product(bool transpose_a, bool transpose_b, std::int64_t gap, float beta) {
  Call call{.transpose_a = transpose_a, .transpose_b = transpose_b, .in = type_of<In>(), .out = type_of<Out>(), .alpha = 2, .beta = beta};
  call.lda = static_cast<std::int64_t>(transpose_a ? call.k : call.m) + gap;
  call.ldb = static_cast<std::int64_t>(transpose_b ? call.n : call.k) + gap;
  call.ldd = static_cast<std::int64_t>(call.m) + gap;
  const auto a = numbers<In>(static_cast<std::size_t>(call.lda) * 32, 1), b = numbers<In>(static_cast<std::size_t>(call.ldb) * 32, 2);
  const auto before = numbers<Out>(static_cast<std::size_t>(call.ldd) * call.n, 3);
  Device device;
  Out* const d = device.copy(before);
  INFO(hostcuda::last_report());
  REQUIRE(call.run(device.stream(), device.copy(a), device.copy(b), d) == CUBLAS_STATUS_SUCCESS);
  const auto after = device.read(d, before.size());
  std::size_t wrong = 0;
  for (std::size_t j = 0; j < call.n; ++j)
    for (std::size_t i = 0; i < static_cast<std::size_t>(call.ldd); ++i) {
      double expected = float(before[j * static_cast<std::size_t>(call.ldd) + i]);   // between the columns nothing is written
      if (i < call.m) {
        expected *= beta;
        for (std::size_t l = 0; l < call.k; ++l) expected += 2 * at(a, transpose_a, call.lda, i, l) * at(b, transpose_b, call.ldb, l, j);
      }
      wrong += float(after[j * static_cast<std::size_t>(call.ldd) + i]) != static_cast<float>(expected);
    }
  CHECK(wrong == 0);
}

/// A product of ones and zeros with an epilogue: D = A.
struct Epilogue {
  Device device;
  Call call{.m = 8, .n = 8, .k = 8};
  std::vector<float> values = numbers<float>(64, 5), identity = std::vector<float>(64);
  float *a = nullptr, *b = nullptr, *d = nullptr;

  explicit Epilogue(cublasLtEpilogue_t epilogue) {
    for (std::size_t i = 0; i < 8; ++i) identity[9 * i] = 1;
    a = device.copy(values), b = device.copy(identity), d = device.allocate<float>(64);
    call.epilogue = epilogue;
  }
  cublasStatus_t run() { return call.run(device.stream(), a, b, d); }
};

double gelu(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x))); }

}  // namespace

TEST_CASE("products of all transpositions, types and leading dimensions") {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const std::int64_t gap : {0, 8})
        for (const float beta : {0.0f, 1.0f}) {
          INFO("transposed " << ta << tb << ", gap " << gap << ", beta " << beta);
          check_product<float, float>(ta, tb, gap, beta);
          check_product<terse::half, terse::half>(ta, tb, gap, beta);
          check_product<terse::half, float>(ta, tb, gap, beta);
          check_product<terse::bfloat16, float>(ta, tb, gap, beta);
        }
}

TEST_CASE("beta of 0 doesn't read C") {
  Epilogue e(CUBLASLT_EPILOGUE_DEFAULT);   // d is poison
  REQUIRE(e.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(e.device.read(e.d, 64) == e.values);
}

TEST_CASE("epilogues: bias, GELU and its slope") {
  Epilogue e(CUBLASLT_EPILOGUE_GELU_AUX_BIAS);
  const auto bias = numbers<float>(8, 6);
  float* const aux = e.device.allocate<float>(64);
  e.call.bias = e.device.copy(bias), e.call.aux = aux, e.call.aux_ld = 8;
  REQUIRE(e.run() == CUBLAS_STATUS_SUCCESS);
  const auto result = e.device.read(e.d, 64), before = e.device.read(aux, 64);
  for (std::size_t i = 0; i < 64; ++i) {
    CHECK(before[i] == e.values[i] + bias[i % 8]);   // a value a row, before GELU
    CHECK(result[i] == Approx(gelu(before[i])).margin(1e-6));
  }
  Epilogue back(CUBLASLT_EPILOGUE_DGELU_BGRAD);
  float* const gradient = back.device.copy(std::vector<float>(8, 100.0f));
  back.call.bias = gradient, back.call.aux = back.device.copy(before), back.call.aux_ld = 8;
  REQUIRE(back.run() == CUBLAS_STATUS_SUCCESS);
  const auto slopes = back.device.read(back.d, 64), sums = back.device.read(gradient, 8);
  for (std::size_t row = 0; row < 8; ++row) {
    double sum = 0;
    for (std::size_t column = 0; column < 8; ++column) {
      const double x = before[8 * column + row], slope = (gelu(x + 1e-4) - gelu(x - 1e-4)) / 2e-4;
      CHECK(slopes[8 * column + row] == Approx(back.values[8 * column + row] * slope).margin(1e-5));
      sum += slopes[8 * column + row];
    }
    CHECK(sums[row] == Approx(sum).margin(1e-5));   // the 100 is overwritten
  }
}

TEST_CASE("a bias gradient is overwritten, not scaled, and needs its operand as it lies") {
  Epilogue e(CUBLASLT_EPILOGUE_BGRADB);
  float* const gradient = e.device.copy(std::vector<float>(8, 100.0f));
  e.call.bias = gradient, e.call.transpose_b = true, e.call.alpha = 5;
  REQUIRE(e.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(e.device.read(gradient, 8) == std::vector<float>(8, 1.0f));   // columns of the identity
  e.call.transpose_b = false;
  CHECK(e.run() == CUBLAS_STATUS_NOT_SUPPORTED);
  e.call.epilogue = CUBLASLT_EPILOGUE_BGRADA, e.call.transpose_a = true;
  CHECK(e.run() == CUBLAS_STATUS_NOT_SUPPORTED);
  e.call.transpose_a = false;
  REQUIRE(e.run() == CUBLAS_STATUS_SUCCESS);
  std::vector<float> rows(8);
  for (std::size_t i = 0; i < 64; ++i) rows[i % 8] += e.values[i];
  CHECK(e.device.read(gradient, 8) == rows);
}

TEST_CASE("what an epilogue lacks is found by cublasLtMatmul, not by the heuristic") {
  Epilogue e(CUBLASLT_EPILOGUE_BIAS);
  CHECK(e.run() == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(e.call.heuristic == CUBLAS_STATUS_SUCCESS);
  e.call.epilogue = CUBLASLT_EPILOGUE_GELU_AUX, e.call.aux = e.device.allocate<float>(64), e.call.aux_ld = 0;
  CHECK(e.run() == CUBLAS_STATUS_INVALID_VALUE);
  e.call.aux_ld = 12;
  CHECK(e.run() == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(contains(hostcuda::last_report(), "AUX_LD of 12 for 8 rows"));
}

TEST_CASE("products that aren't supported return the status") {
  Epilogue e(CUBLASLT_EPILOGUE_DEFAULT);
  e.call.compute = CUBLAS_COMPUTE_16F;
  CHECK(e.run() == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(e.call.heuristic == CUBLAS_STATUS_NOT_SUPPORTED);
  e.call.compute = CUBLAS_COMPUTE_32F, e.call.out = CUDA_R_16F;
  CHECK(e.run() == CUBLAS_STATUS_NOT_SUPPORTED);
  e.call.out = CUDA_R_32F, e.call.lda = 7;
  CHECK(e.run() == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(contains(hostcuda::last_report(), "a leading dimension of 7 for 8 rows"));
}

TEST_CASE("a leading dimension off by one fails in the stream") {
  Epilogue e(CUBLASLT_EPILOGUE_DEFAULT);
  e.call.lda = 9;
  REQUIRE(e.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(contains(e.device.verdict(), "cublasLtMatmul (8, 8) x (8, 8): 284 bytes from"));
}

TEST_CASE("a matrix less aligned than the preference promised fails in the stream") {
  Epilogue e(CUBLASLT_EPILOGUE_DEFAULT);
  e.call.alignment = 256;   // the default
  e.a = e.device.allocate<float>(68) + 4;
  REQUIRE(e.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(contains(e.device.verdict(), "matrix A isn't at a multiple of 256 bytes, as the preference had promised"));
}

TEST_CASE("a misaligned bias fails in the stream") {
  Epilogue e(CUBLASLT_EPILOGUE_BIAS);
  e.call.bias = e.device.allocate<float>(12) + 1;
  REQUIRE(e.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(cudaStreamSynchronize(e.device.stream()) == cudaErrorMisalignedAddress);
  CHECK(contains(hostcuda::last_report(), "the bias isn't at a multiple of 16 bytes"));
}

TEST_CASE("workspace that was asked for must be given") {
  Epilogue e(CUBLASLT_EPILOGUE_DEFAULT);
  e.call.workspace_asked = 1024;
  CHECK(e.run() == CUBLAS_STATUS_INVALID_VALUE);
  e.call.workspace = e.device.allocate<char>(1024), e.call.workspace_given = 1024;
  REQUIRE(e.run() == CUBLAS_STATUS_SUCCESS);
  CHECK(e.device.read(e.d, 64) == e.values);
}
