#pragma once
#include <bit>
#include <optional>

#include <terse/io/adapter.hpp>
#include <terse/models/lora.hpp>

#include "training_of.hpp"

namespace summarize {

/// A frozen model whose adapters are trained: a subject of TrainingOf. Every rank has the model; rank 0 has room for it with the adapters merged, which
/// checkpoints are written from and validation texts by.
template <nn::Model Base, nn::TrainableModel Lora>
class AdaptedModel {
 public:
  using Model = Lora;
  using Whole = Base;
  using Device = typename Base::Device;
  static constexpr bool has_adapter = true;

  /// Rank 0 reads the frozen model, and all have it then.
  AdaptedModel(Device& device, const TrainJob& job, dist::Communicator& communicator) : base_(device), lora_(base_) {
    if (communicator.is_first()) io::read_weights<Base>(job.weights, base_.flat()), merged_.emplace(device);
    communicator.broadcast(std::as_writable_bytes(flat_of(base_)), 0);
  }

  /// Parameters: the frozen ones too. Scratch: rank 0's merged ones.
  static void add_bytes(train::MemoryPlan& plan) { plan.parameters += base_bytes, plan.scratch += base_bytes; }
  Model& trained() { return lora_; }
  /// The adapters that it computes with now, merged.
  const Whole& whole() { return merged(lora_.flat()); }

  void begin(const TrainJob& job, auto* parameters) const { nn::initialize<Model>(parameters, job.options.schedule.seed); }
  /// A checksum of the frozen values: other ones have the same names and shapes.
  io::Metadata identity() const {
    std::uint64_t mixed = 0;
    for (const float value : flat_of(base_)) mixed = std::rotl((mixed ^ std::bit_cast<std::uint32_t>(value)) * 0x9E3779B97F4A7C15u, 29);  // the golden ratio: order counts
    return {{"base", std::to_string(mixed)}};
  }
  void write_weights(const std::filesystem::path& path, const train::Trainer<Model>& trainer, const io::Metadata& metadata) {
    trainer.read(trainer.result(), [&](const auto* adapters) { io::write_weights<Base>(path, merged(adapters).flat(), metadata); });
  }
  void write_adapter(const std::filesystem::path& folder, const train::Trainer<Model>& trainer) const {
    trainer.read(trainer.result(), [&](const auto* adapters) { io::write_adapter<Model>(folder, adapters); });
  }

 private:
  static constexpr std::size_t base_bytes = static_cast<std::size_t>(Base::flat_size) * sizeof(typename Base::Parameter);
  const Whole& merged(const typename Model::Parameter* adapters) {
    std::ranges::copy(flat_of(base_), merged_->flat());
    lora_.merge(*merged_, adapters);
    return *merged_;
  }
  static std::span<typename Base::Parameter> flat_of(const Base& model) { return {model.flat(), static_cast<std::size_t>(Base::flat_size)}; }

  Base base_;
  Model lora_;
  std::optional<Base> merged_;  // on rank 0
};

}  // namespace summarize
