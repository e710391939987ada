#pragma once
/// The training loop: what one rank does from the first step to the last.

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <concepts>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <terse/dist/communicator.hpp>
#include <terse/dist/ddp.hpp>
#include <terse/nn/model.hpp>
#include <terse/optim/ema.hpp>
#include <terse/optim/loss_scaler.hpp>
#include <terse/text/packing.hpp>
#include <terse/train/observer.hpp>
#include <terse/train/options.hpp>
#include <terse/train/plan.hpp>
#include <terse/train/run_state.hpp>
#include <terse/train/state_tensors.hpp>
#include <terse/train/step_report.hpp>

namespace terse::train {

/// What isn't a model that can be trained gives these words and nothing more.
template <class M>
class Trainer {
  static_assert(mistaken<M>, "terse: Trainer: this is no model that can be trained, e.g. a layer; static_assert(nn::TrainableModel<M>) says what it lacks (nn/model.hpp)");

 public:
  Trainer(M&, dist::Communicator&, const TrainData&, const TrainOptions&) {}
};

/// Trains one rank's copy of a model. Everything is allocated at construction, matrix products are planned when `run` begins; the loop allocates nothing. After
/// an exception from `run` the parameters may be a step ahead of state(): `resume`, or make another.
template <nn::TrainableModel ModelType>
class Trainer<ModelType> {
 public:
  using Model = ModelType;
  using Stream = typename Model::Stream;

  /// Errors     Failure::usage: the schedule is for another number of ranks, or a size in it is below 1, or reproducible sums can't be had of it; an option is out of its
  ///            range, or the model can't do it; Failure::bad_input: no sample to train on; Failure::device: out of memory
  Trainer(Model& model, dist::Communicator& communicator, const TrainData& data, const TrainOptions& options)
      : data_(data),
        options_(options),
        communicator_(&communicator),
        sampler_(data.training, data.training_numbers, schedule_of(options, communicator)),
        capacity_(largest_batch()),
        storage_(capacity_),
        ddp_(reserve(model, capacity_.tokens), communicator, {capacity_.tokens, capacity_.sequences},
             {.tree_leaves = tree_leaves(options), .bucket_bytes = options.bucket_bytes, .scatters = options.shard_optimizer && communicator.size() > 1, .dtype = options.reduce_dtype}),
        adamw_(ddp_),
        tensors_(ddp_, adamw_, ema_),
        reports_(model.device(), options.schedule.micro_batches()),
        validation_losses_(divide_up(data.validation_numbers.size(), static_cast<std::size_t>(options.schedule.batch))) {
    if (options.ema > 0) ema_.emplace(model, adamw_, ops::Ema{options.ema});
    if (options.trace_steps > 0) ddp_.trace(&trace_.emplace(model.device(), most_spans(options)));
    state_.scale = optim::LossScaler::start(Model::PrecisionPolicy::scales_loss).scale;
  }

  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// Where parameters and moments are.
  typename Model::Device& device() const { return ddp_.model().device(); }
  /// The largest micro-batch: what the memory plan is made for.
  const text::BatchCapacity& capacity() const { return capacity_; }
  /// What the run is judged by and gives: the average of the weights, where it is kept, else the weights.
  StateTensor result() const { return ema_ ? StateTensor::ema : StateTensor::parameters; }
  /// The run has such a tensor.
  bool has(StateTensor tensor) const { return tensors_.has(tensor); }
  /// Parameters in full precision, flat, whatever the model computes with, in the device's memory. Not in on_validation of a run that averages: there the model has the average.
  /// Errors     Failure::usage: ranks keep a shard each; `read` and `write` have them whole
  Stream* parameters() const {
    if (!tensors_.is_whole(StateTensor::parameters)) fail(Failure::usage, "parameters(): each rank keeps a shard of them; use read and write, which have them whole");
    return adamw_.master();
  }
  /// body(), on rank 0, which may `read` all state tensors; every rank calls it.
  template <class Body>
  void on_first(Body&& body) {
    for (const StateTensor tensor : all_state_tensors) tensors_.gather(tensor);
    if (communicator_->is_first()) body();
    for (const StateTensor tensor : all_state_tensors) tensors_.release(tensor);
  }
  /// In on_first, in on_checkpoint and, of result(), in on_validation where it is the best: body(values) with all of them on the host, flat, in full precision.
  template <class Body>
  decltype(auto) read(StateTensor tensor, Body&& body) const {
    return tensors_.read(tensor, std::forward<Body>(body));
  }
  /// On rank 0: body(values) writes them all, before share_parameters or resume.
  template <class Body>
  void write(StateTensor tensor, Body&& body) {
    tensors_.write(tensor, std::forward<Body>(body));
  }
  /// Where the run stands: what `resume` takes.
  const RunState& state() const { return state_; }

  /// What this rank did in the first options.trace_steps steps; waits for the device.
  std::vector<dist::Span> spans() const { return trace_ ? trace_->spans() : std::vector<dist::Span>{}; }

  /// After the caller wrote the parameters on rank 0: every rank takes them.
  void share_parameters() {
    tensors_.share(StateTensor::parameters);
    adamw_.give_parameters();
    if (ema_) ema_->restart();
  }
  /// After the caller wrote all state tensors of a saved run on rank 0: every rank takes them, and run() goes on from `state` (rank 0's counts).
  void resume(RunState state) {
    ddp_.collective().wait();  // for sums of a step that an exception ended
    communicator_->broadcast(std::as_writable_bytes(std::span(&state, 1)), 0);
    for (const StateTensor tensor : all_state_tensors)
      if (has(tensor)) tensors_.share(tensor);
    adamw_.give_parameters();
    state_ = state;
    reports_.forget();
    auto scaler = optim::LossScaler::start(Model::PrecisionPolicy::scales_loss);
    if (scaler.enabled) scaler.scale = state.scale, scaler.clean_steps = state.clean_steps;
    adamw_.restore({.scaler = scaler, .steps = state.optimizer_steps});
  }

  /// Plans the matrix products of all micro-batches to come, where the device plans any; `run` does so itself.
  void rehearse() {
    if constexpr (requires { typename Model::Device::Rehearsal; }) {
      const auto plan = [this](const text::BatchCapacity& size) { ddp_.rehearse(size.tokens, size.target_rows); };
      const long accumulate = options_.schedule.accumulate, first = communicator_->rank() * accumulate;
      for (long step = state_.step; step < options_.schedule.steps; ++step)
        for (long micro = first; micro < first + accumulate; ++micro) plan(sampler_.micro_batch_size(sampler_.first_cursor(step, micro)));
      for (auto micro = static_cast<std::size_t>(communicator_->rank()); micro < validation_losses_.size(); micro += static_cast<std::size_t>(communicator_->size()))
        plan(text::capacity_of(data_.validation, validation_batch(micro), static_cast<std::size_t>(options_.schedule.batch)));
    }
  }

  /// Steps until the schedule ends or the observer has enough. A device that runs behind has
  /// begun the next step when the observer hears of one; that one is finished too.
  void run(TrainObserver& observer) {
    long saved = begun_ = state_.step;
    const long traced_until = begun_ + options_.trace_steps;
    rehearse();
    for (bool keeps_going = true; keeps_going && begun_ < options_.schedule.steps;) {
      if (begun_ == traced_until) ddp_.trace(nullptr);
      begin_step();
      const long may_be_behind = Model::Device::runs_behind && !is_awaited() ? 1 : 0;
      while (keeps_going && reports_.in_flight() > may_be_behind) keeps_going = finish_step(observer);
      if (keeps_going && is_due(options_.checkpoint_every)) saved = checkpoint(observer);
    }
    while (reports_.in_flight() > 0) finish_step(observer);
    if (saved != state_.step) checkpoint(observer);
  }

  /// The same for a function that hears of each step, on rank 0: run([](const StepRecord& step) { … }). It may return false to end the run.
  template <std::invocable<const StepRecord&> OnStep>
  void run(OnStep on_step) {
    StepListener<OnStep> listener(on_step);
    run(static_cast<TrainObserver&>(listener));
  }

  /// Mean loss over the targets of the validation samples, dealt to the ranks; infinite if it isn't a number. The same bits for any number of ranks.
  double validation_loss() {
    double loss = 0;
    with_result([&] { loss = loss_of_model(); });
    return loss;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Reports = StepReports<typename Model::Device, Stream>;
  static double milliseconds_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

  /// body() while the model computes with result().
  template <class Body>
  void with_result(Body&& body) {
    if (!ema_) return body();
    ema_->exchange();
    try {
      ddp_.gather_parameters();
      body();
    } catch (...) {
      ema_->exchange(), adamw_.state();  // alone: the other ranks may have failed
      throw;
    }
    ema_->exchange(), ddp_.gather_parameters();
    adamw_.state();  // waits: the run may end here, and the memory go
  }

  double loss_of_model() {
    std::ranges::fill(validation_losses_, 0.0);
    const auto ranks = static_cast<std::size_t>(communicator_->size()), at_a_time = static_cast<std::size_t>(options_.schedule.micro_batches());
    double targets = 0;
    for (std::size_t micro = static_cast<std::size_t>(communicator_->rank()); micro < validation_losses_.size();) {
      const std::size_t first = micro;
      std::size_t queued = 0;  // as many as the reports have room for, before the device is waited for
      for (; queued < at_a_time && micro < validation_losses_.size(); ++queued, micro += ranks) {
        const PackedBatch packed = text::pack(data_.validation, validation_batch(micro), storage_);
        ddp_.evaluate(packed, reports_.losses() + queued);
        targets += static_cast<double>(packed.targets.size());
      }
      const std::span<const double> losses = reports_.read_losses(static_cast<Index>(queued));
      for (std::size_t i = 0; i < queued; ++i) validation_losses_[first + i * ranks] = losses[i];
    }
    communicator_->all_reduce(std::span(&targets, 1));
    const double mean = sum_over_ranks(validation_losses_) / targets;
    return std::isnan(mean) ? std::numeric_limits<double>::infinity() : mean;
  }

  static text::StepSchedule schedule_of(const TrainOptions& options, const dist::Communicator& communicator) {
    require_valid<Model>(options);
    if (options.schedule.ranks != communicator.size())
      fail(Failure::usage, "the schedule deals samples to ", options.schedule.ranks, " ranks, but ", communicator.size(), " run; make them equal");
    auto schedule = options.schedule;
    schedule.twins = options.r_drop > 0;
    return schedule;
  }

  /// Of a lane: forward and backward of each micro-batch, and the optimizer; or the buckets.
  static std::size_t most_spans(const TrainOptions& options) {
    const auto steps = static_cast<std::size_t>(options.trace_steps), accumulate = static_cast<std::size_t>(options.schedule.accumulate);
    return steps * std::max(2 * accumulate + 1, static_cast<std::size_t>(dist::buckets_of<Stream>(Model::flat_size, options.bucket_bytes, static_cast<int>(options.schedule.ranks)).count()));
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

  text::BatchCapacity largest_batch() {
    auto largest = sampler_.capacity();
    largest.hold(text::capacity_of(data_.validation, data_.validation_numbers, static_cast<std::size_t>(options_.schedule.batch)));
    return largest;
  }

  std::span<const std::uint32_t> validation_batch(std::size_t micro) const {
    const auto batch = static_cast<std::size_t>(options_.schedule.batch);
    return data_.validation_numbers.subspan(micro * batch, std::min(batch, data_.validation_numbers.size() - micro * batch));
  }

  bool is_last_step() const { return begun_ == options_.schedule.steps; }
  bool is_due(long every) const { return every > 0 && begun_ % every == 0; }
  bool validates() const { return !data_.validation_numbers.empty() && (is_last_step() || is_due(options_.evaluate_every)); }
  /// Something is done after the newest step that needs its outcome.
  bool is_awaited() const { return is_last_step() || validates() || is_due(options_.checkpoint_every); }

  /// Takes the validation loss, and tells it.
  void judge(StepRecord& record, TrainObserver& observer) {
    with_result([&] {
      const double loss = loss_of_model();
      record.validation_loss = loss;
      const bool is_best = loss < state_.best_validation_loss;
      if (is_best) state_.best_validation_loss = loss, tensors_.gather(result());
      if (communicator_->is_first()) observer.on_validation(loss, is_best);
      tensors_.release(result());
    });
  }

  /// Whether rank 0's observer wants more, on every rank.
  bool tell(const StepRecord& record, TrainObserver& observer) {
    std::byte keep_going{1};
    if (communicator_->is_first()) keep_going = std::byte{observer.on_step(record)};
    communicator_->broadcast(std::span(&keep_going, 1), 0);
    return keep_going != std::byte{0};
  }

  long checkpoint(TrainObserver& observer) {
    on_first([&] { observer.on_checkpoint(state_); });
    return state_.step;
  }

  /// Each value is one rank's and 0 on the others, so the sum doesn't depend on who has it.
  double sum_over_ranks(std::vector<double>& values) {
    communicator_->all_reduce(std::span<double>(values));
    return std::accumulate(values.begin(), values.end(), 0.0);
  }

  /// A step that is queued on the device, as far as the host knows it.
  struct BegunStep {
    StepRecord record;
    Clock::time_point start;
  };
  BegunStep& begun(long step) { return begun_steps_[static_cast<std::size_t>(step % Reports::most_in_flight)]; }

  /// Queues the next step.
  void begin_step() {
    const long step = begun_++;
    const auto size = sampler_.size_of(sampler_.first_cursor(step), options_.schedule.samples_per_step());
    StepRecord& record = begun(step).record;
    begun(step).start = Clock::now();
    communicator_->note_step(step + 1);
    record = StepRecord{.step = step + 1, .lr = options_.rates.at(step), .samples = size.sequences, .tokens = size.tokens, .targets = size.target_rows,
                        .parts = {}, .validation_loss = {}};
    run_micro_batches(step, record.parts);
    auto start = Clock::now();
    ddp_.reduce();
    ddp_.collective().all_reduce(reports_.losses(), options_.schedule.micro_batches());
    record.parts.reduce = milliseconds_since(start);

    start = Clock::now();
    const ops::AdamW adamw{.lr = record.lr, .beta1 = options_.beta1, .beta2 = options_.beta2, .weight_decay = options_.weight_decay};
    ddp_.traced("optimizer", [&] {
      adamw_.step({.adamw = adamw, .clip = options_.clip, .layer_decay = options_.layer_decay});
      if (ema_) ema_->step();
    });
    reports_.send(adamw_.device_state());
    record.parts.optimizer = milliseconds_since(start);
  }

  /// Queues forward and backward of this rank's micro-batches.
  void run_micro_batches(long step, StepTimes& parts) {
    const ops::DropoutPlan dropout{options_.dropout, options_.schedule.seed};
    const long accumulate = options_.schedule.accumulate;
    reports_.clear();
    ddp_.clear();
    for (long micro = 0; micro < accumulate; ++micro) {
      auto start = Clock::now();
      PackedBatch batch = sampler_.fill(step, micro, communicator_->rank(), storage_);
      batch.loss_terms = {options_.label_smoothing, options_.r_drop};
      parts.data += milliseconds_since(start);
      start = Clock::now();
      ddp_.backward(batch, dropout, {.number = static_cast<std::int32_t>(micro), .is_last = micro + 1 == accumulate, .loss_scale = adamw_.loss_scale(),
                                     .loss = reports_.losses() + communicator_->rank() * accumulate + micro, .overflow = reports_.overflow()});
      parts.forward_backward += milliseconds_since(start);
    }
  }

  /// Takes the outcome of the oldest step that was begun, and tells it; false if the run ends with it.
  bool finish_step(TrainObserver& observer) {
    const auto outcome = reports_.receive();
    auto& [record, start] = begun(state_.step);
    record.loss = outcome.loss, record.grad_norm = outcome.update.norm, record.skipped = outcome.update.skipped();
    record.scale = static_cast<double>(state_.scale);
    if (record.skipped) report(outcome.overflow, observer);
    ++state_.step;
    state_.optimizer_steps = outcome.update.steps, state_.scale = outcome.update.scaler.scale, state_.clean_steps = outcome.update.scaler.clean_steps;
    give_up_if_lost(record);
    record.milliseconds = milliseconds_since(std::max(start, last_finished_));
    if (state_.step == begun_ && validates()) judge(record, observer);
    last_finished_ = Clock::now();
    return tell(record, observer);
  }

  /// Rank 0 hears of the lowest rank that overflowed.
  void report(const ops::Overflow& mine, TrainObserver& observer) {
    const auto all = communicator_->all_gather(mine.found() ? words(mine) : "");
    if (!communicator_->is_first()) return;
    const auto lowest = std::find_if(all.begin(), all.end(), [](const std::string& words) { return !words.empty(); });
    observer.on_overflow((lowest != all.end() ? *lowest : concat("overflow at step ", state_.step + 1, ": the sum of all ranks' gradients is not finite")) +
                         (Model::PrecisionPolicy::scales_loss ? "; step skipped, loss scale halved" : "; step skipped"));
  }
  std::string words(const ops::Overflow& mine) {
    const auto micro = communicator_->rank() * options_.schedule.accumulate + mine.micro_batch;
    const Index place = mine.document / sampler_.schedule().copies();
    if (place >= options_.schedule.batch) return concat("overflow at step ", state_.step + 1, ": in the rows that fill up a batch");
    const auto& sample = sampler_.at(sampler_.first_cursor(state_.step, micro) + static_cast<std::uint64_t>(place));
    const std::string_view parameter = mine.parameter < 0 ? "the loss" : Model::table[static_cast<std::size_t>(mine.parameter)].name.view();
    return OverflowPlace{state_.step + 1, mine.micro_batch, communicator_->rank(), std::string(parameter), sample.row}.words();
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
  std::optional<dist::Trace<typename Model::Device>> trace_;  // before ddp_, whose sums it hears of to the last
  dist::DistributedDataParallel<Model> ddp_;
  dist::ShardedAdamW<Model> adamw_;
  std::optional<optim::Ema<Model>> ema_;
  StateTensors<Model> tensors_;
  Reports reports_;
  std::array<BegunStep, Reports::most_in_flight> begun_steps_;
  long begun_ = 0;                         // steps queued
  Clock::time_point last_finished_{};
  std::vector<double> validation_losses_;  // of each micro-batch of the validation
  RunState state_;
};

/// `Trainer trainer(model, rank, data, options)`.
template <class M>
Trainer(M&, dist::Communicator&, const TrainData&, const TrainOptions&) -> Trainer<M>;

}  // namespace terse::train
