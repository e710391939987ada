#pragma once
/// Ranks as threads of one process.

#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/device/isa.hpp>
#include <terse/dist/communicator.hpp>
#include <terse/dist/tree_sum.hpp>

namespace terse::dist::inline TERSE_ISA {

/// What the threads of one job share: a place for each rank's pointer, and a barrier that ends when a rank fails.
class ThreadGroup {
 public:
  explicit ThreadGroup(int size) : size_(size), buffers_(static_cast<std::size_t>(size)) {}

  /// How many ranks there are.
  int size() const { return size_; }
  /// What `rank` shows the others between two waits.
  void*& buffer(int rank) { return buffers_[static_cast<std::size_t>(rank)]; }

  /// Returns when all ranks wait.
  /// Errors     Failure::rank: one gave up, so that they never will
  void wait() {
    std::unique_lock lock(mutex_);
    const unsigned long phase = phase_;
    if (failed_rank_ < 0 && ++waiting_ == size_) {
      waiting_ = 0, ++phase_;
      all_here_.notify_all();
      return;
    }
    all_here_.wait(lock, [&] { return phase_ != phase || failed_rank_ >= 0; });
    // Where all had come, the call is done: a rank that failed since then is the next call's affair.
    if (phase_ == phase) fail(Failure::rank, "rank ", failed_rank_, " failed");
  }

  /// Errors     Failure::rank: one gave up
  void require_all() {
    const std::lock_guard lock(mutex_);
    if (failed_rank_ >= 0) fail(Failure::rank, "rank ", failed_rank_, " failed");
  }

  /// Lets everyone who waits, now or later, throw Failure::rank.
  void give_up(int rank) {
    const std::lock_guard lock(mutex_);
    if (failed_rank_ < 0) failed_rank_ = rank;
    all_here_.notify_all();
  }

 private:
  int size_, waiting_ = 0, failed_rank_ = -1;
  unsigned long phase_ = 0;
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::vector<void*> buffers_;
};

/// One thread's end of a ThreadGroup.
class Threads final : public Communicator {
 public:
  Threads(ThreadGroup& group, int rank) : group_(&group), rank_(rank), parts_(static_cast<std::size_t>(group.size())) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }
  void reduce_scatter(std::span<float> values) override { reduce(values); }
  void reduce_scatter(std::span<double> values) override { reduce(values); }
  void reduce_scatter(std::span<bfloat16> values) override { reduce(values); }
  void gather_slices(std::span<std::byte> values, std::size_t value_bytes) override {
    group_->buffer(rank_) = values.data();
    group_->wait();
    for (int r = 0; r < size(); ++r) {
      const auto [first, end] = slice(values.size() / value_bytes, r);
      if (r != rank_ && end > first) std::memcpy(values.data() + first * value_bytes, theirs<std::byte>(r) + first * value_bytes, (end - first) * value_bytes);
    }
    group_->wait();
  }
  void broadcast(std::span<std::byte> bytes, int root) override {
    group_->buffer(rank_) = bytes.data();
    group_->wait();
    if (rank_ != root) std::memcpy(bytes.data(), group_->buffer(root), bytes.size());
    group_->wait();
  }
  std::vector<std::string> all_gather(const std::string& text) override {
    group_->buffer(rank_) = const_cast<std::string*>(&text);
    group_->wait();
    std::vector<std::string> all;
    for (int r = 0; r < size(); ++r) all.push_back(*static_cast<const std::string*>(group_->buffer(r)));
    group_->wait();
    return all;
  }
  void barrier() override { group_->wait(); }
  void require_others(std::chrono::milliseconds) override { group_->require_all(); }
  bool are_threads() const override { return true; }

 private:
  template <class T>
  void reduce(std::span<T> values) {
    group_->buffer(rank_) = values.data();
    group_->wait();
    const auto [first, end] = slice(values.size(), rank_);
    for (int r = 0; r < size(); ++r) parts_[static_cast<std::size_t>(r)] = theirs<T>(r) + first;
    tree_sum(parts_.data(), size(), end - first, values.data() + first);
    group_->wait();
  }

  template <class T>
  const T* theirs(int rank) const {
    return static_cast<const T*>(group_->buffer(rank));
  }

  ThreadGroup* group_;
  int rank_;
  std::vector<const void*> parts_;  // of each rank: what is added up
};

/// Runs body(Communicator&) on `ranks` threads (one rank: here) and waits for all. The first failure that isn't the echo of
/// another rank's is thrown.
/// Errors     Failure::usage: fewer than one rank
template <class Body>
void launch(int ranks, Body&& body) {
  if (ranks < 1) fail(Failure::usage, "ranks must be at least 1: ", ranks, " given");
  if (ranks == 1) {
    Solo solo;
    body(static_cast<Communicator&>(solo));
    return;
  }
  ThreadGroup group(ranks);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks));
  const auto run = [&](int rank) {
    try {
      Threads communicator(group, rank);
      body(static_cast<Communicator&>(communicator));
    } catch (...) {
      failures[static_cast<std::size_t>(rank)] = std::current_exception();
      group.give_up(rank);
    }
  };
  {
    std::vector<std::jthread> threads;
    try {
      for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(run, rank);
    } catch (...) {  // the system has no more threads: those that run mustn't wait for those that never will
      group.give_up(static_cast<int>(threads.size()));
      throw;
    }
  }
  const auto is_echo = [](const std::exception_ptr& failure) {
    try {
      std::rethrow_exception(failure);
    } catch (const Error& error) {
      return error.failure() == Failure::rank;
    } catch (...) {
      return false;
    }
  };
  for (const bool echoes : {false, true})
    for (const auto& failure : failures)
      if (failure && is_echo(failure) == echoes) std::rethrow_exception(failure);
}

}  // namespace terse::dist::inline TERSE_ISA
