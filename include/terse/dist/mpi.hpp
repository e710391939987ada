#pragma once
/// Ranks as processes of one machine or many, by MPI. Needs the CMake target terse::mpi.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <limits>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <mpi.h>

#include <terse/core/error.hpp>
#include <terse/device/isa.hpp>
#include <terse/dist/communicator.hpp>
#include <terse/dist/tree_sum.hpp>

namespace terse::dist::inline TERSE_ISA {

/// What a call of MPI says of itself: nothing where it went well.
/// Errors     Failure::rank: MPI's own text
inline void check_mpi(int status, const char* what) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(status, text, &length);
  fail(Failure::rank, what, ": MPI: ", std::string_view(text, static_cast<std::size_t>(length)));
}

/// This process' end of MPI_COMM_WORLD. Begins MPI where nobody has, and then ends it too; where an exception ends this rank, it ends all (MPI_Abort), since the
/// others would wait for it for ever.
///
/// No all-reduce of MPI promises an order of its sums, so slices are exchanged, and added up here in the order of all communicators.
/// Errors     Failure::rank: MPI's own text; Failure::usage: its threads aren't enough (MPI_THREAD_SERIALIZED)
class Mpi final : public Communicator {
 public:
  Mpi() : exceptions_(std::uncaught_exceptions()) {
    int begun = 0, threads = MPI_THREAD_SINGLE;
    MPI_Initialized(&begun);
    begins_ = begun == 0;
    if (begins_) check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &threads), "MPI_Init_thread");
    else MPI_Query_thread(&threads);
    if (threads < MPI_THREAD_SERIALIZED) fail(Failure::usage, "MPI gives this program one thread only; begin it with MPI_Init_thread(…, MPI_THREAD_SERIALIZED, …)");
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm_), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm_, &rank_), MPI_Comm_size(comm_, &size_);
  }
  ~Mpi() override {
    if (std::uncaught_exceptions() > exceptions_) give_up(Failure::rank);
    MPI_Comm_free(&comm_);
    if (begins_) MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void reduce_scatter(std::span<float> values) override { reduce(values, MPI_FLOAT); }
  void reduce_scatter(std::span<double> values) override { reduce(values, MPI_DOUBLE); }
  void reduce_scatter(std::span<bfloat16> values) override { reduce(values, MPI_UINT16_T); }

  void gather_slices(std::span<std::byte> values, std::size_t value_bytes) override {
    const std::size_t count = values.size() / value_bytes;
    std::vector<int> counts, places;
    for (int r = 0; r < size_; ++r) counts.push_back(as_int(slice(count, r).size())), places.push_back(as_int(slice(count, r).first));
    MPI_Datatype value = MPI_DATATYPE_NULL;
    MPI_Type_contiguous(as_int(value_bytes), MPI_BYTE, &value), MPI_Type_commit(&value);
    const int status = MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values.data(), counts.data(), places.data(), value, comm_);
    MPI_Type_free(&value);
    check_mpi(status, "MPI_Allgatherv");
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    constexpr std::size_t most = std::size_t{1} << 30;  // MPI counts with an int
    for (std::size_t at = 0; at < bytes.size(); at += most)
      check_mpi(MPI_Bcast(bytes.data() + at, as_int(std::min(most, bytes.size() - at)), MPI_BYTE, root, comm_), "MPI_Bcast");
  }

  void give_up(Failure failure) override { MPI_Abort(comm_, static_cast<int>(failure)); }
  /// A lower rank that fails too says so, and has this one ended meanwhile: by SIGTERM first.
  bool a_lower_rank_fails_too() const override {
    if (rank_ > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
    return false;
  }
  void barrier() override { check_mpi(MPI_Barrier(comm_), "MPI_Barrier"); }

 private:
  static constexpr std::size_t round_bytes = std::size_t{4} << 20;  ///< of what is received at a time

  static int as_int(std::size_t count) {
    if (count > static_cast<std::size_t>(std::numeric_limits<int>::max())) fail(Failure::internal, "MPI can't count to ", count);
    return static_cast<int>(count);
  }

  /// A round takes the same part of each slice: everyone sends theirs to the rank whose slice it is, which adds them up.
  template <class T>
  void reduce(std::span<T> values, MPI_Datatype type) {
    const auto ranks = static_cast<std::size_t>(size_);
    const std::size_t each = round_bytes / sizeof(T) / ranks;
    received_.resize(round_bytes);
    std::vector<int> sent(ranks), from(ranks), taken(ranks), to(ranks);
    std::vector<const void*> parts(ranks);
    for (std::size_t at = 0; at < slice(values.size(), 0).size(); at += each) {
      const auto part = [&](int r) { return slice(values.size(), r).part(at, each); };
      const Slice mine = part(rank_);
      for (std::size_t r = 0; r < ranks; ++r) {
        const Slice theirs = part(static_cast<int>(r));
        sent[r] = as_int(theirs.size()), from[r] = as_int(theirs.first), taken[r] = as_int(mine.size()), to[r] = as_int(r * each);
        parts[r] = received_.data() + r * each * sizeof(T);
      }
      check_mpi(MPI_Alltoallv(values.data(), sent.data(), from.data(), type, received_.data(), taken.data(), to.data(), type, comm_), "MPI_Alltoallv");
      tree_sum(parts.data(), size_, mine.size(), values.data() + mine.first);
    }
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0, size_ = 1, exceptions_;
  bool begins_ = false;
  std::vector<std::byte> received_;
};

}  // namespace terse::dist::inline TERSE_ISA
