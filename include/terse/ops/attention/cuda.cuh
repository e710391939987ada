#pragma once
/// Attention on a GPU: ops/attention/op.hpp's contract, the batch's arrays and the views in the GPU's memory.
///
/// Tiles of 64 rows, four warps of 16; fp16 and bf16 products on the tensor cores, fp32 ones without (they agree with the CPU's to 1e-5), all sums in
/// float. P and dS are rounded to the inputs' dtype where they are multiplied. A document's rows get the same bits whatever stands beside it.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/device/cuda.cuh>
#include <terse/device/launch.cuh>
#include <terse/ops/attention/cuda/backward.cuh>
#include <terse/ops/attention/cuda/forward.cuh>
#include <terse/ops/attention/op.hpp>
#include <terse/ops/dropout/op.hpp>

namespace terse::ops {

/// Bytes of workspace that attention's backward takes on a GPU.
constexpr std::size_t attention_workspace(Index tokens, Index heads) { return static_cast<std::size_t>(tokens * heads) * sizeof(gpu::attention::QueryTerms); }

namespace gpu::attention {

/// Says which head sizes there are kernels for; the number stands in the compiler's trace.
template <class T, Index D>
struct HeadSizeFits {
  static_assert(std::is_same_v<T, float> || is_16_bit<T>, "terse: attention on CUDA: fp32, fp16 or bf16");
  static_assert(D % (sizeof(T) == 2 ? 16 : 8) == 0 && D <= 128, "terse: attention on CUDA: width / heads must be a multiple of 16 (fp32: 8), at most 128");
  static constexpr int value = static_cast<int>(D);
};

inline Documents documents_of(const PackedBatch& batch) {
  return {batch.cu_seqlens.data(), batch.draws.data(), batch.sequences()};
}

template <class T>
void check_tensor_cores(const Cuda& cuda) {
  if (std::is_same_v<T, bfloat16> && !cuda.multiplies_bfloat16())
    fail(Failure::usage, "cuda:", cuda.ordinal(), " has compute capability ", cuda.capability() / 10, ".", cuda.capability() % 10, ", bf16 needs 8.0; use fp16");
}

}  // namespace gpu::attention

/// out and saved.log_sums from qkv; 2 C n² FLOP for a document of n tokens.
template <Index heads, Index key_value_heads, Real T, Real Y, Index columns, Index C>
void forward(const Cuda& cuda, Attention<heads, key_value_heads>, const PackedBatch& batch, const Dropout& dropout, Rows<T, columns> qkv, Rows<Y, C> out,
             typename Attention<heads, key_value_heads>::template Saved<Wide<T>> saved) {
  using In = std::remove_const_t<T>;
  static_assert(C % heads == 0 && columns == Attention<heads, key_value_heads>::qkv_columns(C / heads));
  static_assert(std::is_same_v<Y, In>, "terse: attention on CUDA: qkv and out have one dtype");
  constexpr int D = gpu::attention::HeadSizeFits<In, C / heads>::value;
  gpu::attention::check_tensor_cores<In>(cuda);
  const auto documents = gpu::attention::documents_of(batch);
  device::launch(cuda, gpu::attention::forward<In, D>,
                 {device::grid(documents.blocks(qkv.rows), heads), dim3(gpu::attention::threads), sizeof(gpu::attention::ForwardMemory<In, D>)}, documents,
                 gpu::attention::SharedHeads{heads, key_value_heads}, dropout, view_of(qkv), view_of(out), view_of(saved.log_sums));
}

/// dqkv; 7 C n² FLOP for a document of n tokens, since both kernels work the scores out. Workspace: attention_workspace(tokens, heads).
template <Index heads, Index key_value_heads, Real T, Real Y, Real DY, Real DT, Index columns, Index C>
void backward(const Cuda& cuda, Attention<heads, key_value_heads>, const PackedBatch& batch, const Dropout& dropout, Rows<T, columns> qkv, Rows<Y, C> out,
              typename Attention<heads, key_value_heads>::template Saved<Wide<T>> saved, Rows<DY, C> dout, Rows<DT, columns> dqkv) {
  using In = std::remove_const_t<T>;
  static_assert(C % heads == 0 && columns == Attention<heads, key_value_heads>::qkv_columns(C / heads));
  static_assert(std::is_same_v<std::remove_const_t<Y>, In> && std::is_same_v<std::remove_const_t<DY>, In> && std::is_same_v<DT, In>,
                "terse: attention on CUDA: qkv, out and their gradients have one dtype");
  constexpr int D = gpu::attention::HeadSizeFits<In, C / heads>::value;
  gpu::attention::check_tensor_cores<In>(cuda);
  const auto documents = gpu::attention::documents_of(batch);
  const gpu::attention::SharedHeads shared{heads, key_value_heads};
  const auto blocks_for = [&](Index rows_of_heads) {
    return device::Launch{device::grid(documents.blocks(qkv.rows), rows_of_heads), dim3(gpu::attention::threads), sizeof(gpu::attention::BackwardMemory<In, D>)};
  };
  auto* const terms = reinterpret_cast<gpu::attention::QueryTerms*>(cuda.workspace(attention_workspace(qkv.rows, heads)));
  device::launch(cuda, gpu::attention::backward_queries<In, D>, blocks_for(heads), documents, shared, dropout, view_of(qkv), view_of(out), view_of(saved.log_sums),
                 view_of(dout), view_of(dqkv), terms);
  device::launch(cuda, gpu::attention::backward_keys<In, D, (heads > key_value_heads)>, blocks_for(key_value_heads), documents, shared, dropout, view_of(qkv), view_of(dout), view_of(dqkv), terms);
}

}  // namespace terse::ops
