#pragma once
/// Sums over ranks on a thread beside the one that computes.

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <terse/device/isa.hpp>
#include <terse/dist/communicator.hpp>
#include <terse/dist/trace.hpp>

namespace terse::dist::inline TERSE_ISA {

/// Sums values over ranks one after the other while its owner goes on, who mustn't use the communicator between `begin` and `wait`.
class BackgroundSums {
 public:
  using Values = std::variant<std::span<float>, std::span<double>, std::span<bfloat16>>;

  /// `communicator` must outlive it.
  explicit BackgroundSums(Communicator& communicator) : communicator_(&communicator) { waiting_.reserve(256), thread_ = std::jthread([this] { run(); }); }
  BackgroundSums(const BackgroundSums&) = delete;
  BackgroundSums& operator=(const BackgroundSums&) = delete;
  /// What was begun is done first: the other ranks wait for this one's part.
  ~BackgroundSums() {
    const std::lock_guard lock(mutex_);
    ends_ = true;
    changed_.notify_all();
  }

  /// values become their sum over ranks, or `scatters`: those of this rank's slice. They are in use until `wait`. `trace` may be nullptr.
  void begin(Values values, bool scatters, Trace<Cpu>* trace) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({values, scatters, trace});
    changed_.notify_all();
  }
  /// Until all is summed.
  /// Errors     what the communicator threw; nothing is summed after that
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_ == waiting_.size(); });
    waiting_.clear(), done_ = 0;
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

 private:
  struct Sum {
    Values values;
    bool scatters;
    Trace<Cpu>* trace;
  };

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ends_ || done_ < waiting_.size(); });
      if (done_ == waiting_.size()) return;
      const Sum next = waiting_[done_];
      const bool goes_on = !failure_;
      lock.unlock();
      std::exception_ptr failure;
      if (goes_on) failure = sum(next);
      lock.lock();
      if (failure) failure_ = failure;
      ++done_;
      changed_.notify_all();
    }
  }

  std::exception_ptr sum(const Sum& sum) {
    try {
      const double begin = steady_seconds();
      const auto run = [&](auto values) {
        sum.scatters ? communicator_->reduce_scatter(values) : communicator_->all_reduce(values);
        return values.size_bytes();
      };
      const std::size_t bytes = std::visit(run, sum.values);
      if (sum.trace != nullptr) sum.trace->add(sum.scatters ? "reduce-scatter" : "all-reduce", Lane::sums, begin, bytes);
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  }

  Communicator* communicator_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Sum> waiting_;  // those before done_ are summed
  std::size_t done_ = 0;
  bool ends_ = false;
  std::exception_ptr failure_;
  std::jthread thread_;  // the last member: it uses the others
};

}  // namespace terse::dist::inline TERSE_ISA
