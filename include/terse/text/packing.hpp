#pragma once
/// Which samples make up a step, and how they lie in its micro-batches: documents back to back, no padding.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/core/philox.hpp>
#include <terse/text/sample.hpp>

namespace terse::text {

/// The largest micro-batch that memory is planned for.
struct BatchCapacity {
  std::int64_t tokens = 0, target_rows = 0, sequences = 0;

  /// Becomes large enough for `other` too.
  void hold(const BatchCapacity& other) {
    tokens = std::max(tokens, other.tokens);
    target_rows = std::max(target_rows, other.target_rows);
    sequences = std::max(sequences, other.sequences);
  }
};

/// Owns what a PackedBatch shows. Allocates when made, and afterwards only for a batch above its capacity.
class BatchStorage {
 public:
  /// Takes memory for batches of up to `capacity`.
  explicit BatchStorage(const BatchCapacity& capacity) {
    const auto tokens = static_cast<std::size_t>(capacity.tokens), sequences = static_cast<std::size_t>(capacity.sequences);
    const auto target_rows = static_cast<std::size_t>(capacity.target_rows);
    ids_.reserve(tokens), positions_.reserve(tokens);
    target_rows_.reserve(target_rows), targets_.reserve(target_rows), weights_.reserve(target_rows);
    cu_seqlens_.reserve(sequences + 1), samples_.reserve(sequences), draws_.reserve(sequences);
    clear();
  }

  /// An empty batch; memory stays.
  void clear() {
    ids_.clear(), positions_.clear(), target_rows_.clear(), targets_.clear(), weights_.clear();
    samples_.clear(), draws_.clear();
    cu_seqlens_.assign(1, 0);
  }

  /// Adds a sample as the batch's next document; its rows with a loss weigh `weight` each.
  void add(const Sample& sample, std::uint32_t draw, float weight) {
    const std::size_t first_row = add_document(sample, draw);
    for (std::size_t t = sample.first_target(); t < sample.tokens(); ++t) add_target(first_row + t, sample.ids[t + 1], weight);
  }

  /// Adds a sample as two documents, which dropout treats differently: the twins of R-Drop (ops/r_drop/op.hpp), each of whose rows has half the weight. `draw` is below 2^31.
  void add_twins(const Sample& sample, std::uint32_t draw, float weight) {
    const std::size_t rows[] = {add_document(sample, draw), add_document(sample, draw | second_twin)};
    for (std::size_t t = sample.first_target(); t < sample.tokens(); ++t)
      for (const std::size_t first_row : rows) add_target(first_row + t, sample.ids[t + 1], weight / 2);
  }

  /// Valid until the next `clear` or `add`.
  PackedBatch batch() const { return {ids_, positions_, cu_seqlens_, target_rows_, targets_, weights_, samples_, draws_}; }

 private:
  static constexpr std::uint32_t second_twin = std::uint32_t{1} << 31;

  /// Returns its first row.
  std::size_t add_document(const Sample& sample, std::uint32_t draw) {
    const std::size_t first_row = ids_.size(), tokens = sample.tokens();
    ids_.insert(ids_.end(), sample.ids.begin(), sample.ids.begin() + static_cast<std::ptrdiff_t>(tokens));
    for (std::size_t t = 0; t < tokens; ++t) positions_.push_back(static_cast<std::int32_t>(t));
    cu_seqlens_.push_back(static_cast<std::int32_t>(ids_.size()));
    samples_.push_back(sample.row);
    draws_.push_back(draw);
    return first_row;
  }
  void add_target(std::size_t row, TokenId target, float weight) {
    target_rows_.push_back(static_cast<std::int32_t>(row));
    targets_.push_back(target);
    weights_.push_back(weight);
  }

  std::vector<TokenId> ids_, targets_;
  std::vector<std::int32_t> positions_, cu_seqlens_, target_rows_;
  std::vector<float> weights_;
  std::vector<std::int64_t> samples_;
  std::vector<std::uint32_t> draws_;
};

/// Packs the samples numbered `numbers`, in that order, for validation and scoring: each target weighs 1, so the loss is
/// a sum. A sample's draw is its place in `numbers`, from `first_draw`.
inline PackedBatch pack(std::span<const Sample> samples, std::span<const std::uint32_t> numbers, BatchStorage& storage,
                        std::uint32_t first_draw = 0) {
  storage.clear();
  for (const std::uint32_t number : numbers) storage.add(samples[number], first_draw++, 1.0f);
  return storage.batch();
}

/// What `pack` needs for `numbers` taken `batch` at a time.
inline BatchCapacity capacity_of(std::span<const Sample> samples, std::span<const std::uint32_t> numbers, std::size_t batch) {
  BatchCapacity largest;
  for (std::size_t begin = 0; begin < numbers.size(); begin += batch) {
    BatchCapacity needed;
    for (const std::uint32_t number : numbers.subspan(begin, std::min(batch, numbers.size() - begin))) {
      needed.tokens += static_cast<std::int64_t>(samples[number].tokens());
      needed.target_rows += static_cast<std::int64_t>(samples[number].targets());
      ++needed.sequences;
    }
    largest.hold(needed);
  }
  return largest;
}

/// What the loss of a step is the mean over.
enum class Normalisation {
  micro_batch,  ///< targets inside each micro-batch, then micro-batches and ranks
  token,        ///< all targets of the step
};

/// The arithmetic of a run.
struct StepSchedule {
  std::int64_t batch = 16;      ///< samples per rank and micro-batch
  std::int64_t accumulate = 8;  ///< micro-batches per rank and step
  std::int64_t ranks = 2;
  std::int64_t steps = 500;
  std::uint64_t seed = 42;
  bool shuffle = true;          ///< each epoch in a new order; else always in the given one
  Normalisation normalisation = Normalisation::micro_batch;
  bool twins = false;           ///< each sample stands twice in its micro-batch, for R-Drop (BatchStorage::add_twins)

  std::int64_t micro_batches() const { return accumulate * ranks; }          ///< of a step, over all ranks
  std::int64_t samples_per_step() const { return batch * micro_batches(); }  ///< the effective batch size
  std::int64_t copies() const { return twins ? 2 : 1; }                      ///< of a sample in its micro-batch
  double most_samples() const { return twins ? 2147483648.0 : 4294967296.0; } ///< of all steps: dropout counts them in 32 bits
};

/// Deals the training samples to steps, ranks and micro-batches.
///
/// A run takes one long row of samples: epoch after epoch, each in an order of its own (keyed by seed and epoch); steps run
/// across epoch ends. Sample k of step s stands at cursor s * samples_per_step + k. Micro-batch j of a step, counted over all
/// ranks, has samples [j * batch, (j+1) * batch); rank r has micro-batches [r * accumulate, (r+1) * accumulate). So which
/// samples share a micro-batch doesn't depend on how ranks and accumulation divide the step.
class Sampler {
 public:
  /// `numbers`: those of `samples` to train on; both must outlive the sampler.
  /// Errors     Failure::bad_input: there is no sample; Failure::usage: a size of the schedule is below 1, or all steps have more samples than dropout can count
  Sampler(std::span<const Sample> samples, std::span<const std::uint32_t> numbers, const StepSchedule& schedule)
      : samples_(samples), numbers_(numbers), schedule_(schedule) {
    require(schedule.batch, "batch");
    require(schedule.accumulate, "accumulate");
    require(schedule.ranks, "ranks");
    if (numbers.empty()) fail(Failure::bad_input, "no sample is left to train on");
    if (static_cast<double>(schedule.steps) * static_cast<double>(schedule.samples_per_step()) > schedule.most_samples())
      fail(Failure::usage, "steps x batch x accumulate x ranks are more than ", static_cast<std::uint64_t>(schedule.most_samples()), " samples; ask for fewer");
    for (auto& epoch : epochs_) epoch.order.reserve(numbers.size());
  }

  /// What it deals by.
  const StepSchedule& schedule() const { return schedule_; }

  /// The training sample at `cursor` of the run.
  const Sample& at(std::uint64_t cursor) {
    const std::uint64_t number = cursor / numbers_.size(), place = cursor % numbers_.size();
    return samples_[numbers_[schedule_.shuffle ? order_of(number)[place] : place]];
  }

  /// The largest micro-batch of the whole run, whichever rank has it; known before the first step.
  BatchCapacity capacity() {
    BatchCapacity largest;
    for (std::int64_t step = 0; step < schedule_.steps; ++step)
      for (std::int64_t micro_batch = 0; micro_batch < schedule_.micro_batches(); ++micro_batch)
        largest.hold(micro_batch_size(first_cursor(step, micro_batch)));
    return largest;
  }

  /// What the micro-batch of the samples from `first` on takes, twins and all.
  BatchCapacity micro_batch_size(std::uint64_t first) {
    const auto [tokens, target_rows, sequences] = size_of(first, schedule_.batch);
    return {schedule_.copies() * tokens, schedule_.copies() * target_rows, schedule_.copies() * sequences};
  }

  /// The micro-batch number `micro` (0 ... accumulate-1) that `rank` has in `step`, in `storage`.
  PackedBatch fill(std::int64_t step, std::int64_t micro, std::int64_t rank, BatchStorage& storage) {
    const std::uint64_t first = first_cursor(step, rank * schedule_.accumulate + micro);
    const float weight = weight_of_targets(step, first);
    storage.clear();
    for (std::uint64_t cursor = first; cursor < first + static_cast<std::uint64_t>(schedule_.batch); ++cursor) {
      const auto draw = static_cast<std::uint32_t>(cursor);
      if (schedule_.twins) storage.add_twins(at(cursor), draw, weight);
      else storage.add(at(cursor), draw, weight);
    }
    return storage.batch();
  }

  /// Size of a run of samples, each counted once; of a whole step too, for its numbers of tokens and targets.
  BatchCapacity size_of(std::uint64_t first, std::int64_t count) {
    BatchCapacity size{0, 0, count};
    for (std::uint64_t cursor = first; cursor < first + static_cast<std::uint64_t>(count); ++cursor) {
      size.tokens += static_cast<std::int64_t>(at(cursor).tokens());
      size.target_rows += static_cast<std::int64_t>(at(cursor).targets());
    }
    return size;
  }

  /// Cursor of a micro-batch's first sample; of the step's first without `micro_batch`.
  std::uint64_t first_cursor(std::int64_t step, std::int64_t micro_batch = 0) const {
    return static_cast<std::uint64_t>(step * schedule_.samples_per_step() + micro_batch * schedule_.batch);
  }

 private:
  struct Epoch {
    std::uint64_t number = ~std::uint64_t{0};
    std::vector<std::uint32_t> order;
  };

  static void require(std::int64_t size, std::string_view name) {
    if (size < 1) fail(Failure::usage, name, " must be at least 1: ", size, " given");
  }

  /// Two epochs are kept, since a step may run across the end of one.
  std::span<const std::uint32_t> order_of(std::uint64_t number) {
    Epoch& epoch = epochs_[number % epochs_.size()];
    if (epoch.number != number) {
      permute(epoch.order, numbers_.size(), RandomStream(schedule_.seed, RandomUse::shuffle, number));
      epoch.number = number;
    }
    return epoch.order;
  }

  float weight_of_targets(std::int64_t step, std::uint64_t first) {
    const bool by_token = schedule_.normalisation == Normalisation::token;
    const auto over = by_token ? size_of(first_cursor(step), schedule_.samples_per_step()) : size_of(first, schedule_.batch);
    const double means = by_token ? 1.0 : static_cast<double>(schedule_.micro_batches());
    return static_cast<float>(1.0 / (static_cast<double>(std::max<std::int64_t>(over.target_rows, 1)) * means));
  }

  std::span<const Sample> samples_;
  std::span<const std::uint32_t> numbers_;
  StepSchedule schedule_;
  std::array<Epoch, 2> epochs_;
};

}  // namespace terse::text
