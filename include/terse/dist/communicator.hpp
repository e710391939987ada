#pragma once
/// What ranks say to each other. Calls are coarse (a whole gradient, a file of texts), so the interface is virtual.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace terse::dist {

/// One rank's end. Every rank makes the same calls in the same order. A call throws Failure::rank where another rank failed.
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

  /// values become their sum over ranks, the same bits on every rank. The order is a binary tree over neighbours, ((0 + 1) + (2 + 3)) + …;
  /// where ranks aren't a power of two, the left branch is the largest one that is full.
  virtual void all_reduce(std::span<float> values) = 0;
  /// The same in double.
  virtual void all_reduce(std::span<double> values) = 0;
  /// Everyone's bytes become those of `root`.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  /// Everyone's text, in rank order, on every rank.
  virtual std::vector<std::string> all_gather(const std::string& text) = 0;
  /// Returns when all ranks have called it.
  virtual void barrier() = 0;

  /// True on rank 0, which writes files and speaks.
  bool is_first() const { return rank() == 0; }
};

/// The only rank: every call is the identity.
class Solo final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void all_reduce(std::span<float>) override {}
  void all_reduce(std::span<double>) override {}
  void broadcast(std::span<std::byte>, int) override {}
  std::vector<std::string> all_gather(const std::string& text) override { return {text}; }
  void barrier() override {}
};

}  // namespace terse::dist
