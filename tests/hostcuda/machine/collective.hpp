#pragma once
// A collective of NCCL: what each rank gave, and its arithmetic.

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "machine.hpp"
#include "nccl.h"

namespace hostcuda {

enum class CollectiveKind : unsigned char { all_reduce, reduce_scatter, all_gather, broadcast };

/// One rank's part.
struct CollectivePart {
  CollectiveKind kind;
  ncclDataType_t type;
  std::size_t count = 0;            ///< as the call has it: of each rank, for reduce_scatter and all_gather
  ncclRedOp_t operation = ncclSum;
  int root = 0;
  const void* from = nullptr;
  void* to = nullptr;
  cudaStream_t stream = nullptr;
  bool given = false, reached = false;   ///< the call was made; the stream has come to it
  std::thread::id thread{};
};

/// The n-th collective of a communicator. It runs when the streams of all ranks have come to it.
struct Collective {
  std::vector<CollectivePart> parts;
  bool begun = false, done = false;
  std::mutex lock;
  std::condition_variable finished;
  SyncPoint sync = 0;

  bool all_reached() const;
  /// The first stream's work computes for all; the others wait for it.
  void run(std::uint64_t seed);
};

std::size_t bytes_of(ncclDataType_t type);
/// Writes what the parts together make to each part's `to`. In a sum the values of rank `first` come first.
void compute(std::vector<CollectivePart>& parts, std::size_t first);
/// Values that a rank reads, and that it writes.
std::size_t read_count(const CollectivePart& part, std::size_t ranks);
std::size_t written_count(const CollectivePart& part, std::size_t ranks);
/// "ncclAllReduce of 100 float32, sum"
std::string words_of(const CollectivePart& part);

}  // namespace hostcuda
