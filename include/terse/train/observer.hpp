#pragma once
/// What is heard of a run: its steps, its overflows, its validations.

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include <terse/core/error.hpp>
#include <terse/train/run_state.hpp>

namespace terse::train {

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
struct OverflowPlace {
  long step = 0, micro_batch = 0;
  int rank = 0;
  std::string tensor;       ///< the parameter nearest the loss
  std::int64_t sample = 0;  ///< row of the data set

  /// One line: tensor, layer, micro-batch and sample.
  std::string words() const {
    return concat("overflow at step ", step, ": gradient of ", tensor, layer(), " is not finite, first in micro-batch ", micro_batch, " of rank ", rank, ", in sample ", sample,
                  " of the data");
  }

 private:
  /// " of layer 3" where the tensor's name has a number, as in "h.3.ln_1.weight".
  std::string layer() const {
    for (std::size_t dot = tensor.find('.'), end; dot != tensor.npos; dot = end)
      if (end = tensor.find('.', dot + 1); end != tensor.npos && end > dot + 1 && tensor.find_first_not_of("0123456789", dot + 1) == end)
        return concat(" of layer ", tensor.substr(dot + 1, end - dot - 1));
    return {};
  }
};

/// Hears of a run, on rank 0. A device that runs behind has begun the next step by then, unless something is due (a validation, a checkpoint, the end): the
/// trainer's parameters may be that step's, and a run that on_step ends has finished it too.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  /// After each step. False ends the run.
  virtual bool on_step(const StepRecord&) { return true; }
  /// One line: where, and what was done about it.
  virtual void on_overflow(const std::string& /*message*/) {}
  /// After a validation, while the model computes with what was judged; `is_best`: lower than any before, so that Trainer::read has Trainer::result().
  virtual void on_validation(double /*loss*/, bool /*is_best*/) {}
  /// Every checkpoint_every steps, and when the run ends: what should outlive the process is saved here. After on_step.
  virtual void on_checkpoint(const RunState&) {}
};

/// A function that hears of each step, and may return false to end the run.
template <std::invocable<const StepRecord&> OnStep>
class StepListener final : public TrainObserver {
 public:
  /// `hear` must outlive it.
  explicit StepListener(OnStep& hear) : hear_(&hear) {}
  bool on_step(const StepRecord& step) override {
    if constexpr (std::is_void_v<std::invoke_result_t<OnStep&, const StepRecord&>>) return (*hear_)(step), true;
    else return (*hear_)(step);
  }

 private:
  OnStep* hear_;
};

}  // namespace terse::train
