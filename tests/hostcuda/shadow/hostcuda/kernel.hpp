#pragma once
// What headers of the shadow ask of the machine while a kernel runs. The machine's side is tests/hostcuda/machine/{block,warp,matrix}.cpp.

#include <cstddef>
#include <cstdint>

#include "hostcuda/language.hpp"
#include "hostcuda/where.hpp"

namespace hostcuda {

/// What the lanes of a warp do together. All lanes of a mask must name the same operation and the same mask.
enum class WarpOperation : unsigned char {
  syncwarp, shfl, shfl_up, shfl_down, shfl_xor, ballot, any, all, match_any,
  ldmatrix_1, ldmatrix_2, ldmatrix_4, ldmatrix_trans_1, ldmatrix_trans_2, ldmatrix_trans_4,
  mma_m16n8k8_f16, mma_m16n8k16_f16, mma_m16n8k16_bf16,
};

/// A lane's part of a shuffle or vote.
struct Exchange {
  std::uint64_t in = 0, out = 0;
  int source = 0;   ///< shuffles: the lane whose `in` becomes this lane's `out`
};
/// A lane's part of ldmatrix: the row it gave, already read under the lane's own name, and where its values go.
struct MatrixRow {
  std::uint16_t values[8];
  std::uint32_t* to;
};
/// A lane's part of mma.
struct Fragments {
  const std::uint32_t *a, *b;
  float* sum;
};

/// Waits for the lanes of `mask`; the last of them to come works out everybody's result, so none can be overwritten by a lane that runs ahead.
/// `part`: an Exchange, MatrixRow or Fragments of this lane. Lanes that have ended, or that the block doesn't have, count as come. Memory is ordered by
/// syncwarp alone: shuffles and votes "do not imply a memory barrier" (Programming Guide, "Warp Shuffle Functions", "Warp Vote Functions").
void warp_collective(WarpOperation, unsigned mask, void* part, Where);

enum class Barrier : unsigned char { sync, sync_count, sync_and, sync_or };
/// __syncthreads and its kin. Threads that have ended count as come. `orders` false: an order of memory isn't told to ThreadSanitizer.
int block_barrier(Barrier, bool predicate, Where, bool orders = true);

/// The block's dynamic shared memory; fails where the launch gave fewer bytes.
void* shared_memory(std::size_t bytes, Where);
bool is_shared(const void* address, std::size_t bytes);
/// This thread's lane in its warp.
int lane();
/// __threadfence: orders this thread's accesses with those of others that have one.
void memory_fence();

/// Asynchronous copies of 16 bytes. They land in the caller's code, so that sanitizers see who reads and writes.
struct Copy {
  void* to;
  const void* from;
};
/// Returns true where the copy is to land at once: by seed, to show who overwrites a source or a target too early. Else it waits.
bool begin_copy(Copy, Where);
void commit_copies();
/// The next copy that must land now that at most `groups` groups may be under way; false: no more.
bool landing_copy(int groups, Copy& next);

/// Ends the block, and so the launch, with an error: thread, place and this text.
[[noreturn]] void fail(Where, const char* format, ...) __attribute__((format(printf, 2, 3)));
/// The emulated device's compute capability, 75 or 80; for the device that the running kernel is on.
int capability();
/// True where HOSTCUDA_OMIT names this place (and kernel): the wait there is to be left out, the bounds check to be loosened. Notes the place for
/// HOSTCUDA_LIST.
bool omitted(Where, const char* what);
/// False where `omitted` would do nothing.
extern bool places_matter;

}  // namespace hostcuda
