#pragma once
#include <terse/decode/generator.hpp>
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

/// A model all of whose parameters are trained: what TrainingOf asks of its subject. AdaptedModel is the other. `WholeType`: the same, without what is for training alone.
template <nn::TrainableModel ModelType, class WholeType = ModelType>
class WholeModel {
 public:
  using Model = ModelType;  ///< whose parameters are trained
  using Whole = WholeType;  ///< that writes texts
  using Device = typename Model::Device;
  static constexpr bool has_adapter = false;

  /// On every rank, before anything is trained.
  WholeModel(Device& device, const TrainJob& /*job*/, dist::Communicator&) : model_(device) {}

  /// Bytes besides those of train::plan<Model>.
  static void add_bytes(train::MemoryPlan&) {}
  Model& trained() { return model_; }
  const Whole& whole() { return model_; }

  // On rank 0:
  /// The first parameters of a new run.
  void begin(const TrainJob& job, auto* parameters) const {
    if (!job.weights.empty()) io::read_weights<Model>(job.weights, parameters);
    else nn::initialize<Model>(parameters, job.options.schedule.seed);
  }
  /// What a saved state must say of the parameters that aren't in it.
  io::Metadata identity() const { return {}; }
  void write_weights(const std::filesystem::path& path, const train::Trainer<Model>& trainer, const io::Metadata& metadata) {
    trainer.read(trainer.result(), [&](const auto* parameters) { io::write_weights<Model>(path, parameters, metadata); });
  }

 private:
  Model model_;
};

/// The training of a subject, as one rank.
template <class Subject>
class TrainingOf {
  using Model = typename Subject::Model;
  using Device = typename Model::Device;
  using Trainer = train::Trainer<Model>;

 public:
  static constexpr Index trained_parameters() {
    Index count = 0;
    for (const auto& parameter : Model::table) count += parameter.saved_rows * parameter.columns;
    return count;
  }

  static train::MemoryPlan plan(Index token_capacity, Index sequences, int threads, const train::TrainOptions& options, int capability) {
    auto plan = train::plan<Model>(token_capacity, sequences,
                                   {.threads = threads, .takes_workspace = train::takes_workspace<Model>(),
                                    .tree_leaves = options.reproducible ? options.schedule.accumulate : 0, .micro_batches = options.schedule.micro_batches(), .capability = capability,
                                    .shards = options.shard_optimizer ? static_cast<int>(options.schedule.ranks) : 1, .ema = options.ema > 0, .bucket_bytes = options.bucket_bytes,
                                    .sends_bfloat16 = options.reduce_dtype == Dtype::bf16 && options.schedule.ranks > 1});
    Subject::add_bytes(plan);
    return plan;
  }

  static void train(const TrainJob& job, dist::Communicator& communicator, train::TrainObserver& observer) {
    Device device = device_of<Device>(job.world->gpu_of(communicator), job.threads);
    Subject subject(device, job, communicator);
    Trainer trainer(subject.trained(), communicator, job.data, job.options);
    Keeper keeper(job, trainer, subject, observer);
    if (communicator.is_first()) {
      if (job.tensors.empty()) trainer.write(train::StateTensor::parameters, [&](auto* parameters) { subject.begin(job, parameters); });
      else read_state(job, subject, trainer);
    }
    if (job.tensors.empty()) trainer.share_parameters();
    else trainer.resume(job.state);
    if (communicator.is_first())  // every rank has its memory and its parameters
      job.on_start(plan(trainer.capacity().tokens, trainer.capacity().sequences, job.threads, job.options, capability_of(device)), trainer.capacity().tokens);
    if (!job.tensors.empty()) trainer.on_first([&] { job.on_resume(trainer.state(), keeper.results()); });
    trainer.run(keeper);
    if (job.options.trace_steps > 0) {
      const auto spans = trainer.spans();
      const auto events = communicator.all_gather(to_text(communicator.rank(), spans));
      if (communicator.is_first()) job.on_trace(events, dist::share_of_sums_behind("backward", spans));
    }
    communicator.barrier();
  }

 private:
  static void read_state(const TrainJob& job, const Subject& subject, Trainer& trainer) {
    const auto found = io::SafetensorsFile::open(job.tensors).metadata();
    for (const auto& [name, value] : subject.identity())
      if (const auto at = found.find(name); at == found.end() || at->second != value)
        fail(Failure::bad_input, job.tensors.string(), ": these adapters were trained on other weights than those of ", job.weights.string(),
             "; name the file that the run began with by --init, or start over with --overwrite");
    train::read_tensors(job.tensors, trainer);
  }

  /// Passes everything on, and sees to it that parameters are kept and validation texts written.
  class Keeper final : public train::TrainObserver {
   public:
    Keeper(const TrainJob& job, const Trainer& trainer, Subject& subject, train::TrainObserver& inner) : job_(&job), trainer_(&trainer), subject_(&subject), inner_(&inner) {}

    TrainJob::Results results() const {
      TrainJob::Results results;
      results.weights = [this](const std::filesystem::path& path) { subject_->write_weights(path, *trainer_, {{"step", std::to_string(trainer_->state().step)}}); };
      if constexpr (Subject::has_adapter) results.adapter = [this](const std::filesystem::path& folder) { subject_->write_adapter(folder, *trainer_); };
      return results;
    }

    bool on_step(const train::StepRecord& record) override { return inner_->on_step(record); }
    void on_overflow(const std::string& message) override { inner_->on_overflow(message); }
    void on_validation(double loss, bool is_best) override {
      inner_->on_validation(loss, is_best);
      if (is_best) job_->keep_best(trainer_->state(), results());
      if (!job_->validation_texts.prompts.empty()) write_texts();
    }
    void on_checkpoint(const train::RunState& state) override {
      inner_->on_checkpoint(state);
      job_->keep_last(state, results(), [this](const std::filesystem::path& path) { train::write_tensors(path, *trainer_, subject_->identity()); });
    }

   private:
    void write_texts() const {
      const auto& wanted = job_->validation_texts;
      const Index slots = std::min(Index{32}, static_cast<Index>(wanted.prompts.size()));
      decode::Generator<typename Subject::Whole> generator(subject_->whole(), wanted.end_of_text, {.slots = slots});
      wanted.on_texts(generator.generate(wanted.prompts, wanted.strategy, {}));
    }

    const TrainJob* job_;
    const Trainer* trainer_;
    Subject* subject_;
    train::TrainObserver* inner_;
  };
};

}  // namespace summarize
