#pragma once
#include <terse/decode/generator.hpp>
#include <terse/dist/world.hpp>
#include <terse/models/activation_checkpointing.hpp>
#include <terse/models/gpt.hpp>
#include <terse/models/llama.hpp>
#include <terse/models/quantized.hpp>
#include <terse/nn/initialize.hpp>
#include <terse/train/saved_state.hpp>

#include "compiled_model.hpp"
#include "predictor_of.hpp"
#include "ranks.hpp"

namespace summarize {

/// Compute capability, ten times the major number plus the minor one; 0: not a GPU.
template <class Device>
int capability_of(const Device& device) {
  if constexpr (requires { device.capability(); }) return device.capability();
  else return 0;
}

template <class Config, Precision P, class Device = Cpu>
class CompiledModelOf : public CompiledModel {
 protected:
  using Model = models::Model<Config, P, Device>;
  using CheckpointedModel = models::ActivationCheckpointing<Model>;

 public:
  train::MemoryPlan plan(Index token_capacity, Index sequences, int threads, const train::TrainOptions& options, bool activation_checkpointing, int capability) const override {
    const train::PlanOptions details{.threads = threads, .takes_workspace = train::takes_workspace<Model>(),
                                     .tree_leaves = options.reproducible ? options.schedule.accumulate : 0, .micro_batches = options.schedule.micro_batches(), .capability = capability,
                                     .shards = options.shard_optimizer ? static_cast<int>(options.schedule.ranks) : 1, .ema = options.ema > 0, .bucket_bytes = options.bucket_bytes,
                                     .sends_bfloat16 = options.reduce_dtype == Dtype::bf16 && options.schedule.ranks > 1};
    return activation_checkpointing ? train::plan<CheckpointedModel>(token_capacity, sequences, details) : train::plan<Model>(token_capacity, sequences, details);
  }

  std::size_t generation_bytes(Index decode_batch) const override {
    return static_cast<std::size_t>(Model::flat_size) * sizeof(typename Model::Parameter) + decode::generator_bytes<Model>({.slots = decode_batch});
  }

  void train(const TrainJob& job, dist::Communicator& communicator, train::TrainObserver& observer) const override {
    if (job.activation_checkpointing) train_as<CheckpointedModel>(job, communicator, observer);
    else train_as<Model>(job, communicator, observer);
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
    CheckpointedModel model = load<CheckpointedModel>(device, job.weights);  // nothing is kept for a backward that doesn't come
    return train::sample_losses(model, job.samples, job.batch);
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
  template <class Trained>
  void train_as(const TrainJob& job, dist::Communicator& communicator, train::TrainObserver& observer) const {
    Device device = device_of<Device>(job.world->gpu_of(communicator), job.threads);
    Trained model(device);
    train::Trainer<Trained> trainer(model, communicator, job.data, job.options);
    Keeper<Trained> keeper(job, trainer, model, observer);
    if (communicator.is_first()) {
      if (!job.tensors.empty()) train::read_tensors(job.tensors, trainer);
      else trainer.write(train::StateTensor::parameters, [&](auto* parameters) { begin(job, parameters); });
    }
    if (job.tensors.empty()) trainer.share_parameters();
    else trainer.resume(job.state);
    if (communicator.is_first())  // every rank has its memory and its parameters
      job.on_start(plan(trainer.token_capacity(), job.options.schedule.batch, job.threads, job.options, job.activation_checkpointing, capability_of(device)), trainer.token_capacity());
    if (!job.tensors.empty()) trainer.on_first([&] { job.on_resume(trainer.state(), keeper.weights()); });
    trainer.run(keeper);
    if (job.options.trace_steps > 0) {
      const auto spans = trainer.spans();
      const auto events = communicator.all_gather(to_text(communicator.rank(), spans));
      if (communicator.is_first()) job.on_trace(events, dist::share_of_sums_behind("backward", spans));
    }
    communicator.barrier();
  }

  /// A rank's texts, back to where their prompts came from.
  static void deal(std::vector<decode::Generation> made, std::size_t returned, std::size_t rank, std::size_t ranks, std::vector<decode::Generation>& texts) {
    for (std::size_t i = 0; i < made.size(); ++i) texts.at((rank + i / returned * ranks) * returned + i % returned) = std::move(made[i]);
  }

  /// The first parameters of a new run.
  static void begin(const TrainJob& job, auto* parameters) {
    if (!job.weights.empty()) io::read_weights<Model>(job.weights, parameters);
    else nn::initialize<Model>(parameters, job.options.schedule.seed);
  }

  /// Passes everything on, and sees to it that parameters are kept and validation texts written.
  template <class Trained>
  class Keeper final : public train::TrainObserver {
   public:
    Keeper(const TrainJob& job, const train::Trainer<Trained>& trainer, const Model& model, train::TrainObserver& inner) : job_(&job), trainer_(&trainer), model_(&model), inner_(&inner) {}

    TrainJob::Write weights() const {
      return [this](const std::filesystem::path& path) {
        trainer_->read(trainer_->result(),
                       [&](const auto* parameters) { io::write_weights<Model>(path, parameters, {{"step", std::to_string(trainer_->state().step)}}); });
      };
    }

    bool on_step(const train::StepRecord& record) override { return inner_->on_step(record); }
    void on_overflow(const std::string& message) override { inner_->on_overflow(message); }
    void on_validation(double loss, bool is_best) override {
      inner_->on_validation(loss, is_best);
      if (is_best) job_->keep_best(trainer_->state(), weights());
      if (!job_->validation_texts.prompts.empty()) write_texts();
    }
    void on_checkpoint(const train::RunState& state) override {
      inner_->on_checkpoint(state);
      job_->keep_last(state, weights(), [this](const std::filesystem::path& path) { train::write_tensors(path, *trainer_); });
    }

   private:
    void write_texts() const {
      const auto& wanted = job_->validation_texts;
      const Index slots = std::min(Index{32}, static_cast<Index>(wanted.prompts.size()));
      decode::Generator<Model> generator(*model_, wanted.end_of_text, {.slots = slots});
      wanted.on_texts(generator.generate(wanted.prompts, wanted.strategy, {}));
    }

    const TrainJob* job_;
    const train::Trainer<Trained>* trainer_;
    const Model* model_;
    train::TrainObserver* inner_;
  };
};

/// The same model with 8-bit weights, made from those in 32 bits as they are loaded, one at a time. It is for writing texts: what it trains and scores is the model in 32 bits,
/// so main.cpp lets nobody ask for that.
template <class Config>
class Int8ModelOf final : public CompiledModelOf<Config, Fp32> {
  using Original = CompiledModelOf<Config, Fp32>;
  using Model = models::Quantized<typename Original::Model>;

 public:
  std::size_t generation_bytes(Index decode_batch) const override {
    return Model::bytes() + std::max(Model::loading_bytes(), decode::generator_bytes<Model>({.slots = decode_batch}));
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

}  // namespace summarize
