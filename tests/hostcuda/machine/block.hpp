#pragma once
// One block of CUDA threads, run on fibers.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "fiber.hpp"
#include "hostcuda/control.hpp"
#include "hostcuda/kernel.hpp"
#include "hostcuda/launch.hpp"
#include "random.hpp"

namespace hostcuda {

/// The same for all blocks of a launch.
struct GridShape {
  Kernel kernel;
  const char* name = "";   // the kernel's, without its template arguments
  dim3 grid, block;
  std::size_t shared_bytes = 0;
};

/// Runs blocks one after the other. A CUDA thread runs until it waits; then another goes on. Threads that never wait need one fiber in all:
/// a fiber goes on with threads not yet begun, and only when one waits another fiber is taken.
class Block {
 public:
  static constexpr int most_threads = 1024, lanes = 32;

  Block();
  Block(const Block&) = delete;
  ~Block();

  /// The block `index` of the grid; empty, or what went wrong. `seed` 0: threads in order, a warp kept going while it can.
  std::string run(const GridShape&, uint3 index, std::uint64_t seed, SyncPoint* grid_begins, SyncPoint* grid_ends);

  /// The one that runs on this OS thread.
  static Block*& current();

  // For the CUDA thread that runs: hostcuda/kernel.hpp.
  int barrier(Barrier kind, bool predicate, Where where, bool orders);
  void collective(WarpOperation operation, unsigned mask, void* part, Where where);
  void* shared_memory(std::size_t bytes, Where where);
  bool is_shared(const void* address, std::size_t bytes) const;
  bool begin_copy(Copy copy, Where where);
  void commit_copies();
  bool landing_copy(int groups, Copy& next);
  [[noreturn]] void fail(Where where, const std::string& text);
  /// As fail, for a handler of signals: the text is there already.
  [[noreturn]] void fail_with_noted_text();

  /// True while a CUDA thread runs, not the machine.
  bool in_kernel() const { return running_ != &caller_; }
  Fiber& running() { return *running_; }
  const char* kernel_name() const { return grid_->name; }
  std::string place_of_running() const { return place_of(running_->thread); }
  void note(std::string text) { error_ = std::move(text); }

  Statistics counts;

 private:
  enum class State : unsigned char { unstarted, running, at_barrier, in_warp, ended };
  struct Thread {
    uint3 index;
    State state;
    Fiber* fiber;
    Where where;
    std::vector<Copy> copies;               // begun, not landed: of all groups, the oldest first
    std::vector<std::size_t> group_sizes;   // of committed ones, the oldest first
  };
  struct Group {   // lanes that wait for each other
    WarpOperation operation;
    unsigned mask, arrived;
    Where where;
    SyncPoint* sync;
  };
  struct Warp {
    unsigned present, ended;
    int groups;
    unsigned generation;
    std::array<Group, lanes> group;
    std::array<void*, lanes> part;
    std::array<SyncPoint, 8> sync;   // taken in turn: who leaves late mustn't acquire what early leavers did since
  };

  static void fiber_entry();
  void run_threads();
  void start(Thread& thread, int number);
  void end_thread(int number);
  void finish(Warp& warp, int warp_number, int group);
  void release_barrier();
  void order_threads();
  void prepare_shared_memory();
  void forget_fibers();
  std::string deadlock() const;
  std::string place_of(int number) const;
  void describe_waiting(std::string& text, State state, const char* what) const;

  Fiber* pick();
  Fiber* take_fiber();
  void give_way_to(Fiber* next);
  bool any_ready() const { return ready_head_ != ready_tail_; }
  Fiber* next_ready() { return ready_[ready_head_++ % ready_.size()]; }
  void ready_last(Fiber* fiber) { ready_[ready_tail_++ % ready_.size()] = fiber; }
  void ready_first(Fiber* fiber) { ready_[--ready_head_ % ready_.size()] = fiber; }

  const GridShape* grid_ = nullptr;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<int> order_;                          // in which threads begin
  int count_ = 0, begun_ = 0, alive_ = 0;           // threads
  std::array<Fiber*, 2 * most_threads> ready_{};    // a ring
  std::size_t ready_head_ = 0, ready_tail_ = 0;

  int arrived_ = 0;
  Barrier barrier_kind_{};
  Where barrier_where_;
  unsigned phase_ = 0;                              // of the barrier: what belongs to a phase is kept by its lowest bit
  int trues_[2] = {}, came_[2] = {};
  std::vector<Fiber*> released_;

  Fiber caller_;
  Fiber* running_ = &caller_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> free_, used_;

  unsigned char* shared_map_ = nullptr;
  unsigned char* shared_ = nullptr;

  Random random_;
  bool shuffled_ = false, warp_goes_on_ = true, ready_before_new_ = true, copies_land_at_once_ = false;
  std::string error_;
  bool failed_ = false;

  SyncPoint *grid_begins_ = nullptr, *grid_ends_ = nullptr;
  SyncPoint barrier_sync_[2] = {}, block_sync_[2] = {};
  unsigned blocks_run_ = 0;
};

/// What the lanes of a group get; `parts` of absent lanes are null.
void evaluate(WarpOperation operation, void* const* parts, unsigned present);
const char* name_of(WarpOperation operation);
const char* name_of(Barrier kind);
/// "file.cu:12"
std::string text_of(Where where);

}  // namespace hostcuda
