#pragma once
/// What ranks say to each other. Calls are coarse (a whole gradient, a file of texts), so the interface is virtual.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <terse/core/dtype.hpp>
#include <terse/core/error.hpp>
#include <terse/core/slice.hpp>

namespace terse::dist {

/// One rank's end. Every rank makes the same calls in the same order, from one thread at a time. A call throws Failure::rank where another rank failed.
/// A communicator of one's own derives from it: examples/07_own_communicator.cpp.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  /// This rank's number, from 0.
  virtual int rank() const = 0;
  /// How many ranks there are.
  virtual int size() const = 0;

  /// The values of this rank's slice become their sum over ranks; what the others become is left open. The order is a binary tree over neighbours,
  /// ((0 + 1) + (2 + 3)) + … (dist/tree_sum.hpp), so the bits depend on the number of ranks alone.
  virtual void reduce_scatter(std::span<float> values) = 0;
  /// The same in double.
  virtual void reduce_scatter(std::span<double> values) = 0;
  /// The same in half the bytes: bfloat16 is what ranks send each other, sums are in float and are rounded once. A communicator that doesn't do so itself sends floats.
  virtual void reduce_scatter(std::span<bfloat16> values) {
    std::vector<float> wide(values.begin(), values.end());
    reduce_scatter(std::span(wide));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = bfloat16(wide[i]);
  }
  /// Everyone takes each rank's slice from it; a value is of `value_bytes` bytes.
  virtual void gather_slices(std::span<std::byte> values, std::size_t value_bytes) = 0;
  /// Everyone's bytes become those of `root`.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  /// Everyone's text, in rank order, on every rank.
  virtual std::vector<std::string> all_gather(const std::string& text) {
    std::vector<std::string> all;
    for (int r = 0; r < size(); ++r) {
      std::uint64_t length = text.size();
      broadcast(std::as_writable_bytes(std::span(&length, 1)), r);
      all.push_back(r == rank() ? text : std::string(length, '\0'));
      broadcast(std::as_writable_bytes(std::span(all.back())), r);
    }
    return all;
  }
  /// Returns when all ranks have called it.
  virtual void barrier() = 0;
  /// Asked now and then while this rank waits for something else than a call, e.g. for its GPU, `waited` so far.
  /// Errors     Failure::rank: another rank failed, so that it may wait for ever
  virtual void require_others(std::chrono::milliseconds /*waited*/) {}
  /// Ranks are threads of one process.
  virtual bool are_threads() const { return false; }
  /// Tells the others how far this rank is, for their message if it fails.
  virtual void note_step(long /*step*/) {}

  /// This rank fails, has said why, and comes no more: the others needn't wait for it. May not return.
  virtual void give_up(Failure) {}
  /// After Failure::rank: true where this rank is to say so; others stay silent.
  virtual bool is_lowest_survivor() const { return true; }
  /// After a failure of this rank's own: true if a lower one fails at the same time, probably for the same reason, and says so. May wait a moment.
  virtual bool a_lower_rank_fails_too() const { return false; }

  /// values become their sum over ranks, the same bits on every rank.
  void all_reduce(std::span<float> values) { reduce_scatter(values), gather_slices(std::as_writable_bytes(values), sizeof(float)); }
  /// The same in double.
  void all_reduce(std::span<double> values) { reduce_scatter(values), gather_slices(std::as_writable_bytes(values), sizeof(double)); }
  /// The same in bfloat16.
  void all_reduce(std::span<bfloat16> values) { reduce_scatter(values), gather_slices(std::as_writable_bytes(values), sizeof(bfloat16)); }
  /// Rank `r`'s slice of `count` values.
  Slice slice(std::size_t count, int r) const { return slice_of(count, r, size()); }

  /// True on rank 0, which writes files and speaks.
  bool is_first() const { return rank() == 0; }
};

/// The only rank: every call is the identity.
class Solo final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void reduce_scatter(std::span<float>) override {}
  void reduce_scatter(std::span<double>) override {}
  void reduce_scatter(std::span<bfloat16>) override {}
  void gather_slices(std::span<std::byte>, std::size_t) override {}
  void broadcast(std::span<std::byte>, int) override {}
  void barrier() override {}
};

}  // namespace terse::dist
