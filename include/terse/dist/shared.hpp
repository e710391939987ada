#pragma once
/// Ranks as processes of one machine, which talk through memory that they share.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/isa.hpp>
#include <terse/dist/communicator.hpp>
#include <terse/dist/segment.hpp>
#include <terse/dist/tree_sum.hpp>

namespace terse::dist::inline TERSE_ISA {

/// How patient ranks are with each other.
struct Patience {
  std::chrono::milliseconds meeting{60'000};  ///< until all ranks are there
  std::chrono::milliseconds call{1'800'000};  ///< until all have come to a call: as long as the longest step, or what one rank does alone, may take
};

/// One process' end. The ranks meet by the name of their run, which no other run on the machine has at the same time.
///
/// Values go through a window of each rank that fits into the caches, so a sum costs little more than it must: everyone's values are written once and read once.
/// A rank that dies is noticed within a tenth of a second by whoever waits for it, one that hangs after Patience::call.
///
/// Ranks in containers need one /dev/shm and one namespace of process ids (docker run --ipc --pid).
///
/// Errors     Failure::rank: a rank died, hangs, or failed, by number, process and step; Failure::usage: the name is in use
class Shared final : public Communicator {
 public:
  static constexpr int most_ranks = 64;

  Shared(std::string_view run, int rank, int size, Patience patience = {}) : name_("/terse-" + std::string(run)), rank_(rank), size_(size), patience_(patience) {
    if (run.find('/') != run.npos) fail(Failure::usage, "a run can't be named ", run, ": it becomes a file's name; leave the / out");
    if (size < 1 || size > most_ranks || rank < 0 || rank >= size) fail(Failure::usage, "rank ", rank, " of ", size, ": processes of one machine are ranks 0 to ", most_ranks - 1);
    try {
      meet();
    } catch (...) {
      if (rank == 0 && segment_) Segment::remove(name_);
      throw;
    }
  }
  ~Shared() override { give_up(Failure::rank); }

  void give_up(Failure) override {
    seat(rank_).left = heard_of_a_failure_ ? Left::after_another : Left::by_itself;
    wake_all(board().phase);
  }
  bool a_lower_rank_fails_too() const override {
    for (const auto deadline = Clock::now() + 5 * look_around; rank_ > 0 && Clock::now() < deadline; std::this_thread::sleep_for(std::chrono::milliseconds(5)))
      for (int r = 0; r < rank_; ++r)
        if (seat(r).left == Left::by_itself) return true;
    return false;
  }

  /// After Failure::rank: true on the lowest rank that is left, which speaks for all.
  bool is_lowest_survivor() const override {
    for (int r = 0; r < rank_; ++r)
      if (const Left left = seat(r).left; r != culprit_ && (left == Left::after_another || (left == Left::no && peer(r).lives()))) return false;
    return true;
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void reduce_scatter(std::span<float> values) override { reduce(values); }
  void reduce_scatter(std::span<double> values) override { reduce(values); }
  void reduce_scatter(std::span<bfloat16> values) override { reduce(values); }

  void gather_slices(std::span<std::byte> values, std::size_t value_bytes) override {
    const std::size_t count = values.size() / value_bytes, each = window_bytes / value_bytes;
    const Slice mine = slice(count, rank_);
    for (std::size_t at = 0; at < slice(count, 0).size(); at += each) {
      copy_part(window(rank_), values.data(), mine.part(at, each), value_bytes);
      wait();
      for (int r = 0; r < size_; ++r)
        if (const Slice part = slice(count, r).part(at, each); r != rank_ && part.size() > 0)
          std::memcpy(values.data() + part.first * value_bytes, window(r), part.size() * value_bytes);
      turn_window();
    }
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    for (std::size_t at = 0; at < bytes.size(); at += window_bytes) {
      const std::size_t some = std::min(window_bytes, bytes.size() - at);
      if (rank_ == root) std::memcpy(window(root), bytes.data() + at, some);
      wait();
      if (rank_ != root) std::memcpy(bytes.data() + at, window(root), some);
      turn_window();
    }
  }

  void barrier() override { wait(); }
  void require_others(std::chrono::milliseconds waited) override {
    std::string failure = failure_of_another(waited);
    if (failure.empty() && waited > patience_.call)
      failure = concat("rank ", rank_, " has waited for its GPU for ", patience_.call.count() / 1000, " s, and no other rank has failed; run with NCCL_DEBUG=INFO to see what it waits for");
    if (failure.empty()) return;
    heard_of_a_failure_ = true;
    fail(Failure::rank, failure);
  }
  void note_step(long step) override { seat(rank_).step = step; }

 private:
  static constexpr std::uint64_t magic = 0x7465727365'000001;  // "terse", and the layout's version
  static constexpr std::size_t window_bytes = std::size_t{256} << 10;
  static constexpr std::chrono::milliseconds look_around{100};

  using Clock = std::chrono::steady_clock;

  /// Whether a rank comes no more, and why.
  enum class Left : std::uint32_t { no, by_itself, after_another };

  /// A rank's place on the board.
  struct alignas(64) Seat {
    std::atomic<std::int32_t> process;
    std::atomic<Left> left;
    std::atomic<std::int64_t> step;
    std::atomic<std::int64_t> calls;  ///< that it has come to
  };
  /// The beginning of the segment; behind it two windows for each rank. All zeros when it is new.
  struct Board {
    std::atomic<std::uint64_t> magic;
    std::atomic<std::int32_t> size;
    std::atomic<std::uint32_t> phase, waiting;
    std::array<Seat, most_ranks> seats;
  };
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::int32_t>::is_always_lock_free);

  static std::size_t segment_bytes(int size) { return round_up(sizeof(Board), alignment_bytes) + 2 * static_cast<std::size_t>(size) * window_bytes; }

  Board& board() const { return *reinterpret_cast<Board*>(segment_.data()); }
  const Process& peer(int rank) const { return peers_[static_cast<std::size_t>(rank)]; }
  Seat& seat(int rank) const { return board().seats[static_cast<std::size_t>(rank)]; }
  std::byte* window(int rank) const {
    return segment_.data() + round_up(sizeof(Board), alignment_bytes) + (2 * static_cast<std::size_t>(rank) + window_number_) * window_bytes;
  }
  /// The windows of this round are read while those of the next are written, so one wait a round is enough.
  void turn_window() { window_number_ = 1 - window_number_; }

  static void copy_part(std::byte* to, const std::byte* values, Slice part, std::size_t value_bytes) {
    if (part.size() > 0) std::memcpy(to, values + part.first * value_bytes, part.size() * value_bytes);
  }

  /// A round takes the same part of each slice: everyone shows their values of it, and adds up those of their own slice.
  template <class T>
  void reduce(std::span<T> values) {
    const std::size_t each = window_bytes / sizeof(T) / static_cast<std::size_t>(size_);
    const auto* const bytes = reinterpret_cast<const std::byte*>(values.data());
    std::array<const void*, most_ranks> parts;
    for (std::size_t at = 0; at < slice(values.size(), 0).size(); at += each) {
      for (int r = 0; r < size_; ++r)
        if (r != rank_) copy_part(window(rank_) + static_cast<std::size_t>(r) * each * sizeof(T), bytes, slice(values.size(), r).part(at, each), sizeof(T));
      wait();
      const Slice mine = slice(values.size(), rank_).part(at, each);
      for (int r = 0; r < size_; ++r) parts[static_cast<std::size_t>(r)] = window(r) + static_cast<std::size_t>(rank_) * each * sizeof(T);
      parts[static_cast<std::size_t>(rank_)] = values.data() + mine.first;
      tree_sum(parts.data(), size_, mine.size(), values.data() + mine.first);
      turn_window();
    }
  }

  /// Rank 0 makes the segment, the others look for it; when all sit, its name goes, so that nothing is left behind however they end.
  void meet() {
    const auto deadline = Clock::now() + patience_.meeting;
    if (rank_ == 0) make_segment();
    else
      while (!find_segment()) {
        if (Clock::now() > deadline) fail(Failure::rank, "rank 0 of ", size_, " isn't there after ", patience_.meeting.count() / 1000, " s; was it started, on this machine, with the same run id?");
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    std::int32_t nobody = 0;
    if (rank_ > 0 && !seat(rank_).process.compare_exchange_strong(nobody, ::getpid())) fail(Failure::usage, "rank ", rank_, " is there twice: process ", nobody, " is it too; give each its own RANK");
    peers_.resize(static_cast<std::size_t>(size_));
    for (int r = 0; r < size_; ++r) {
      while (seat(r).process == 0) {
        if (Clock::now() > deadline)
          fail(Failure::rank, "rank ", r, " of ", size_, " isn't there after ", patience_.meeting.count() / 1000, " s; was it started, on this machine, with the same run id?");
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      peers_[static_cast<std::size_t>(r)] = Process(seat(r).process);
    }
    wait();
    if (rank_ == 0) Segment::remove(name_);
  }
  void make_segment() {
    segment_ = Segment::create(name_, segment_bytes(size_));
    if (!segment_) {  // of a run whose ranks never met; or one that is just beginning
      if (const Segment other = Segment::open(name_, sizeof(Board)); other) {
        for (int look = 0; look < 100 && reinterpret_cast<Board*>(other.data())->seats[0].process == 0; ++look) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const Process first(reinterpret_cast<Board*>(other.data())->seats[0].process);
        if (first.number() > 0 && first.lives())
          fail(Failure::usage, "another run is beginning under the same name (process ", first.number(), "); give this one another port or run id (torchrun --master_port, --rdzv_id)");
      }
      Segment::remove(name_);
      segment_ = Segment::create(name_, segment_bytes(size_));
      if (!segment_) fail(Failure::usage, "another run is beginning under the same name; give this one another port or run id (torchrun --master_port, --rdzv_id)");
    }
    seat(0).process = ::getpid();
    board().size = size_;
    board().magic = magic;
  }
  bool find_segment() {
    segment_ = Segment::open(name_, sizeof(Board));
    if (!segment_ || board().magic == 0) return false;
    const Process first(seat(0).process);
    if (first.number() == 0 || !first.lives()) return false;  // left behind: a new rank 0 will replace it
    if (board().magic != magic) fail(Failure::usage, "rank 0 runs another version of this program; start the same one on every rank");
    if (board().size != size_) fail(Failure::usage, "rank 0 counts ", board().size.load(), " ranks, rank ", rank_, " counts ", size_, "; start all with the same WORLD_SIZE");
    segment_ = Segment::open(name_, segment_bytes(size_));
    return static_cast<bool>(segment_);
  }

  /// Returns when all ranks have come.
  void wait() {
    Board& shared = board();
    const std::uint32_t phase = shared.phase;
    ++seat(rank_).calls;
    if (shared.waiting.fetch_add(1) + 1 == static_cast<std::uint32_t>(size_)) {
      shared.waiting = 0;
      ++shared.phase;
      wake_all(shared.phase);
      return;
    }
    for (int spin = 0; spin < 200 && shared.phase == phase; ++spin) std::this_thread::yield();
    const auto begin = Clock::now();
    while (shared.phase == phase) {
      wait_while(shared.phase, phase, look_around);
      const std::string failure = failure_of_another(Clock::now() - begin);
      if (failure.empty() || shared.phase != phase) continue;  // where all had come, the call is done: what happened since then is the next call's affair
      heard_of_a_failure_ = true;
      fail(Failure::rank, failure);
    }
  }

  /// Why some rank won't come to the call that this one waits in; empty: they may.
  std::string failure_of_another(Clock::duration waited) {
    const auto named = [this](int r) { return concat("rank ", r, " (process ", peer(r).number(), ")"); };
    const auto in_step = [this](int r) { return seat(r).step > 0 ? concat(" in step ", seat(r).step.load()) : std::string(" before the first step"); };
    bool is_given_up = false;
    for (int r = 0; r < size_; ++r) {
      if (r == rank_) continue;
      if (seat(r).left == Left::after_another) {
        is_given_up = true;  // on the culprit, or on this one, if it was away for long
        continue;
      }
      culprit_ = r;
      if (seat(r).left == Left::by_itself) return concat(named(r), " failed", in_step(r), "; its own message says why");
      if (!peer(r).lives()) return concat(named(r), " was ended", in_step(r), ", by a signal or for want of memory; --resume goes on from the last state");
    }
    culprit_ = -1;
    if (is_given_up && waited > 3 * look_around) return "the others gave this rank up: it hadn't answered for too long";
    if (waited < patience_.call) return "";
    for (int r = 0; r < size_; ++r)
      if (seat(r).calls < seat(rank_).calls) {
        culprit_ = r;
        return concat(named(r), " hasn't answered for ", patience_.call.count() / 1000, " s", in_step(r), "; it hangs, or is stopped");
      }
    return "";
  }

  std::string name_;
  int rank_, size_;
  Patience patience_;
  Segment segment_;
  std::vector<Process> peers_;
  std::size_t window_number_ = 0;
  bool heard_of_a_failure_ = false;
  int culprit_ = -1;  // the rank that it heard of
};

}  // namespace terse::dist::inline TERSE_ISA
