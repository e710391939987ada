#pragma once
// A model in a precision, behind an interface without templates: so the commands compile once.
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <terse/decode/generation.hpp>
#include <terse/decode/strategy.hpp>
#include <terse/dist/world.hpp>
#include <terse/io/checkpoint.hpp>
#include <terse/text/dialogue.hpp>
#include <terse/train/losses.hpp>
#include <terse/train/plan.hpp>
#include <terse/train/trainer.hpp>

namespace summarize {

using namespace terse;

/// Texts that the model in training writes at each validation: what --early-stop judges by.
struct ValidationTexts {
  std::vector<decode::Prompt> prompts;  ///< empty: none are wanted
  decode::Strategy strategy;
  TokenId end_of_text = 0;
  std::function<void(const std::vector<decode::Generation>&)> on_texts;  ///< rank 0, after on_validation and before on_step
};

struct TrainJob {
  train::TrainData data;
  train::TrainOptions options;
  const dist::World* world = nullptr;
  int threads = 1;                ///< per rank
  bool activation_checkpointing = false;
  std::filesystem::path weights;  ///< to start from: --init's file; empty: from scratch, or from the state. Adapters need it whenever they are trained
  std::filesystem::path tensors;  ///< of the saved state to go on from, as are the numbers of `state`; empty: a new run
  train::RunState state;
  ValidationTexts validation_texts;

  /// Writes a safetensors file, or what it is said to, to a path.
  using Write = std::function<void(const std::filesystem::path&)>;
  /// What a run leaves for others.
  struct Results {
    Write weights;  ///< the whole model's, adapters merged into them
    Write adapter;  ///< a folder that PEFT reads; empty where all parameters are trained
  };
  // All of these on rank 0.
  std::function<void(const train::MemoryPlan&, Index token_capacity)> on_start;                                    ///< before the first step, when all is read
  std::function<void(const train::RunState&, const Results&)> on_resume;                                           ///< where it goes on from a state
  std::function<void(const train::RunState&, const Results&)> keep_best;                                           ///< the lowest validation loss so far
  std::function<void(const train::RunState&, const Results&, const Write& tensors)> keep_last;                     ///< a state that the run can go on from
  std::function<void(const std::vector<std::string>& events, double share_behind)> on_trace;                       ///< JSON lists of each rank's, and how much of rank 0's sums was behind backward; where options.trace_steps
};

struct GenerateJob {
  std::filesystem::path weights;
  std::vector<decode::Prompt> prompts;
  decode::Strategy strategy;
  decode::Observer observer;
  TokenId end_of_text = 0;
  const dist::World* world = nullptr;
  int ranks = 1, threads = 1;  ///< ranks: where they are threads
  Index decode_batch = 32;
};

struct ScoreJob {
  std::filesystem::path weights;
  std::span<const text::Sample> samples;
  int threads = 1;
};

/// A model in memory that says what it expects.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// Of each row with a loss, what the model expects next: log-probabilities (targets, vocabulary), until the next call.
  virtual std::span<const float> log_probabilities(const text::Sample& sample) = 0;
};

/// How a model is trained: all of its parameters, or adapters.
class CompiledTraining {
 public:
  virtual ~CompiledTraining() = default;

  /// How many values are trained.
  virtual Index trained_parameters() const = 0;
  /// `capability`: of the GPU.
  virtual train::MemoryPlan plan(Index token_capacity, Index sequences, int threads, const train::TrainOptions& options, bool activation_checkpointing, int capability) const = 0;
  /// Trains as one rank among `communicator`'s; the observer hears on rank 0.
  virtual void train(const TrainJob& job, dist::Communicator& communicator, train::TrainObserver& observer) const = 0;
};

class CompiledModel : public CompiledTraining {
 public:
  virtual std::size_t generation_bytes(Index decode_batch) const = 0;
  /// All texts, in every process of the job's world.
  virtual std::vector<decode::Generation> generate(const GenerateJob& job) const = 0;
  virtual std::vector<train::SampleLoss> score(const ScoreJob& job) const = 0;
  virtual std::unique_ptr<Predictor> predictor(const std::filesystem::path& weights, int threads) const = 0;
};

/// Adapters of a model: --lora.
struct LoraEntry {
  int rank;
  std::unique_ptr<CompiledTraining> (*make)();
};

struct ModelEntry {
  std::string model, precision, device;  ///< precision: fp32, fp16, bf16, or int8, which writes texts and can be adapted; device: cpu or cuda
  io::ModelSizes sizes;
  std::unique_ptr<CompiledModel> (*make)();
  std::vector<LoraEntry> lora;  ///< the ranks of adapters that can be trained instead: of fp32 and int8
};

/// What this program was built with (terse_add_summarizer.cmake).
const std::vector<ModelEntry>& compiled_models();
/// Which of them --model means where it isn't given: gpt2, or the model the program was made for.
const char* default_model();

}  // namespace summarize
