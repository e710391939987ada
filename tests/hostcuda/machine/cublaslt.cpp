// cuBLASLt's objects and rules: cuBLAS documentation, "cublasLtMatmul()", "cublasLtEpilogue_t", "cublasLtMatmulDescAttributes_t"; and, where
// that is silent, measured behaviour of cuBLAS 13.0. What isn't supported returns the status, and computes nothing.

#include <bit>
#include <cstring>
#include <memory>
#include <vector>

#include "call.hpp"
#include "options.hpp"
#include "product.hpp"

using namespace hostcuda;

namespace {

template <class T>
cublasStatus_t assign(T& to, const void* value, std::size_t bytes) {
  if (value == nullptr || bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

/// Notes why, for hostcuda::last_report.
template <class... Parts>
cublasStatus_t refuse(cublasStatus_t status, const Parts&... parts) {
  std::ostringstream text;
  (text << "cublasLt: " << ... << parts);
  const std::lock_guard guard(Machine::get().lock);
  Machine::get().last_report = std::move(text).str();
  return status;
}

// ---- rules

bool has_bias(std::uint32_t epilogue) { return (epilogue & CUBLASLT_EPILOGUE_BIAS) != 0; }
bool writes_bias(std::uint32_t epilogue) { return epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD || epilogue == CUBLASLT_EPILOGUE_BGRADA || epilogue == CUBLASLT_EPILOGUE_BGRADB; }
bool has_aux(std::uint32_t epilogue) { return (epilogue & 128) != 0; }

cublasStatus_t check_shapes(const Product& p) {
  for (const MatrixLayout* const layout : {&p.a, &p.b, &p.c, &p.d}) {
    if (layout->rows == 0 || layout->columns == 0) return refuse(CUBLAS_STATUS_INVALID_VALUE, "a matrix without rows or columns");
    if (layout->order != CUBLASLT_ORDER_COL) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "only column-major matrices are emulated");
    if (layout->ld < static_cast<std::int64_t>(layout->rows)) return refuse(CUBLAS_STATUS_INVALID_VALUE, "a leading dimension of ", layout->ld, " for ", layout->rows, " rows");
  }
  const bool at = p.desc.transpose_a != CUBLAS_OP_N, bt = p.desc.transpose_b != CUBLAS_OP_N;
  const std::uint64_t m = at ? p.a.columns : p.a.rows, k = at ? p.a.rows : p.a.columns, k_of_b = bt ? p.b.columns : p.b.rows, n = bt ? p.b.rows : p.b.columns;
  if (k != k_of_b || p.d.rows != m || p.d.columns != n || p.c.rows != m || p.c.columns != n)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "op(A) is (", m, ", ", k, "), op(B) (", k_of_b, ", ", n, "), C (", p.c.rows, ", ", p.c.columns, "), D (", p.d.rows, ", ", p.d.columns, ")");
  return CUBLAS_STATUS_SUCCESS;
}

// The rows of "cublasLtMatmul() … supported combinations" with CUBLAS_COMPUTE_32F and real types; with CUBLAS_COMPUTE_16F, which sums in
// halves, nothing here may be computed.
cublasStatus_t check_types(const Product& p) {
  const bool sums_in_float = p.desc.compute == CUBLAS_COMPUTE_32F || p.desc.compute == CUBLAS_COMPUTE_32F_PEDANTIC;
  if (!sums_in_float || p.desc.scale != CUDA_R_32F) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "only CUBLAS_COMPUTE_32F with float alpha and beta is emulated");
  if (p.desc.pointer_mode != CUBLASLT_POINTER_MODE_HOST) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "only alpha and beta on the host are emulated");
  const cudaDataType in = p.a.type, out = p.d.type;
  const bool known = in == CUDA_R_32F || in == CUDA_R_16F || in == CUDA_R_16BF;
  if (!known || p.b.type != in || p.c.type != out || (out != in && out != CUDA_R_32F))
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "types ", in, " x ", p.b.type, " + ", p.c.type, " -> ", out);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_epilogue(const Product& p) {
  switch (p.desc.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU:
    case CUBLASLT_EPILOGUE_DGELU_BGRAD: break;
    case CUBLASLT_EPILOGUE_BGRADA:
      if (p.desc.transpose_a != CUBLAS_OP_N) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "BGRADA needs op(A) = N");
      break;
    case CUBLASLT_EPILOGUE_BGRADB:
      if (p.desc.transpose_b != CUBLAS_OP_T) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "BGRADB needs op(B) = T");
      break;
    default: return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "epilogue ", p.desc.epilogue, " isn't emulated");
  }
  if (p.desc.bias_type != -1 && p.desc.bias_type != p.d.type) return refuse(CUBLAS_STATUS_INVALID_VALUE, "the bias has type ", p.desc.bias_type, ", D ", p.d.type);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_problem(const Product& p) {
  if (const auto status = check_shapes(p); status != CUBLAS_STATUS_SUCCESS) return status;
  if (const auto status = check_types(p); status != CUBLAS_STATUS_SUCCESS) return status;
  return check_epilogue(p);
}

// What only cublasLtMatmul looks at, the heuristic doesn't.
cublasStatus_t check_pointers(const Product& p) {
  const std::uint32_t epilogue = p.desc.epilogue;
  if ((has_bias(epilogue) || writes_bias(epilogue)) && p.desc.bias == nullptr) return refuse(CUBLAS_STATUS_INVALID_VALUE, "the epilogue has no CUBLASLT_MATMUL_DESC_BIAS_POINTER");
  if (!has_aux(epilogue)) return CUBLAS_STATUS_SUCCESS;
  if (p.desc.aux == nullptr) return refuse(CUBLAS_STATUS_INVALID_VALUE, "the epilogue has no CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER");
  if (p.desc.aux_ld < static_cast<std::int64_t>(p.d.rows) || p.desc.aux_ld % 8 != 0)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD of ", p.desc.aux_ld, " for ", p.d.rows, " rows: it must be divisible by 8 and no less");
  if (p.desc.aux_type != -1 && p.desc.aux_type != p.d.type) return refuse(CUBLAS_STATUS_INVALID_VALUE, "the auxiliary matrix has type ", p.desc.aux_type, ", D ", p.d.type);
  return CUBLAS_STATUS_SUCCESS;
}

// ---- algorithms

/// What an algorithm was chosen for: it works for nothing else, and believes in the alignment that was promised.
struct Algorithm {
  std::uint64_t problem, workspace;
  std::array<std::uint32_t, 4> alignment;

  static Algorithm of(const cublasLtMatmulAlgo_t& algo) {
    Algorithm found;
    static_assert(sizeof found <= sizeof algo.data);
    std::memcpy(&found, algo.data, sizeof found);
    return found;
  }
};

std::uint64_t problem_of(const Product& p) {
  std::uint64_t hash = 1;
  const auto add = [&](auto value) { hash = mix(hash ^ static_cast<std::uint64_t>(value)); };
  for (const MatrixLayout* const layout : {&p.a, &p.b, &p.c, &p.d}) add(layout->type), add(layout->rows), add(layout->columns), add(layout->ld);
  add(p.desc.transpose_a), add(p.desc.transpose_b), add(p.desc.epilogue);
  return hash;
}

// The algorithm that needs workspace is the one where it is allowed: what is asked for must then be given, and is overwritten.
Algorithm choose(const Product& product, const cublasLtMatmulPreferenceOpaque_t& preference) {
  return {problem_of(product), std::min<std::uint64_t>(preference.workspace, 4096), preference.alignment};
}

// ---- running

std::string misaligned(const Product& p, const Algorithm& algorithm) {
  const void* const pointers[] = {p.from_a, p.from_b, p.beta == 0 ? nullptr : p.from_c, p.to};
  for (std::size_t i = 0; i < 4; ++i)
    if (reinterpret_cast<std::uintptr_t>(pointers[i]) % algorithm.alignment[i] != 0)
      return std::string("matrix ") + "ABCD"[i] + " isn't at a multiple of " + std::to_string(algorithm.alignment[i]) + " bytes, as the preference had promised";
  // There is no such preference for a bias: its 16 bytes are loaded at once (PyTorch issue 194497: a fault on compute capability 7.5).
  if ((has_bias(p.desc.epilogue) || writes_bias(p.desc.epilogue)) && reinterpret_cast<std::uintptr_t>(p.desc.bias) % 16 != 0) return "the bias isn't at a multiple of 16 bytes";
  return {};
}

/// All memory that the product reads or writes.
std::vector<Range> ranges_of(const Product& p) {
  std::vector<Range> ranges{{p.from_a, span_of(p.a)}, {p.from_b, span_of(p.b)}, {p.to, span_of(p.d)}};
  if (p.beta != 0) ranges.push_back({p.from_c, span_of(p.c)});
  const std::size_t size = bytes_of(p.d.type);
  if (has_bias(p.desc.epilogue) || writes_bias(p.desc.epilogue))
    ranges.push_back({p.desc.bias, size * (p.desc.epilogue == CUBLASLT_EPILOGUE_BGRADB ? p.d.columns : p.d.rows)});
  if (has_aux(p.desc.epilogue)) ranges.push_back({p.desc.aux, span_of({p.d.type, p.d.rows, p.d.columns, p.desc.aux_ld})});
  return ranges;
}

std::string outside(Memory& memory, int device, const std::vector<Range>& ranges) {
  for (const Range& range : ranges) {
    const Allocation* const found = device_of(range.begin) == device ? memory.find(range.begin) : nullptr;
    const auto* const begin = static_cast<const unsigned char*>(range.begin);
    if (found == nullptr || !found->live || begin + range.bytes > found->begin + found->bytes)
      return std::to_string(range.bytes) + " bytes from " + (std::ostringstream() << range.begin).str() + " on are outside of any live allocation of device " + std::to_string(device);
  }
  return {};
}

}  // namespace

// ---- objects

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) { return *handle = new cublasLtContext{current_device()}, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return delete handle, CUBLAS_STATUS_SUCCESS; }
std::size_t cublasLtGetVersion() { return 120804; }

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, std::uint64_t rows, std::uint64_t columns, std::int64_t ld) {
  return *layout = new MatrixLayout{type, rows, columns, ld}, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return delete layout, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, const void* value, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE: return assign(layout->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ORDER: return assign(layout->order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS: return assign(layout->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS: return assign(layout->columns, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD: return assign(layout->ld, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute, cudaDataType_t scale) {
  return *desc = new MatmulDesc{compute, scale}, CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) { return delete desc, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, const void* value, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE: return assign(desc->compute, value, bytes);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE: return assign(desc->scale, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE: return assign(desc->pointer_mode, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSA: return assign(desc->transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return assign(desc->transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return assign(desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return assign(desc->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: return assign(desc->aux, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: return assign(desc->aux_ld, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE: return assign(desc->aux_type, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return assign(desc->bias_type, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) { return *preference = new cublasLtMatmulPreferenceOpaque_t, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) { return delete preference, CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_SEARCH_MODE: return assign(preference->search_mode, value, bytes);
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return assign(preference->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return assign(preference->reduction_schemes, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return assign(preference->alignment[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return assign(preference->alignment[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return assign(preference->alignment[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return assign(preference->alignment[3], value, bytes);
    case CUBLASLT_MATMUL_PREF_IMPL_MASK: return assign(preference->implementations, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown cuBLAS status";
}
const char* cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }

// ---- products

namespace {

bool is_capturing() { return Call("cublasLtMatmulAlgoGetHeuristic").forbidding() != nullptr; }

}  // namespace

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int asked, cublasLtMatmulHeuristicResult_t results[], int* found) {
  *found = 0;
  if (handle == nullptr || asked < 1) return refuse(CUBLAS_STATUS_INVALID_VALUE, "no handle, or no result asked for");
  if (is_capturing()) return refuse(CUBLAS_STATUS_INTERNAL_ERROR, "the heuristic is asked while a stream is captured");  // seen so with 13.3: mudler/vllm.cpp #1732
  Product product{*desc, *a, *b, *c, *d};
  if (const auto status = check_problem(product); status != CUBLAS_STATUS_SUCCESS) return status;
  if (desc->epilogue != CUBLASLT_EPILOGUE_DEFAULT && !options().epilogues) return CUBLAS_STATUS_SUCCESS;  // with no result
  const Algorithm algorithm = choose(product, preference == nullptr ? cublasLtMatmulPreferenceOpaque_t{} : *preference);
  results[0] = {};
  std::memcpy(results[0].algo.data, &algorithm, sizeof algorithm);
  results[0].workspaceSize = algorithm.workspace, results[0].state = CUBLAS_STATUS_SUCCESS, results[0].wavesCount = 1;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, std::size_t workspace_bytes, cudaStream_t stream) {
  if (handle == nullptr) return refuse(CUBLAS_STATUS_NOT_INITIALIZED, "no handle");
  if (alpha == nullptr || beta == nullptr || a == nullptr || b == nullptr || d == nullptr) return refuse(CUBLAS_STATUS_INVALID_VALUE, "a null pointer");
  Product product{*desc, *a_layout, *b_layout, *c_layout, *d_layout};
  if (const auto status = check_problem(product); status != CUBLAS_STATUS_SUCCESS) return status;
  if (const auto status = check_pointers(product); status != CUBLAS_STATUS_SUCCESS) return status;
  std::memcpy(&product.alpha, alpha, sizeof product.alpha), std::memcpy(&product.beta, beta, sizeof product.beta);
  product.from_a = a, product.from_b = b, product.from_c = c, product.to = d;
  if (product.beta != 0 && c == nullptr) return refuse(CUBLAS_STATUS_INVALID_VALUE, "beta isn't 0, and there is no C");
  // Without an algorithm the heuristic is asked anew: without workspace, and it sees how the pointers are aligned.
  const Algorithm algorithm = algo == nullptr ? Algorithm{problem_of(product), 0, {1, 1, 1, 1}} : Algorithm::of(*algo);
  if (algorithm.problem != problem_of(product)) return refuse(CUBLAS_STATUS_INVALID_VALUE, "the algorithm was chosen for another product");
  if (algorithm.workspace > workspace_bytes || (algorithm.workspace > 0 && reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0))
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "the algorithm needs ", algorithm.workspace, " bytes of workspace at a multiple of 256, ", workspace_bytes, " were given");
  Call call("cublasLtMatmul");
  if (!call.knows(stream) || stream->device != handle->device) {
    call.machine.last_report = "cublasLt: no such stream on the handle's device (the default stream isn't emulated)";
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::vector<Range> uses = ranges_of(product);
  if (algorithm.workspace > 0) uses.push_back({workspace, algorithm.workspace});
  std::ostringstream what;
  what << "cublasLtMatmul (" << product.m() << ", " << product.k() << ") x (" << product.k() << ", " << product.n() << ")";
  std::string fault = misaligned(product, algorithm);
  const cudaError_t status = fault.empty() ? cudaErrorIllegalAddress : cudaErrorMisalignedAddress;
  if (fault.empty()) fault = outside(call.machine.memory, stream->device, uses);
  const std::string words = what.str();
  const auto run = [product, workspace, algorithm, fault, status, words] {
    if (!fault.empty()) return Failure{status, words + ": " + fault};
    std::memset(workspace == nullptr ? product.to : workspace, poison, algorithm.workspace);
    multiply(product);
    return Failure{};
  };
  call.machine.queue(stream, {.what = words, .run = run, .uses = std::move(uses)});
  return CUBLAS_STATUS_SUCCESS;
}
