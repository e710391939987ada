// What a block has besides threads: shared memory, asynchronous copies, and words for what went wrong.

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "block.hpp"

namespace hostcuda {

void* Block::shared_memory(std::size_t bytes, Where where) {
  if (bytes > grid_->shared_bytes)
    fail(where, "shared<T>: T has " + std::to_string(bytes) + " bytes, the launch gave " + std::to_string(grid_->shared_bytes));
  return shared_;
}

bool Block::is_shared(const void* address, std::size_t bytes) const {
  const auto* byte = static_cast<const unsigned char*>(address);
  return byte >= shared_ && byte + bytes <= shared_ + grid_->shared_bytes;
}

// PTX ISA, "cp.async": source in global memory, target in shared memory, both at a multiple of the size. Below compute capability 8.0 the
// library copies at once.
bool Block::begin_copy(Copy copy, Where where) {
  if (!is_shared(copy.to, 16)) fail(where, "copy_async_16: the target isn't in the block's shared memory");
  if (is_shared(copy.from, 16)) fail(where, "copy_async_16: the source is shared memory");
  if (reinterpret_cast<std::uintptr_t>(copy.to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(copy.from) % 16 != 0)
    fail(where, "copy_async_16: source or target isn't at a multiple of 16 bytes");
  if (copies_land_at_once_ || capability() < 80) return true;
  threads_[static_cast<std::size_t>(running_->thread)].copies.push_back(copy);
  return false;
}

void Block::commit_copies() {
  Thread& thread = threads_[static_cast<std::size_t>(running_->thread)];
  std::size_t committed = 0;
  for (const std::size_t size : thread.group_sizes) committed += size;
  thread.group_sizes.push_back(thread.copies.size() - committed);
}

bool Block::landing_copy(int groups, Copy& next) {
  Thread& thread = threads_[static_cast<std::size_t>(running_->thread)];
  while (thread.group_sizes.size() > static_cast<std::size_t>(groups)) {
    if (thread.group_sizes.front() == 0) {
      thread.group_sizes.erase(thread.group_sizes.begin());
      continue;
    }
    --thread.group_sizes.front();
    next = thread.copies.front();
    thread.copies.erase(thread.copies.begin());
    return true;
  }
  return false;
}

// ---- what went wrong

std::string text_of(Where where) {
  const char* name = std::strrchr(where.file, '/');
  return std::string(name == nullptr ? where.file : name + 1) + ":" + std::to_string(where.line);
}

const char* name_of(Barrier kind) {
  constexpr const char* names[] = {"__syncthreads", "__syncthreads_count", "__syncthreads_and", "__syncthreads_or"};
  return names[static_cast<std::size_t>(kind)];
}

std::string Block::place_of(int number) const {
  const uint3 thread = threads_[static_cast<std::size_t>(std::max(number, 0))].index;
  char text[128];
  std::snprintf(text, sizeof text, "block (%u,%u,%u) thread (%u,%u,%u)", blockIdx.x, blockIdx.y, blockIdx.z, thread.x, thread.y, thread.z);
  return text;
}

void Block::describe_waiting(std::string& text, State state, const char* what) const {
  int waiting = 0, first = -1;
  for (int t = 0; t < count_; ++t) {
    if (threads_[static_cast<std::size_t>(t)].state != state) continue;
    if (waiting++ == 0) first = t;
  }
  if (waiting > 0)
    text += "; " + std::to_string(waiting) + " wait " + what + ", the first is " + place_of(first) + " at " + text_of(threads_[static_cast<std::size_t>(first)].where);
}

std::string Block::deadlock() const {
  std::string text = "deadlock: " + std::to_string(alive_) + " threads can never go on";
  describe_waiting(text, State::at_barrier, "at a barrier");
  describe_waiting(text, State::in_warp, "for lanes of their warp");
  return text;
}

void Block::fail(Where where, const std::string& text) {
  error_ = place_of_running() + " at " + text_of(where) + ": " + text;
  fail_with_noted_text();
}

void Block::fail_with_noted_text() {
  failed_ = true;
  give_way_to(&caller_);
  std::abort();   // nobody comes back to a block that failed
}

// ---- hostcuda/kernel.hpp

void warp_collective(WarpOperation operation, unsigned mask, void* part, Where where) { Block::current()->collective(operation, mask, part, where); }
int block_barrier(Barrier kind, bool predicate, Where where, bool orders) { return Block::current()->barrier(kind, predicate, where, orders); }
void* shared_memory(std::size_t bytes, Where where) { return Block::current()->shared_memory(bytes, where); }
bool is_shared(const void* address, std::size_t bytes) { return Block::current()->is_shared(address, bytes); }
bool begin_copy(Copy copy, Where where) { return Block::current()->begin_copy(copy, where); }
void commit_copies() { Block::current()->commit_copies(); }
bool landing_copy(int groups, Copy& next) { return Block::current()->landing_copy(groups, next); }
int lane() { return static_cast<int>((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % Block::lanes); }

// ThreadSanitizer doesn't know fences. All that have one are ordered with each other, which is more than CUDA says.
void memory_fence() {
  static SyncPoint everybody;
  release(&everybody);
  acquire(&everybody);
}

void fail(Where where, const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  Block* const block = Block::current();
  if (block != nullptr && block->in_kernel()) block->fail(where, text);
  std::fprintf(stderr, "hostcuda: outside of a kernel: %s: %s\n", text_of(where).c_str(), text);
  std::abort();
}

}  // namespace hostcuda
