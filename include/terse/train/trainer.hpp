#pragma once
/// The training loop: what one rank does from the first step to the last.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include <terse/dist/communicator.hpp>
#include <terse/dist/ddp.hpp>
#include <terse/nn/model.hpp>
#include <terse/optim/adamw.hpp>
#include <terse/optim/clip.hpp>
#include <terse/optim/loss_scaler.hpp>
#include <terse/optim/schedule.hpp>
#include <terse/text/packing.hpp>
#include <terse/train/plan.hpp>

namespace terse::train {

struct TrainOptions {
  text::StepSchedule schedule;
  optim::CosineSchedule rates;  ///< decay ends at the last step
  double beta1 = 0.9, beta2 = 0.95, weight_decay = 0.1;
  double clip = 1.0;            ///< largest global gradient norm; 0: none
  float dropout = 0.1f;
  long evaluate_every = 100;    ///< steps between validations; 0: only after the last
};

/// Which samples a run learns from and which it is judged by.
struct TrainData {
  std::span<const text::Sample> training;
  std::span<const std::uint32_t> training_numbers;
  std::span<const text::Sample> validation;
  std::span<const std::uint32_t> validation_numbers;  ///< of `validation`; may be empty
};

/// One line of metrics.jsonl.
struct StepRecord {
  long step = 0;  ///< from 1: how many are done
  double loss = 0, grad_norm = 0, lr = 0, scale = 1;
  bool skipped = false;  ///< gradients overflowed, parameters stayed as they were
  std::int64_t samples = 0, tokens = 0, targets = 0;  ///< of all ranks
  double milliseconds = 0;
  std::optional<double> validation_loss;

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
  virtual bool on_step(const StepRecord&) { return true; }
  /// One line: where, and what was done about it.
  virtual void on_overflow(const std::string& /*message*/) {}
  /// After a validation; `is_best`: lower than any before. The parameters are the trainer's master copy.
  virtual void on_validation(double /*loss*/, bool /*is_best*/) {}
};

template <class M>
class Trainer {
  static_assert(mistaken<M>, "terse: Trainer: this is no model that can be trained (nn/model.hpp); give the whole model, not a layer");

 public:
  Trainer(M&, dist::Communicator&, const TrainData&, const TrainOptions&) {}
};

/// Trains one rank's copy of a model. Everything is allocated at construction; the loop allocates nothing.
template <nn::TrainableModel Model>
class Trainer<Model> {
 public:
  using Stream = typename Model::Stream;

  /// Errors     Failure::usage: the schedule is for another number of ranks, or a size in it is below 1; Failure::bad_input: no sample to
  ///            train on; Failure::device: out of memory
  Trainer(Model& model, dist::Communicator& communicator, const TrainData& data, const TrainOptions& options)
      : data_(data),
        options_(options),
        communicator_(&communicator),
        sampler_(data.training, data.training_numbers, checked(options.schedule, communicator)),
        capacity_(capacity()),
        storage_(capacity_),
        scaler_(Model::PrecisionPolicy::scales_loss),
        ddp_(reserve(model, capacity_.tokens), communicator, {capacity_.tokens, capacity_.sequences}),
        adamw_(model) {}

  /// Tokens of the largest micro-batch: what the memory plan is made for.
  Index token_capacity() const { return capacity_.tokens; }
  /// Parameters in full precision, flat, whatever the model computes with.
  Stream* parameters() const { return adamw_.master(); }
  /// After the caller wrote parameters() on rank 0: every rank takes them.
  void share_parameters() {
    communicator_->broadcast(std::as_writable_bytes(std::span(adamw_.master(), static_cast<std::size_t>(Model::flat_size))), 0);
    adamw_.give_parameters();
  }

  void run(TrainObserver& observer) {
    double best = std::numeric_limits<double>::infinity();
    for (long step = 0; step < options_.schedule.steps; ++step) {
      const auto start = std::chrono::steady_clock::now();
      StepRecord record = train_step(step, observer);
      record.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
      const bool last = step + 1 == options_.schedule.steps;
      if (!data_.validation_numbers.empty() && (last || (options_.evaluate_every > 0 && (step + 1) % options_.evaluate_every == 0)))
        record.validation_loss = validation_loss();
      double keep_going = 1;
      if (communicator_->is_first()) {
        if (record.validation_loss) {
          const bool is_best = *record.validation_loss < best;
          if (is_best) best = *record.validation_loss;
          observer.on_validation(*record.validation_loss, is_best);
        }
        keep_going = observer.on_step(record) ? 1 : 0;
      }
      communicator_->broadcast(std::as_writable_bytes(std::span(&keep_going, 1)), 0);
      if (keep_going == 0) return;
    }
  }

  /// Mean loss over the targets of the validation samples, dealt to the ranks; infinite if it isn't a number.
  double validation_loss() {
    double sums[2] = {0, 0};
    const auto batch = static_cast<std::size_t>(options_.schedule.batch), ranks = static_cast<std::size_t>(communicator_->size());
    for (std::size_t first = batch * static_cast<std::size_t>(communicator_->rank()); first < data_.validation_numbers.size(); first += batch * ranks) {
      const auto numbers = data_.validation_numbers.subspan(first, std::min(batch, data_.validation_numbers.size() - first));
      const PackedBatch packed = text::pack(data_.validation, numbers, storage_);
      sums[0] += ddp_.evaluate(packed);
      sums[1] += static_cast<double>(packed.targets.size());
    }
    communicator_->all_reduce(std::span<double>(sums));
    const double mean = sums[0] / sums[1];
    return std::isnan(mean) ? std::numeric_limits<double>::infinity() : mean;
  }

 private:
  static const text::StepSchedule& checked(const text::StepSchedule& schedule, const dist::Communicator& communicator) {
    if (schedule.ranks != communicator.size())
      fail(Failure::usage, "the schedule deals samples to ", schedule.ranks, " ranks, but ", communicator.size(), " run; make them equal");
    return schedule;
  }

  static Model& reserve(Model& model, Index tokens) {
    if (!std::is_same_v<typename Model::Parameter, bfloat16> || !Blas::multiplies_bfloat16())
      model.device().reserve_workspace(conversion_bytes<Model>(tokens));
    model.device().reserve_thread_scratch(thread_bytes<Model>());
    return model;
  }

  text::BatchCapacity capacity() {
    auto largest = sampler_.capacity();
    largest.hold(text::capacity_of(data_.validation, data_.validation_numbers, static_cast<std::size_t>(options_.schedule.batch)));
    return largest;
  }

  StepRecord train_step(long step, TrainObserver& observer) {
    const auto size = sampler_.size_of(sampler_.first_cursor(step), options_.schedule.samples_per_step());
    StepRecord record{.step = step + 1, .lr = options_.rates.at(step), .scale = static_cast<double>(scaler_.scale()), .samples = size.sequences, .tokens = size.tokens, .targets = size.target_rows, .validation_loss = {}};
    const ops::DropoutPlan dropout{options_.dropout, options_.schedule.seed};
    std::optional<Overflow> overflow;
    ddp_.clear();
    for (long micro = 0; micro < options_.schedule.accumulate; ++micro) {
      const PackedBatch batch = sampler_.fill(step, micro, communicator_->rank(), storage_);
      record.loss += ddp_.backward(batch, dropout, scaler_.scale());
      if (!overflow) overflow = find_overflow(batch, step, micro);
    }
    ddp_.reduce();
    communicator_->all_reduce(std::span(&record.loss, 1));
    record.grad_norm = ddp_.gradient_norm() / static_cast<double>(scaler_.scale());
    record.skipped = !std::isfinite(record.grad_norm);
    if (record.skipped) report(overflow, step, observer);
    else adamw_.step(ddp_.gradient(), optim::clip_factor(record.grad_norm, options_.clip) / static_cast<double>(scaler_.scale()),
                     {.lr = record.lr, .beta1 = options_.beta1, .beta2 = options_.beta2, .weight_decay = options_.weight_decay});
    scaler_.update(record.skipped);
    give_up_if_lost(record);
    return record;
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
    skipped_in_a_row_ = record.skipped ? skipped_in_a_row_ + 1 : 0;
    if (skipped_in_a_row_ == most_skipped)
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
  int skipped_in_a_row_ = 0;
};

template <class M>
Trainer(M&, dist::Communicator&, const TrainData&, const TrainOptions&) -> Trainer<M>;

}  // namespace terse::train
