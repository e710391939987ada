#pragma once
// The ranks of this program, whoever starts them.
#include <chrono>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include <terse/dist/environment.hpp>
#include <terse/dist/world.hpp>

#include "options.hpp"

namespace summarize {

/// The rank that this process is, among those that somebody started: by MPI where mpirun did and the program has it, else through the machine's memory.
/// `patience`: for a rank that doesn't answer, in shared memory.
/// Errors     Failure::usage: they are on several machines, and mpirun or srun didn't start them, or the program was built without MPI; or MPI counts others
dist::World join(const dist::Environment&, std::chrono::milliseconds patience);

/// Where ranks are processes: holds what each was given against rank 0's, so that none trains on other data or by other rules.
/// Errors     Failure::usage, on every rank, the same: names the rank and the value
void require_agreement(const dist::World&, const nlohmann::ordered_json& mine);

/// This program was built with MPI.
bool has_mpi();
/// By MPI; nothing without it.
std::unique_ptr<dist::Communicator> rank_by_mpi();

}  // namespace summarize
