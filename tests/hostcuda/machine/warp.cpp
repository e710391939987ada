// What the lanes of a warp get from an operation that all of them take part in.

#include "block.hpp"

namespace hostcuda {

// machine/matrix.cpp
void load_matrices(void* const* parts, int matrices, bool transposed);
void multiply_f16_k8(void* const* parts);
void multiply_f16_k16(void* const* parts);
void multiply_bf16_k16(void* const* parts);

namespace {

Exchange& exchange(void* const* parts, int lane) { return *static_cast<Exchange*>(parts[lane]); }

template <class Body>
void each_lane(void* const* parts, Body body) {
  for (int lane = 0; lane < Block::lanes; ++lane)
    if (parts[lane] != nullptr) body(exchange(parts, lane), lane);
}

// "If the target thread is inactive, the retrieved value is undefined" (Programming Guide, "Warp Shuffle Functions"): poison.
void shuffle(void* const* parts) {
  each_lane(parts, [&](Exchange& part, int) { part.out = parts[part.source] == nullptr ? ~std::uint64_t{0} : exchange(parts, part.source).in; });
}

void vote(WarpOperation operation, void* const* parts, unsigned present) {
  std::uint64_t trues = 0;
  each_lane(parts, [&](const Exchange& part, int lane) { trues |= part.in != 0 ? std::uint64_t{1} << lane : 0; });
  const std::uint64_t result = operation == WarpOperation::ballot ? trues : operation == WarpOperation::any ? trues != 0 : trues == present;
  each_lane(parts, [&](Exchange& part, int) { part.out = result; });
}

void match(void* const* parts) {
  each_lane(parts, [&](Exchange& part, int) {
    part.out = 0;
    each_lane(parts, [&](const Exchange& other, int lane) { part.out |= other.in == part.in ? std::uint64_t{1} << lane : 0; });
  });
}

}  // namespace

const char* name_of(WarpOperation operation) {
  constexpr const char* names[] = {
      "__syncwarp",  "__shfl_sync", "__shfl_up_sync",  "__shfl_down_sync",      "__shfl_xor_sync",       "__ballot_sync",
      "__any_sync",  "__all_sync",  "__match_any_sync", "ldmatrix.x1",          "ldmatrix.x2",           "ldmatrix.x4",
      "ldmatrix.x1.trans", "ldmatrix.x2.trans", "ldmatrix.x4.trans", "mma.m16n8k8.f16", "mma.m16n8k16.f16", "mma.m16n8k16.bf16"};
  return names[static_cast<std::size_t>(operation)];
}

void evaluate(WarpOperation operation, void* const* parts, unsigned present) {
  using enum WarpOperation;
  switch (operation) {
    case syncwarp: return;
    case shfl:
    case shfl_up:
    case shfl_down:
    case shfl_xor: return shuffle(parts);
    case ballot:
    case any:
    case all: return vote(operation, parts, present);
    case match_any: return match(parts);
    case ldmatrix_1: return load_matrices(parts, 1, false);
    case ldmatrix_2: return load_matrices(parts, 2, false);
    case ldmatrix_4: return load_matrices(parts, 4, false);
    case ldmatrix_trans_1: return load_matrices(parts, 1, true);
    case ldmatrix_trans_2: return load_matrices(parts, 2, true);
    case ldmatrix_trans_4: return load_matrices(parts, 4, true);
    case mma_m16n8k8_f16: return multiply_f16_k8(parts);
    case mma_m16n8k16_f16: return multiply_f16_k16(parts);
    case mma_m16n8k16_bf16: return multiply_bf16_k16(parts);
  }
}

}  // namespace hostcuda

// Compiled apart from their callers, so that nothing is fused with them.
float __fmul_rn(float a, float b) { return a * b; }
float __fadd_rn(float a, float b) { return a + b; }
float __fsub_rn(float a, float b) { return a - b; }
