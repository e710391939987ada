#pragma once
// NCCL's ranks as processes of this machine: a board in shared memory where they meet and say how far they are, and a file of each rank's values.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "collective.hpp"

namespace hostcuda {

/// Memory that processes share by its name; the last of them may remove the name at any time.
class SharedMemory {
 public:
  SharedMemory() = default;
  /// The first `bytes` of it, made if it isn't there; zeros at first.
  SharedMemory(const std::string& name, std::size_t bytes);
  SharedMemory(SharedMemory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  SharedMemory& operator=(SharedMemory&& other) noexcept { return std::swap(data_, other.data_), std::swap(bytes_, other.bytes_), *this; }
  ~SharedMemory();

  unsigned char* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  unsigned char* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// A communicator's ranks, wherever they run. A rank counts what it has done: collectives that its stream has come to, whose values it has shown, whose values it has read.
class Processes {
 public:
  static constexpr int most_ranks = 16;
  static constexpr std::size_t most_bytes = std::size_t{1} << 30;   ///< of a rank's values; only those that are written take memory

  /// Sits down at the board of that name. Empty, or what is wrong.
  std::string join(const std::string& name, int rank, int ranks, int device);
  int joined() const;
  /// All ranks that have joined are threads of this process: nothing of this is needed.
  bool are_threads() const;

  /// The rank's stream has come to its collective of that number, which is this one.
  void reach(std::uint64_t number, const CollectivePart& part);
  bool all_reached(std::uint64_t number) const;
  /// Where all have reached it: empty, or who calls something else.
  std::string mismatch(std::uint64_t number) const;
  /// Runs it: everyone's values are read, the results written to `part.to`. Ends without them where a rank is gone or has aborted.
  void run(std::uint64_t number, const CollectivePart& part, std::uint64_t seed);

  void abort();
  bool aborted() const;

 private:
  struct Said {   // of a collective; what must be the same on all ranks
    CollectiveKind kind;
    ncclDataType_t type;
    ncclRedOp_t operation;
    int root;
    std::size_t count;
  };
  struct Seat {
    std::atomic<int> process, device;
    std::atomic<std::uint64_t> reached, shown, read;
    Said said;   // of the newest that was reached: the next is reached when all have read this one
  };
  struct Board {
    std::atomic<int> ranks, aborted;
    Seat seats[most_ranks];
  };
  Board& board() const { return *reinterpret_cast<Board*>(board_.data()); }
  Seat& seat(int rank) const { return board().seats[rank]; }
  /// False where a rank is gone, or has aborted, before `count` of all ranks is at least that.
  bool wait_for(std::atomic<std::uint64_t> Seat::*count, std::uint64_t least) const;
  unsigned char* values_of(int rank);

  std::string name_;
  int rank_ = 0, ranks_ = 0;
  SharedMemory board_;
  std::vector<SharedMemory> values_;   // of each rank
};

}  // namespace hostcuda
