#pragma once
#include <terse/decode/generator.hpp>
#include <terse/dist/world.hpp>
#include <terse/models/activation_checkpointing.hpp>
#include <terse/models/gpt.hpp>
#include <terse/models/llama.hpp>
#include <terse/models/quantized.hpp>

#include "adapted_model.hpp"
#include "compiled_model.hpp"
#include "predictor_of.hpp"
#include "ranks.hpp"
#include "training_of.hpp"

namespace summarize {

/// How a subject is trained, behind `Interface`: as it is, or with activation checkpointing.
template <class Interface, class Subject, class CheckpointedSubject>
class TrainedAs : public Interface {
  using Training = TrainingOf<Subject>;
  using CheckpointedTraining = TrainingOf<CheckpointedSubject>;

 public:
  Index trained_parameters() const override { return Training::trained_parameters(); }
  train::MemoryPlan plan(Index token_capacity, Index sequences, int threads, const train::TrainOptions& options, bool activation_checkpointing, int capability) const override {
    return (activation_checkpointing ? CheckpointedTraining::plan : Training::plan)(token_capacity, sequences, threads, options, capability);
  }
  void train(const TrainJob& job, dist::Communicator& communicator, train::TrainObserver& observer) const override {
    (job.activation_checkpointing ? CheckpointedTraining::train : Training::train)(job, communicator, observer);
  }
};

template <class Model>
using TrainedWhole = TrainedAs<CompiledModel, WholeModel<Model>, WholeModel<models::ActivationCheckpointing<Model>, Model>>;

template <class Config, Precision P, class Device = Cpu>
class CompiledModelOf : public TrainedWhole<models::Model<Config, P, Device>> {
 protected:
  using Model = models::Model<Config, P, Device>;

 public:
  std::size_t generation_bytes(Index decode_batch) const override {
    return Model::bytes() + decode::generator_bytes<Model>({.slots = decode_batch});
  }

  /// Prompts are dealt to ranks like cards; texts come back in the prompts' order.
  std::vector<decode::Generation> generate(const GenerateJob& job) const override {
    const auto returned = static_cast<std::size_t>(job.strategy.returned);  // texts of each prompt
    std::vector<decode::Generation> texts(job.prompts.size() * returned);
    std::mutex one_at_a_time;
    job.world->run(job.ranks, [&](dist::Communicator& communicator) {
      const auto rank = static_cast<std::size_t>(communicator.rank()), ranks = static_cast<std::size_t>(communicator.size());
      std::vector<decode::Prompt> mine;
      for (std::size_t i = rank; i < job.prompts.size(); i += ranks) mine.push_back(job.prompts[i]);
      decode::Observer observer;
      const auto guarded = [&](const auto& callback, std::size_t i, const auto& value) {
        const std::lock_guard lock(one_at_a_time);
        return !callback || callback(rank + i * ranks, value);
      };
      observer.token = [&](std::size_t i, TokenId id) { return guarded(job.observer.token, i, id); };
      observer.text = [&](std::size_t i, const decode::Generation& text) { return guarded(job.observer.text, i, text); };
      auto made = mine.empty() ? std::vector<decode::Generation>() : write(job, job.world->gpu_of(communicator), mine, observer);
      if (!job.world->has_processes()) return deal(std::move(made), returned, rank, ranks, texts);
      const auto all = communicator.all_gather(to_text(made));
      for (std::size_t r = 0; r < ranks; ++r) deal(r == rank ? std::move(made) : texts_of(all[r]), returned, r, ranks, texts);
    });
    return texts;
  }

  std::vector<train::SampleLoss> score(const ScoreJob& job) const override {
    Device device = device_of<Device>(0, job.threads);
    auto model = load<models::ActivationCheckpointing<Model>>(device, job.weights);  // nothing is kept for a backward that doesn't come
    return train::sample_losses(model, job.samples, 16);
  }

  std::unique_ptr<Predictor> predictor(const std::filesystem::path& weights, int threads) const override {
    return std::make_unique<PredictorOf<Model>>(threads, [&](Device& device) { return load(device, weights); });
  }

 protected:
  /// One rank's texts.
  virtual std::vector<decode::Generation> write(const GenerateJob& job, int gpu, const std::vector<decode::Prompt>& prompts, const decode::Observer& observer) const {
    Device device = device_of<Device>(gpu, job.threads);
    return write_with(load(device, job.weights), job, prompts, observer);
  }
  template <decode::CausalLm Writer>
  static std::vector<decode::Generation> write_with(const Writer& model, const GenerateJob& job, const std::vector<decode::Prompt>& prompts, const decode::Observer& observer) {
    const Index slots = std::min(job.decode_batch, static_cast<Index>(prompts.size())) * job.strategy.width();
    return decode::Generator<Writer>(model, job.end_of_text, {.slots = slots}).generate(prompts, job.strategy, observer);
  }

  template <class Loaded = Model>
  static Loaded load(Device& device, const std::filesystem::path& weights) {
    Loaded model(device);
    write_on_host(device, model.flat(), Model::flat_size, [&](auto* parameters) { io::read_weights<Model>(weights, parameters); });
    return model;
  }

 private:
  /// A rank's texts, back to where their prompts came from.
  static void deal(std::vector<decode::Generation> made, std::size_t returned, std::size_t rank, std::size_t ranks, std::vector<decode::Generation>& texts) {
    for (std::size_t i = 0; i < made.size(); ++i) texts.at((rank + i / returned * ranks) * returned + i % returned) = std::move(made[i]);
  }
};

/// The same model with 8-bit weights, made from those in 32 bits as they are loaded, one at a time. It is for writing texts, and for training adapters beside it (CompiledLoraOf): what it
/// trains itself and scores is the model in 32 bits, so main.cpp lets nobody ask for that.
template <class Config>
class Int8ModelOf final : public CompiledModelOf<Config, Fp32> {
  using Original = CompiledModelOf<Config, Fp32>;
  using Model = models::Quantized<typename Original::Model>;

 public:
  std::size_t generation_bytes(Index decode_batch) const override {
    return Model::bytes() + std::max(Model::largest_matrix_bytes(), decode::generator_bytes<Model>({.slots = decode_batch}));
  }
  std::unique_ptr<Predictor> predictor(const std::filesystem::path& weights, int threads) const override {
    return std::make_unique<PredictorOf<Model>>(threads, [&](Cpu& device) { return quantized(device, weights); });
  }

 private:
  static Model quantized(Cpu& device, const std::filesystem::path& weights) {
    return Model(device, [&](auto& take) { io::read_weights_in_turn<typename Original::Model>(weights, take); });
  }
  std::vector<decode::Generation> write(const GenerateJob& job, int /*gpu*/, const std::vector<decode::Prompt>& prompts, const decode::Observer& observer) const override {
    Cpu device(job.threads);
    return Original::write_with(quantized(device, job.weights), job, prompts, observer);
  }
};

/// Adapters of a model, in fp32 on a CPU.
template <class Base, Index rank, class Lora = models::Lora<Base, rank>>
using CompiledLoraOf = TrainedAs<CompiledTraining, AdaptedModel<Lora>, AdaptedModel<Lora, models::ActivationCheckpointing<Lora>>>;

}  // namespace summarize
