#pragma once
/// The training loop: what one rank does from the first step to the last.

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <concepts>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <terse/dist/communicator.hpp>
#include <terse/dist/ddp.hpp>
#include <terse/nn/model.hpp>
#include <terse/optim/adamw.hpp>
#include <terse/optim/clip.hpp>
#include <terse/optim/loss_scaler.hpp>
#include <terse/optim/schedule.hpp>
#include <terse/text/packing.hpp>
#include <terse/train/plan.hpp>
#include <terse/train/run_state.hpp>

namespace terse::train {

/// How a run learns. The defaults are the summarization job's.
struct TrainOptions {
  text::StepSchedule schedule;
  optim::CosineSchedule rates;  ///< decay ends at the last step
  double beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1;
  double clip = 1.0;            ///< largest global gradient norm; 0: none
  float dropout = 0.1f;
  long evaluate_every = 100;    ///< steps between validations; 0: only after the last
  long checkpoint_every = 0;    ///< steps between on_checkpoint; 0: only at the end
  bool reproducible = false;    ///< the same bits however ranks x accumulate divide a step; they must be a power of two (dist/ddp.hpp says what it costs)
};

/// Which samples a run learns from and which it is judged by.
struct TrainData {
  std::span<const text::Sample> training;
  std::span<const std::uint32_t> training_numbers;
  std::span<const text::Sample> validation;
  std::span<const std::uint32_t> validation_numbers;  ///< of `validation`; may be empty
};

/// Milliseconds of a step on rank 0, by what they went into; waiting for other ranks is part of `reduce`.
struct StepTimes {
  double data = 0, forward_backward = 0, reduce = 0, optimizer = 0;
};

/// One line of metrics.jsonl.
struct StepRecord {
  long step = 0;  ///< from 1: how many are done
  double loss = 0, grad_norm = 0, lr = 0, scale = 1;
  bool skipped = false;  ///< gradients overflowed, parameters stayed as they were
  std::int64_t samples = 0, tokens = 0, targets = 0;  ///< of all ranks
  double milliseconds = 0;
  StepTimes parts;
  std::optional<double> validation_loss;

  /// Of all ranks; 0 where no time was taken.
  double tokens_per_second() const { return milliseconds > 0 ? static_cast<double>(tokens) / milliseconds * 1e3 : 0; }
};

/// Where a gradient stopped being finite.
struct Overflow {
  long step = 0, micro_batch = 0;
  int rank = 0;
  std::string tensor;       ///< the parameter nearest the loss
  std::int64_t sample = 0;  ///< row of the data set

  /// One line: tensor, layer, micro-batch and sample.
  std::string words() const {
    const auto layer = tensor.starts_with("h.") ? concat(" of layer ", tensor.substr(2, tensor.find('.', 2) - 2)) : std::string();
    return concat("overflow at step ", step, ": gradient of ", tensor, layer, " is not finite, first in micro-batch ", micro_batch, " of rank ", rank, ", in sample ", sample,
                  " of the data");
  }
};

/// Hears of a run, on rank 0. Returning false from on_step ends the run after that step.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  /// After each step. False ends the run.
  virtual bool on_step(const StepRecord&) { return true; }
  /// One line: where, and what was done about it.
  virtual void on_overflow(const std::string& /*message*/) {}
  /// After a validation; `is_best`: lower than any before. The parameters are the trainer's master copy.
  virtual void on_validation(double /*loss*/, bool /*is_best*/) {}
  /// Every checkpoint_every steps, and when the run ends: what should outlive the process is saved here. After on_step.
  virtual void on_checkpoint(const RunState&) {}
};

/// What isn't a model that can be trained gives these words and nothing more.
template <class M>
class Trainer {
  static_assert(mistaken<M>, "terse: Trainer: this is no model that can be trained, e.g. a layer; static_assert(nn::TrainableModel<M>) says what it lacks (nn/model.hpp)");

 public:
  Trainer(M&, dist::Communicator&, const TrainData&, const TrainOptions&) {}
};

/// Trains one rank's copy of a model. Everything is allocated at construction; the loop allocates nothing.
template <nn::TrainableModel ModelType>
class Trainer<ModelType> {
 public:
  using Model = ModelType;
  using Stream = typename Model::Stream;

  /// Errors     Failure::usage: the schedule is for another number of ranks, or a size in it is below 1, or reproducible sums can't be had of it; Failure::bad_input: no sample to
  ///            train on; Failure::device: out of memory
  Trainer(Model& model, dist::Communicator& communicator, const TrainData& data, const TrainOptions& options)
      : data_(data),
        options_(options),
        communicator_(&communicator),
        sampler_(data.training, data.training_numbers, checked(options.schedule, communicator)),
        capacity_(capacity()),
        storage_(capacity_),
        scaler_(Model::PrecisionPolicy::scales_loss),
        ddp_(reserve(model, capacity_.tokens), communicator, {capacity_.tokens, capacity_.sequences}, tree_leaves(options)),
        adamw_(model),
        leaf_losses_(static_cast<std::size_t>(options.schedule.micro_batches())),
        validation_losses_(divide_up(data.validation_numbers.size(), static_cast<std::size_t>(options.schedule.batch))) {
    state_.scale = scaler_.scale();
  }

  /// Tokens of the largest micro-batch: what the memory plan is made for.
  Index token_capacity() const { return capacity_.tokens; }
  /// Parameters in full precision, flat, whatever the model computes with.
  Stream* parameters() const { return adamw_.master(); }
  /// AdamW's m and v, flat.
  Stream* first_moments() const { return adamw_.first_moments(); }
  Stream* second_moments() const { return adamw_.second_moments(); }
  /// Where the run stands: what `resume` takes.
  const RunState& state() const { return state_; }

  /// After the caller wrote parameters() on rank 0: every rank takes them.
  void share_parameters() {
    share(adamw_.master());
    adamw_.give_parameters();
  }
  /// After the caller read a saved run's parameters() and moments on rank 0: every rank takes them, and run() goes on from `state` (rank 0's counts).
  void resume(RunState state) {
    communicator_->broadcast(std::as_writable_bytes(std::span(&state, 1)), 0);
    share_parameters(), share(first_moments()), share(second_moments());
    state_ = state;
    scaler_.restore(state.scale, state.clean_steps);
    adamw_.set_steps(state.optimizer_steps);
  }

  /// Steps until the schedule ends or the observer has enough.
  void run(TrainObserver& observer) {
    long saved = state_.step;
    bool keeps_going = true;
    while (keeps_going && state_.step < options_.schedule.steps) {
      const auto start = Clock::now();
      StepRecord record = train_step(observer);
      record.milliseconds = milliseconds_since(start);
      if (!data_.validation_numbers.empty() && (is_last_step() || is_due(options_.evaluate_every))) record.validation_loss = validation_loss();
      keeps_going = tell(record, observer);
      if (keeps_going && is_due(options_.checkpoint_every)) saved = checkpoint(observer);
    }
    if (saved != state_.step) checkpoint(observer);
  }

  /// The same for a function that hears of each step, on rank 0: run([](const StepRecord& step) { … }). It may return false to end the run.
  template <std::invocable<const StepRecord&> OnStep>
  void run(OnStep on_step) {
    struct Listener final : TrainObserver {
      explicit Listener(OnStep& on_step) : hear(&on_step) {}
      bool on_step(const StepRecord& step) override {
        if constexpr (std::is_void_v<std::invoke_result_t<OnStep&, const StepRecord&>>) return (*hear)(step), true;
        else return (*hear)(step);
      }
      OnStep* hear;
    } listener(on_step);
    run(static_cast<TrainObserver&>(listener));
  }

  /// Mean loss over the targets of the validation samples, dealt to the ranks; infinite if it isn't a number. The same bits for any number of ranks.
  double validation_loss() {
    std::ranges::fill(validation_losses_, 0.0);
    const auto batch = static_cast<std::size_t>(options_.schedule.batch), ranks = static_cast<std::size_t>(communicator_->size());
    double targets = 0;
    for (std::size_t micro = static_cast<std::size_t>(communicator_->rank()); micro < validation_losses_.size(); micro += ranks) {
      const auto numbers = data_.validation_numbers.subspan(micro * batch, std::min(batch, data_.validation_numbers.size() - micro * batch));
      const PackedBatch packed = text::pack(data_.validation, numbers, storage_);
      validation_losses_[micro] = ddp_.evaluate(packed);
      targets += static_cast<double>(packed.targets.size());
    }
    communicator_->all_reduce(std::span(&targets, 1));
    const double mean = sum_over_ranks(validation_losses_) / targets;
    return std::isnan(mean) ? std::numeric_limits<double>::infinity() : mean;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double milliseconds_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

  static const text::StepSchedule& checked(const text::StepSchedule& schedule, const dist::Communicator& communicator) {
    if (schedule.ranks != communicator.size())
      fail(Failure::usage, "the schedule deals samples to ", schedule.ranks, " ranks, but ", communicator.size(), " run; make them equal");
    return schedule;
  }

  static long tree_leaves(const TrainOptions& options) {
    if (!options.reproducible) return 0;
    if (const auto leaves = options.schedule.micro_batches(); !std::has_single_bit(static_cast<std::uint64_t>(leaves)))
      fail(Failure::usage, "reproducible sums need ranks x accumulate to be a power of two: ", options.schedule.ranks, " x ", options.schedule.accumulate, " is ", leaves);
    return options.schedule.accumulate;
  }

  static Model& reserve(Model& model, Index tokens) {
    train::reserve(model, tokens);
    return model;
  }

  text::BatchCapacity capacity() {
    auto largest = sampler_.capacity();
    largest.hold(text::capacity_of(data_.validation, data_.validation_numbers, static_cast<std::size_t>(options_.schedule.batch)));
    return largest;
  }

  bool is_last_step() const { return state_.step == options_.schedule.steps; }
  bool is_due(long every) const { return every > 0 && state_.step % every == 0; }

  void share(Stream* flat) { communicator_->broadcast(std::as_writable_bytes(std::span(flat, static_cast<std::size_t>(Model::flat_size))), 0); }

  /// Whether rank 0's observer wants more, on every rank.
  bool tell(const StepRecord& record, TrainObserver& observer) {
    const bool is_best = record.validation_loss && *record.validation_loss < state_.best_validation_loss;
    if (is_best) state_.best_validation_loss = *record.validation_loss;
    std::byte keep_going{1};
    if (communicator_->is_first()) {
      if (record.validation_loss) observer.on_validation(*record.validation_loss, is_best);
      keep_going = std::byte{observer.on_step(record)};
    }
    communicator_->broadcast(std::span(&keep_going, 1), 0);
    return keep_going != std::byte{0};
  }

  long checkpoint(TrainObserver& observer) {
    if (communicator_->is_first()) observer.on_checkpoint(state_);
    return state_.step;
  }

  /// Each value is one rank's and 0 on the others, so the sum doesn't depend on who has it.
  double sum_over_ranks(std::vector<double>& values) {
    communicator_->all_reduce(std::span<double>(values));
    return std::accumulate(values.begin(), values.end(), 0.0);
  }

  StepRecord train_step(TrainObserver& observer) {
    const long step = state_.step;
    const auto size = sampler_.size_of(sampler_.first_cursor(step), options_.schedule.samples_per_step());
    StepRecord record{.step = step + 1, .lr = options_.rates.at(step), .scale = static_cast<double>(scaler_.scale()), .samples = size.sequences,
                      .tokens = size.tokens, .targets = size.target_rows, .parts = {}, .validation_loss = {}};
    const auto overflow = run_micro_batches(record);
    auto start = Clock::now();
    ddp_.reduce();
    record.loss = sum_over_ranks(leaf_losses_);
    record.parts.reduce = milliseconds_since(start);

    start = Clock::now();
    record.grad_norm = ddp_.gradient_norm() / static_cast<double>(scaler_.scale());
    record.skipped = !std::isfinite(record.grad_norm);
    if (record.skipped) report(overflow, step, observer);
    else adamw_.step(ddp_.gradient(), optim::clip_factor(record.grad_norm, options_.clip) / static_cast<double>(scaler_.scale()),
                     {.lr = record.lr, .beta1 = options_.beta1, .beta2 = options_.beta2, .weight_decay = options_.weight_decay});
    scaler_.update(record.skipped);
    record.parts.optimizer = milliseconds_since(start);
    state_.step = step + 1, state_.optimizer_steps = adamw_.steps(), state_.scale = scaler_.scale(), state_.clean_steps = scaler_.clean_steps();
    give_up_if_lost(record);
    return record;
  }

  /// Forward and backward of this rank's micro-batches; their losses go to their places in leaf_losses_.
  std::optional<Overflow> run_micro_batches(StepRecord& record) {
    const long step = state_.step;
    const ops::DropoutPlan dropout{options_.dropout, options_.schedule.seed};
    std::optional<Overflow> overflow;
    std::ranges::fill(leaf_losses_, 0.0);
    ddp_.clear();
    for (long micro = 0; micro < options_.schedule.accumulate; ++micro) {
      auto start = Clock::now();
      const PackedBatch batch = sampler_.fill(step, micro, communicator_->rank(), storage_);
      record.parts.data += milliseconds_since(start);
      start = Clock::now();
      leaf_losses_[static_cast<std::size_t>(communicator_->rank() * options_.schedule.accumulate + micro)] = ddp_.backward(batch, dropout, scaler_.scale());
      if (!overflow) overflow = find_overflow(batch, step, micro);
      record.parts.forward_backward += milliseconds_since(start);
    }
    return overflow;
  }

  std::optional<Overflow> find_overflow(const PackedBatch& batch, long step, long micro) {
    const auto document = ddp_.overflowed_document(batch);
    if (!document) return std::nullopt;
    const auto parameter = ddp_.overflowed_parameter();
    return Overflow{step + 1, micro, communicator_->rank(), std::string(parameter.value_or("the loss")), batch.samples[static_cast<std::size_t>(*document)]};
  }

  /// Rank 0 hears of the lowest rank that overflowed.
  void report(const std::optional<Overflow>& mine, long step, TrainObserver& observer) {
    const auto all = communicator_->all_gather(mine ? mine->words() : "");
    if (!communicator_->is_first()) return;
    const auto lowest = std::find_if(all.begin(), all.end(), [](const std::string& words) { return !words.empty(); });
    observer.on_overflow((lowest != all.end() ? *lowest : concat("overflow at step ", step + 1, ": the sum of all ranks' gradients is not finite")) +
                         (Model::PrecisionPolicy::scales_loss ? "; step skipped, loss scale halved" : "; step skipped"));
  }

  void give_up_if_lost(const StepRecord& record) {
    state_.skipped_in_a_row = record.skipped ? state_.skipped_in_a_row + 1 : 0;
    if (state_.skipped_in_a_row == most_skipped)
      fail(Failure::internal, "step ", record.step, ": gradients were not finite ", most_skipped, " steps in a row; try a lower --lr or --precision fp32");
  }

  static constexpr int most_skipped = 30;

  TrainData data_;
  TrainOptions options_;
  dist::Communicator* communicator_;
  text::Sampler sampler_;
  text::BatchCapacity capacity_;
  text::BatchStorage storage_;
  optim::LossScaler scaler_;
  dist::DistributedDataParallel<Model> ddp_;
  optim::AdamW<Model> adamw_;
  std::vector<double> leaf_losses_;        // of each micro-batch of the step, over all ranks
  std::vector<double> validation_losses_;  // of each micro-batch of the validation
  RunState state_;
};

/// `Trainer trainer(model, rank, data, options)`.
template <class M>
Trainer(M&, dist::Communicator&, const TrainData&, const TrainOptions&) -> Trainer<M>;

}  // namespace terse::train
