#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include <terse/device/isa.hpp>
#include <terse/dist/communicator.hpp>
#include <terse/dist/threads.hpp>

namespace terse::dist::inline TERSE_ISA {

/// The ranks of a program: threads that it starts itself, or processes that somebody else started, of which this one is one.
class World {
 public:
  /// So many threads.
  explicit World(int ranks = 1) : ranks_(ranks) {}
  /// The rank that this process is, and its number among those of this machine.
  World(std::unique_ptr<Communicator> own, int local_rank) : own_(std::move(own)), ranks_(own_->size()), local_rank_(local_rank) {}

  /// How many ranks there are.
  int size() const { return ranks_; }
  /// Ranks are processes.
  bool has_processes() const { return own_ != nullptr; }
  /// Rank 0 runs here: this process writes files and speaks.
  bool is_first() const { return own_ == nullptr || own_->is_first(); }
  /// Where ranks are processes: this one's end.
  Communicator* own() const { return own_.get(); }
  /// The GPU of a rank that runs here.
  int gpu_of(const Communicator& rank) const { return own_ == nullptr ? rank.rank() : local_rank_; }

  /// body(Communicator&) on each rank that runs here: on the calling thread where ranks are processes.
  template <class Body>
  void run(Body&& body) const {
    run(ranks_, body);
  }
  /// The same with fewer threads; processes are as many as there are.
  template <class Body>
  void run(int threads, Body&& body) const {
    if (own_ != nullptr) body(*own_);
    else launch(threads, body);
  }

  /// True where it is in any of the processes.
  bool any(bool mine) const {
    double count = mine ? 1 : 0;
    if (own_ != nullptr) own_->all_reduce(std::span(&count, 1));
    return count > 0;
  }
  /// Rank 0's bytes, in every process.
  void broadcast(std::span<std::byte> bytes) const {
    if (own_ != nullptr) own_->broadcast(bytes, 0);
  }

 private:
  std::unique_ptr<Communicator> own_;
  int ranks_, local_rank_ = 0;
};

}  // namespace terse::dist::inline TERSE_ISA
