#pragma once
#include <bit>
#include <cstring>
#include <vector>

#include <terse/io/adapter.hpp>
#include <terse/models/lora.hpp>

#include "training_of.hpp"

namespace summarize {

/// A frozen model whose adapters are trained: a subject of TrainingOf. Every rank has the model. `ModelType`: `Lora`, or as it is trained.
template <class Lora, nn::TrainableModel ModelType = Lora>
class AdaptedModel {
  using Base = typename Lora::Base;

 public:
  using Model = ModelType;
  using Whole = Lora;
  using Device = typename Base::Device;
  static constexpr bool has_adapter = true;

  /// Rank 0 reads the frozen model, and all have it then.
  AdaptedModel(Device& device, const TrainJob& job, dist::Communicator& communicator) : base_(base_of(device, job, communicator)), lora_(base_) {
    for (const auto memory : base_.memory()) communicator.broadcast(memory, 0);
    if (communicator.is_first()) merged_.resize(static_cast<std::size_t>(Lora::merged_values()));
  }
  AdaptedModel(const AdaptedModel&) = delete;
  AdaptedModel& operator=(const AdaptedModel&) = delete;

  /// Parameters: the frozen ones too. Scratch: rank 0's, for the largest parameter that is merged.
  static void add_bytes(train::MemoryPlan& plan) { plan.parameters += Base::bytes(), plan.scratch += static_cast<std::size_t>(Lora::merged_values()) * sizeof(float); }
  Model& trained() { return lora_; }
  const Whole& whole() const { return lora_; }

  void begin(const TrainJob& job, auto* parameters) const { nn::initialize<Model>(parameters, job.options.schedule.seed); }
  /// A checksum of the frozen values: other ones have the same names and shapes. Of 8 bits, which a CPU without fused products may round differently.
  io::Metadata identity() const {
    std::uint64_t mixed = 0;
    for (const auto memory : base_.memory())
      for (std::size_t i = 0; i + sizeof(std::uint32_t) <= memory.size(); i += sizeof(std::uint32_t)) {
        std::uint32_t value;
        std::memcpy(&value, memory.data() + i, sizeof value);
        mixed = std::rotl((mixed ^ value) * 0x9E3779B97F4A7C15u, 29);  // the golden ratio: order counts
      }
    return {{"base", std::to_string(mixed)}};
  }
  void write_weights(const std::filesystem::path& path, const train::Trainer<Model>& trainer, const io::Metadata& metadata) {
    trainer.read(trainer.result(), [&](const auto* adapters) {
      io::write_weights_in_turn<typename Lora::Whole>(path, [&](const nn::ParameterInfo& parameter) { return lora_.merged(parameter, adapters, merged_.data()); }, metadata);
    });
  }
  void write_adapter(const std::filesystem::path& folder, const train::Trainer<Model>& trainer) const {
    trainer.read(trainer.result(), [&](const auto* adapters) { io::write_adapter<Model>(folder, adapters); });
  }

 private:
  static Base base_of(Device& device, const TrainJob& job, const dist::Communicator& communicator) {
    if constexpr (!std::is_same_v<Base, typename Lora::Whole>) {
      if (communicator.is_first()) return Base(device, [&](auto& take) { io::read_weights_in_turn<typename Lora::Whole>(job.weights, take); });
      return Base(device);
    } else {
      Base base(device);
      if (communicator.is_first()) io::read_weights<Base>(job.weights, base.flat());
      return base;
    }
  }

  Base base_;
  Model lora_;
  std::vector<float> merged_;  // on rank 0
};

}  // namespace summarize
