#pragma once
/// Memory is a plan, known before step 0.

#include <algorithm>
#include <type_traits>

#include <terse/core/arena.hpp>
#include <terse/device/blas.hpp>
#include <terse/dist/ddp.hpp>
#include <terse/nn/model.hpp>
#include <terse/optim/adamw.hpp>
#include <terse/train/step_report.hpp>

namespace terse::train {

/// Bytes of one rank's training, by what they are for.
struct MemoryPlan {
  std::size_t parameters = 0;  ///< as the model computes with them
  std::size_t gradients = 0;
  std::size_t optimizer = 0;   ///< moments, and the master copy where parameters have 16 bits
  std::size_t activations = 0; ///< kept from forward to backward
  std::size_t scratch = 0;     ///< overwritten by each layer, logits of target rows among it
  std::size_t conversion = 0;  ///< 16-bit inputs as float, where the device can't multiply them
  std::size_t threads = 0;     ///< attention's working memory of each thread

  /// Of all of them.
  constexpr std::size_t total() const { return parameters + gradients + optimizer + activations + scratch + conversion + threads; }
};

/// Bytes of workspace for the largest matmul of a step, as the model says.
template <nn::TrainableModel Model>
constexpr std::size_t conversion_bytes(Index tokens) {
  if constexpr (requires { Model::workspace_bytes(tokens); }) return Model::workspace_bytes(tokens);
  else return 0;
}

/// Bytes of scratch for each thread, as the model says.
template <nn::TrainableModel Model>
constexpr std::size_t thread_bytes() {
  if constexpr (requires { Model::thread_scratch_bytes(); }) return Model::thread_scratch_bytes();
  else return 0;
}

/// Sets aside on the model's device what micro-batches of up to `tokens` tokens take of it. Trainer does so itself.
template <nn::TrainableModel Model>
void reserve(const Model& model, Index tokens) {
  if (!std::is_same_v<typename Model::Parameter, bfloat16> || !Blas::multiplies_bfloat16()) model.device().reserve_workspace(conversion_bytes<Model>(tokens));
  model.device().reserve_thread_scratch(thread_bytes<Model>());
}

/// The plan for micro-batches of up to `tokens` tokens. `converts`: the device has no 16-bit products. `tree_leaves`: as DistributedDataParallel's.
/// `micro_batches`: of a step, over all ranks.
template <nn::TrainableModel Model>
constexpr MemoryPlan plan(Index tokens, int threads = 1, bool converts = true, long tree_leaves = 0, Index micro_batches = 16) {
  using Ddp = dist::DistributedDataParallel<Model>;
  const Extent capacity{tokens, tokens};
  return {.parameters = static_cast<std::size_t>(Model::flat_size) * sizeof(typename Model::Parameter),
          .gradients = Ddp::gradient_bytes(tree_leaves),
          .optimizer = optim::AdamW<Model>::bytes(),
          .activations = Ddp::saved_bytes(capacity),
          .scratch = Ddp::scratch_bytes(capacity) + StepReports<typename Model::Device, typename Model::Stream>::bytes(micro_batches),
          .conversion = converts ? conversion_bytes<Model>(tokens) : 0,
          .threads = thread_bytes<Model>() * static_cast<std::size_t>(threads)};
}

namespace gpus {

/// Memory that a program can have: what CUDA reports, less about 0.5 GiB for its context, cuBLAS and NCCL.
struct t4 {
  static constexpr std::size_t bytes = (std::size_t{1456} << 30) / 100 - (std::size_t{1} << 29);
};

}  // namespace gpus

/// True if the worst micro-batch (`samples` documents that fill the context) fits: `static_assert(fits<Model, gpus::t4>)`.
template <class Model, class Gpu, int samples = 16>
inline constexpr bool fits = plan<Model>(Index{samples} * Model::Config::context, 0, false).total() <= Gpu::bytes;

}  // namespace terse::train
