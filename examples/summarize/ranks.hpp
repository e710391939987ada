#pragma once
// The ranks of this program, whoever starts them.
#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/decode/generation.hpp>
#include <terse/dist/environment.hpp>
#include <terse/dist/trace.hpp>
#include <terse/dist/world.hpp>

#include "options.hpp"

namespace summarize {

/// This program once more for each rank but the first, which this process is: GPUs have a process each, as NVIDIA advises.
class StartedRanks {
 public:
  /// The same command line; variables tell each its rank.
  /// Errors     Failure::device: the system starts no more
  StartedRanks(int ranks, char** argv);
  StartedRanks(const StartedRanks&) = delete;
  StartedRanks& operator=(const StartedRanks&) = delete;
  /// Nobody stays: waits for them, and ends those that take longer than a moment.
  ~StartedRanks();

  /// What launchers say by variables.
  dist::Environment own() const;

 private:
  void end_all();

  std::string run_;
  std::vector<pid_t> processes_;
};

/// The rank that this process is, among those that somebody started: by MPI where mpirun did and the program has it, else through the machine's memory.
/// `patience`: for a rank that doesn't answer, in shared memory.
/// Errors     Failure::usage: they are on several machines, and mpirun or srun didn't start them, or the program was built without MPI; or MPI counts others
dist::World join(const dist::Environment&, std::chrono::milliseconds patience);

/// Where ranks are processes: holds what each was given against rank 0's, so that none trains on other data or by other rules.
/// Errors     Failure::usage, on every rank, the same: names the rank and the value
void require_agreement(const dist::World&, const nlohmann::ordered_json& mine);

/// Spans and texts on their way to other processes.
std::string to_text(int rank, const std::vector<dist::Span>& spans);
std::string to_text(const std::vector<decode::Generation>& texts);
std::vector<decode::Generation> texts_of(const std::string& text);

/// This program was built with MPI.
bool has_mpi();
/// By MPI; nothing without it.
std::unique_ptr<dist::Communicator> rank_by_mpi();

}  // namespace summarize
