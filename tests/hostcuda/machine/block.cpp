#include "block.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "system.hpp"

namespace hostcuda {

namespace {

constexpr std::size_t most_shared = 192u << 10;

}  // namespace

Block*& Block::current() {
  static constinit thread_local Block* current = nullptr;
  return current;
}

Block::Block() : threads_(most_threads), warps_(most_threads / lanes), order_(most_threads) {
  fibers_.reserve(2 * most_threads), free_.reserve(2 * most_threads), used_.reserve(2 * most_threads), released_.reserve(most_threads);
  shared_map_ = map_between_guards(most_shared);
}

Block::~Block() {
  allow(shared_map_, most_shared);
  unmap_between_guards(shared_map_, most_shared);
}

std::string Block::run(const GridShape& grid, uint3 index, std::uint64_t seed, SyncPoint* grid_begins, SyncPoint* grid_ends) {
  current() = this;
  grid_ = &grid, grid_begins_ = grid_begins, grid_ends_ = grid_ends;
  blockIdx = index;
  blockDim = {grid.block.x, grid.block.y, grid.block.z};
  gridDim = {grid.grid.x, grid.grid.y, grid.grid.z};
  random_ = Random(seed);
  shuffled_ = seed != 0;
  warp_goes_on_ = !shuffled_ || random_.coin();
  ready_before_new_ = !shuffled_ || random_.coin();
  copies_land_at_once_ = shuffled_ && random_.coin();
  error_.clear(), failed_ = false;
  count_ = alive_ = static_cast<int>(grid.block.x * grid.block.y * grid.block.z);
  begun_ = arrived_ = 0;
  ready_head_ = ready_tail_ = 0;
  ++blocks_run_, ++counts.blocks;
  counts.threads += static_cast<std::uint64_t>(count_);
  order_threads();
  prepare_shared_memory();
  free_.insert(free_.end(), used_.begin(), used_.end());
  used_.clear();
  if constexpr (with_tsan) {   // made now: no CUDA thread shall allocate
    while (free_.size() < static_cast<std::size_t>(count_)) fibers_.push_back(std::make_unique<Fiber>(&fiber_entry)), free_.push_back(fibers_.back().get());
  }
  caller_.set_identity(this_identity());
  running_ = &caller_;
  give_way_to(pick());
  if (!failed_ && alive_ > 0) failed_ = true, error_ = deadlock();
  if (failed_) forget_fibers();
  return failed_ ? error_ : std::string();
}

// Threads of a warp begin together, in one direction from some lane on; warps in any order.
void Block::order_threads() {
  const int warp_count = (count_ + lanes - 1) / lanes;
  std::array<int, most_threads / lanes> warp_order{};
  for (int w = 0; w < warp_count; ++w) warp_order[static_cast<std::size_t>(w)] = w;
  if (shuffled_)
    for (std::size_t i = static_cast<std::size_t>(warp_count); i > 1; --i) std::swap(warp_order[i - 1], warp_order[random_.below(i)]);
  std::size_t place = 0;
  for (int i = 0; i < warp_count; ++i) {
    const int first = warp_order[static_cast<std::size_t>(i)] * lanes, size = std::min(lanes, count_ - first);
    const int from = shuffled_ ? static_cast<int>(random_.below(static_cast<std::size_t>(size))) : 0;
    const bool backward = shuffled_ && random_.coin();
    for (int j = 0; j < size; ++j) {
      const int lane = (j + from) % size;
      order_[place++] = first + (backward ? size - 1 - lane : lane);
    }
    Warp& warp = warps_[static_cast<std::size_t>(first / lanes)];
    warp.present = size == lanes ? ~0u : (1u << size) - 1;
    warp.ended = 0, warp.groups = 0;
  }
  const unsigned x = grid_->block.x, y = grid_->block.y;
  for (int t = 0; t < count_; ++t) {
    Thread& thread = threads_[static_cast<std::size_t>(t)];
    const auto number = static_cast<unsigned>(t);
    thread.index = {number % x, number / x % y, number / x / y};
    thread.state = State::unstarted;
    thread.copies.clear(), thread.group_sizes.clear();
  }
}

// Its end is the end of a page (but for the rest to 16 bytes), and nothing of the block before is left in it.
void Block::prepare_shared_memory() {
  const std::size_t rounded = (grid_->shared_bytes + 15) / 16 * 16;
  allow(shared_map_, most_shared);
  shared_ = shared_map_ + most_shared - rounded;
  fill(shared_, poison, rounded);
  forbid(shared_map_, most_shared - rounded);
  forbid(shared_ + grid_->shared_bytes, rounded - grid_->shared_bytes);
}

void Block::forget_fibers() {
  free_.clear(), used_.clear();
  for (const auto& fiber : fibers_) fiber->remake(), free_.push_back(fiber.get());
}

// ---- fibers

void Block::fiber_entry() {
  Block& block = *current();
  for (;;) {
    block.run_threads();
    Fiber* const self = block.running_;
    // One identity a CUDA thread: for ThreadSanitizer a fiber isn't used twice in a block.
    (with_tsan ? block.used_ : block.free_).push_back(self);
    block.give_way_to(block.pick());
  }
}

void Block::run_threads() {
  while (begun_ < count_) {
    const int number = order_[static_cast<std::size_t>(begun_++)];
    start(threads_[static_cast<std::size_t>(number)], number);
    grid_->kernel.call(grid_->kernel.arguments.get());
    if constexpr (with_tsan) release(grid_ends_), release(&block_sync_[blocks_run_ % 2]);
    end_thread(number);
    running_->thread = -1;
    if (with_tsan || (ready_before_new_ && any_ready())) return;
  }
}

void Block::start(Thread& thread, int number) {
  running_->thread = number;
  thread.fiber = running_;
  thread.state = State::running;
  threadIdx = thread.index;
  if constexpr (with_tsan) acquire(grid_begins_), acquire(&block_sync_[(blocks_run_ + 1) % 2]);  // after the block that had this shared memory before
}

Fiber* Block::take_fiber() {
  if (free_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(&fiber_entry));
    return fibers_.back().get();
  }
  Fiber* const fiber = free_.back();
  free_.pop_back();
  return fiber;
}

Fiber* Block::pick() {
  if (any_ready() && (ready_before_new_ || begun_ == count_)) return next_ready();
  if (begun_ < count_) return take_fiber();
  return any_ready() ? next_ready() : &caller_;
}

void Block::give_way_to(Fiber* next) {
  Fiber* const self = running_;
  if (next == self) return;
  running_ = next;
  ++counts.switches;
  if (next->thread >= 0) threadIdx = threads_[static_cast<std::size_t>(next->thread)].index;
  self->switch_to(*next);
}

void Block::end_thread(int number) {
  Thread& thread = threads_[static_cast<std::size_t>(number)];
  if (!thread.copies.empty()) fail(thread.where, "asynchronous copies were begun that nobody waited for");
  thread.state = State::ended;
  --alive_;
  Warp& warp = warps_[static_cast<std::size_t>(number / lanes)];
  warp.ended |= 1u << (number % lanes);
  for (int g = 0; g < warp.groups; ++g)
    if (warp.group[static_cast<std::size_t>(g)].arrived == (warp.group[static_cast<std::size_t>(g)].mask & warp.present & ~warp.ended)) finish(warp, number / lanes, g--);
  if (alive_ > 0 && arrived_ == alive_) release_barrier();
}

// ---- barriers

// "__syncthreads() is allowed in conditional code but only if the conditional evaluates identically across the entire thread block"; since
// compute capability 7.0 it is reached when all threads that haven't ended have come (Programming Guide, "Synchronization Functions",
// "Independent Thread Scheduling").
int Block::barrier(Barrier kind, bool predicate, Where where, bool orders) {
  const int number = running_->thread;
  if (arrived_ == 0) {
    barrier_where_ = where, barrier_kind_ = kind;
    trues_[phase_ % 2] = 0;
  } else if (barrier_where_ != where || barrier_kind_ != kind) {
    fail(where, std::string("divergent barrier: this thread is at ") + name_of(kind) + ", others wait at " + name_of(barrier_kind_) + " (" + text_of(barrier_where_) + ")");
  }
  const unsigned phase = phase_ % 2;
  Thread& thread = threads_[static_cast<std::size_t>(number)];
  thread.state = State::at_barrier, thread.where = where;
  trues_[phase] += predicate ? 1 : 0;
  ++arrived_;
  if (orders) release(&barrier_sync_[phase]);
  if (arrived_ == alive_) release_barrier();
  give_way_to(pick());
  if (orders) acquire(&barrier_sync_[phase]);
  const int trues = trues_[phase];
  return kind == Barrier::sync_and ? trues == came_[phase] : kind == Barrier::sync_or ? trues > 0 : trues;
}

void Block::release_barrier() {
  came_[phase_ % 2] = arrived_;
  arrived_ = 0, ++phase_, ++counts.barriers;
  released_.clear();
  for (int i = 0; i < count_; ++i) {
    Thread& thread = threads_[static_cast<std::size_t>(order_[static_cast<std::size_t>(i)])];
    if (thread.state != State::at_barrier) continue;
    thread.state = State::running;
    released_.push_back(thread.fiber);
  }
  const std::size_t size = released_.size(), from = shuffled_ ? random_.below(size) : 0;
  const bool backward = shuffled_ && random_.coin();
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t at = (i + from) % size;
    ready_last(released_[backward ? size - 1 - at : at]);
  }
}

// ---- warps

// "All non-exited threads named in mask must execute the same intrinsic with the same mask" (Programming Guide, "Warp Shuffle Functions").
void Block::collective(WarpOperation operation, unsigned mask, void* part, Where where) {
  const int number = running_->thread;
  const unsigned lane = static_cast<unsigned>(number % lanes);
  Warp& warp = warps_[static_cast<std::size_t>(number / lanes)];
  if ((mask >> lane & 1) == 0) fail(where, std::string("wrong mask: the lane isn't in the mask it gave to ") + name_of(operation));
  int found = -1;
  for (int g = 0; g < warp.groups; ++g) {
    const Group& group = warp.group[static_cast<std::size_t>(g)];
    if ((group.mask & mask) == 0) continue;
    if (group.mask != mask || group.operation != operation)
      fail(where, std::string("warp divergence: ") + name_of(operation) + " meets " + name_of(group.operation) + (group.mask != mask ? " with another mask (" : " (") + text_of(group.where) + ")");
    found = g;
  }
  if (found < 0) {
    found = warp.groups++;
    warp.group[static_cast<std::size_t>(found)] = {operation, mask, 0, where, &warp.sync[warp.generation++ % warp.sync.size()]};
  }
  Group& group = warp.group[static_cast<std::size_t>(found)];
  group.arrived |= 1u << lane;
  warp.part[lane] = part;
  SyncPoint* const sync = operation == WarpOperation::syncwarp ? group.sync : nullptr;
  if (sync != nullptr) release(sync);
  if (group.arrived == (mask & warp.present & ~warp.ended)) {
    finish(warp, number / lanes, found);
  } else {
    Thread& thread = threads_[static_cast<std::size_t>(number)];
    thread.state = State::in_warp, thread.where = where;
    give_way_to(pick());
  }
  if (sync != nullptr) acquire(sync);
}

void Block::finish(Warp& warp, int warp_number, int number) {
  const Group group = warp.group[static_cast<std::size_t>(number)];
  warp.group[static_cast<std::size_t>(number)] = warp.group[static_cast<std::size_t>(--warp.groups)];
  std::array<void*, lanes> parts{};
  for (unsigned lane = 0; lane < lanes; ++lane) parts[lane] = (group.arrived >> lane & 1) != 0 ? warp.part[lane] : nullptr;
  // PTX ISA: "all threads in the warp must execute the same ldmatrix (mma) instruction".
  if (group.operation >= WarpOperation::ldmatrix_1 && group.arrived != ~0u) fail(group.where, std::string(name_of(group.operation)) + ": lanes of the warp have ended");
  evaluate(group.operation, parts.data(), group.arrived);
  ++counts.warp_operations;
  for (int lane = 0; lane < lanes; ++lane) {
    if ((group.arrived >> lane & 1) == 0) continue;
    Thread& thread = threads_[static_cast<std::size_t>(warp_number * lanes + lane)];
    if (thread.state != State::in_warp) continue;
    thread.state = State::running;
    if (warp_goes_on_) ready_first(thread.fiber);
    else ready_last(thread.fiber);
  }
}

}  // namespace hostcuda
