#pragma once
/// Memory is a plan, known before step 0.

#include <algorithm>
#include <type_traits>

#include <terse/core/arena.hpp>
#include <terse/device/blas.hpp>
#include <terse/device/staging.hpp>
#include <terse/dist/ddp.hpp>
#include <terse/nn/model.hpp>
#include <terse/ops/workspace/cpu.hpp>
#include <terse/optim/adamw.hpp>
#include <terse/optim/ema.hpp>
#include <terse/train/step_report.hpp>

namespace terse::train {

/// Bytes of one rank's training, by what they are for.
struct MemoryPlan {
  std::size_t parameters = 0;  ///< as the model computes with them
  std::size_t gradients = 0;
  std::size_t optimizer = 0;   ///< moments, and the master copy where parameters have 16 bits
  std::size_t ema = 0;         ///< the average of the weights, where it is kept
  std::size_t activations = 0; ///< kept from forward to backward
  std::size_t scratch = 0;     ///< overwritten by each layer, logits of target rows among it
  std::size_t workspace = 0;   ///< of one op at a time: 16-bit inputs as float on a CPU that can't multiply them, and frozen 8-bit ones; partial sums, sorting and cuBLASLt's on a GPU
  std::size_t threads = 0;     ///< attention's working memory of each thread

  /// Of all of them.
  constexpr std::size_t total() const { return parameters + gradients + optimizer + ema + activations + scratch + workspace + threads; }
};

/// Bytes of workspace for the largest op of a step: the model's as it says, and the step's own.
template <nn::TrainableModel Model>
constexpr std::size_t workspace_bytes(Index tokens) {
  const std::size_t step = ops::Workspace<typename Model::Device>::step(tokens + 1, static_cast<Index>(Model::table.size()));
  if constexpr (requires { Model::workspace_bytes(tokens); }) return std::max(step, Model::workspace_bytes(tokens));
  else return step;
}

/// Bytes of scratch for each thread, as the model says.
template <nn::TrainableModel Model>
constexpr std::size_t thread_bytes() {
  if constexpr (requires { Model::thread_scratch_bytes(); }) return Model::thread_scratch_bytes();
  else return 0;
}

/// Whether the model's products need the workspace on this machine: not 16-bit ones on a CPU that has them.
template <nn::TrainableModel Model>
bool takes_workspace() {
  return !std::is_same_v<typename Model::Device, Cpu> || !std::is_same_v<typename Model::Parameter, bfloat16> || !Blas::multiplies_bfloat16();
}

/// Sets aside on the model's device what micro-batches of up to `tokens` tokens take of it. Trainer does so itself.
template <nn::TrainableModel Model>
void reserve(const Model& model, Index tokens) {
  if (takes_workspace<Model>()) model.device().reserve_workspace(workspace_bytes<Model>(Staging<typename Model::Device>::extent({tokens, 0}).tokens));
  model.device().reserve_thread_scratch(thread_bytes<Model>());
}

/// What the bytes depend on besides the model and its tokens.
struct PlanOptions {
  int threads = 1;             ///< of a CPU rank
  bool takes_workspace = true; ///< see takes_workspace(), which a compiler can't ask
  long tree_leaves = 0;        ///< as DistributedDataParallel's
  Index micro_batches = 16;    ///< of a step, over all ranks
  int capability = 75;         ///< of a GPU
  int shards = 1;              ///< ranks that share the optimizer's state out among them; 1: each has all of it
  bool ema = false;            ///< weights are averaged
  std::size_t bucket_bytes = 0;  ///< as DistributedDataParallel's
  bool sends_bfloat16 = false;   ///< gradients are summed over several ranks in bf16
};

/// The plan for micro-batches of up to `tokens` tokens in up to `sequences` documents.
template <nn::TrainableModel Model>
constexpr MemoryPlan plan(Index tokens, Index sequences, const PlanOptions& options = {}) {
  using Ddp = dist::DistributedDataParallel<Model>;
  using Device = typename Model::Device;
  const Extent capacity{tokens, sequences};
  const Shard shard = options.shards > 1 ? Shard{dist::buckets_of<typename Model::Stream>(Model::flat_size, options.bucket_bytes, options.shards), 0, options.shards}
                                         : Shard::whole(Model::flat_size);
  return {.parameters = static_cast<std::size_t>(Model::flat_size) * sizeof(typename Model::Parameter),
          .gradients = Ddp::gradient_bytes(options.tree_leaves, options.sends_bfloat16),
          .optimizer = optim::AdamW<Model>::bytes(shard),
          .ema = options.ema ? optim::Ema<Model>::bytes(shard) : 0,
          .activations = Ddp::saved_bytes(capacity),
          .scratch = Ddp::scratch_bytes(capacity) + StepReports<Device, typename Model::Stream>::bytes(options.micro_batches),
          .workspace = (options.takes_workspace ? workspace_bytes<Model>(Staging<Device>::extent(capacity).tokens) : 0) + Device::library_bytes(options.capability),
          .threads = std::is_same_v<Device, Cpu> ? round_up(thread_bytes<Model>(), alignment_bytes) * static_cast<std::size_t>(options.threads) : 0};
}

namespace gpus {

/// Memory that a program can have: what CUDA reports, less about 0.5 GiB for its context, cuBLAS and NCCL.
struct t4 {
  static constexpr std::size_t bytes = (std::size_t{1456} << 30) / 100 - (std::size_t{1} << 29);
};

}  // namespace gpus

/// True if the worst micro-batch (`samples` documents that fill the context) fits: `static_assert(fits<Model, gpus::t4>)`.
template <class Model, class Gpu, int samples = 16>
inline constexpr bool fits =
    plan<Model>(Index{samples} * Model::Config::context, samples, PlanOptions{.threads = 0, .takes_workspace = !std::is_same_v<typename Model::Device, Cpu>}).total() <= Gpu::bytes;

}  // namespace terse::train
