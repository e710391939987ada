#include "grid.hpp"

#include <memory>
#include <mutex>
#include <vector>

namespace hostcuda {

namespace {

std::mutex counts_lock;
Statistics all_counts;

void add(const Statistics& more) {
  const std::lock_guard guard(counts_lock);
  all_counts.blocks += more.blocks, all_counts.threads += more.threads, all_counts.switches += more.switches;
  all_counts.barriers += more.barriers, all_counts.warp_operations += more.warp_operations;
}

/// Blocks of one stream on one OS thread. For ThreadSanitizer there are two, with shared memory and identities of their own, for even and odd
/// blocks: ordered only by the grid's begin and end, so a race between blocks shows.
struct Blocks {
  const void* stream;
  SyncPoint grid_begins, grid_ends;
  std::unique_ptr<Block> set[2];
};

Blocks& blocks_of(const void* stream) {
  static thread_local std::vector<std::unique_ptr<Blocks>> known;
  if constexpr (!with_tsan) stream = nullptr;
  for (const auto& blocks : known)
    if (blocks->stream == stream) return *blocks;
  constexpr std::size_t most = 2;   // the streams of two ranks: ThreadSanitizer has 8000 identities, and each of these takes up to 1000
  if (known.size() == most) known.erase(known.begin());
  known.push_back(std::make_unique<Blocks>());
  Blocks& blocks = *known.back();
  blocks.stream = stream;
  for (int i = 0; i < (with_tsan ? 2 : 1); ++i) blocks.set[i] = std::make_unique<Block>();
  return blocks;
}

}  // namespace

std::string run_grid(const GridShape& grid, std::uint64_t seed, const void* stream) {
  catch_faults();
  Blocks& blocks = blocks_of(stream);
  const std::uint64_t count = std::uint64_t{grid.grid.x} * grid.grid.y * grid.grid.z;
  const std::uint64_t first = seed == 0 ? 0 : mix(seed) % count;
  const bool backward = seed != 0 && (mix(seed + 1) & 1) != 0;
  release(&blocks.grid_begins);
  std::string error;
  for (std::uint64_t i = 0; i < count && error.empty(); ++i) {
    const std::uint64_t ahead = (first + i) % count, b = backward ? count - 1 - ahead : ahead;
    const uint3 index{static_cast<unsigned>(b % grid.grid.x), static_cast<unsigned>(b / grid.grid.x % grid.grid.y),
                      static_cast<unsigned>(b / grid.grid.x / grid.grid.y)};
    Block& block = *blocks.set[with_tsan ? b % 2 : 0];
    error = block.run(grid, index, seed == 0 ? 0 : mix(seed ^ (b + 1) * 0x12345677u) | 1, &blocks.grid_begins, &blocks.grid_ends);
  }
  acquire(&blocks.grid_ends);
  for (const auto& block : blocks.set)
    if (block != nullptr) add(block->counts), block->counts = {};
  {
    const std::lock_guard guard(counts_lock);
    ++all_counts.launches;
  }
  return error.empty() ? error : readable_name(grid.kernel.function) + ": " + error;
}

void count_graph() {
  const std::lock_guard guard(counts_lock);
  ++all_counts.graphs;
}

Statistics total_counts() {
  const std::lock_guard guard(counts_lock);
  return all_counts;
}

void reset_counts() {
  const std::lock_guard guard(counts_lock);
  all_counts = {};
}

Statistics statistics() { return total_counts(); }

}  // namespace hostcuda
