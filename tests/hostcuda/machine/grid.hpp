#pragma once
// All blocks of a launch.

#include <cstdint>
#include <string>

#include "block.hpp"

namespace hostcuda {

/// Runs the blocks in an order drawn by `seed`; empty, or what went wrong. `stream` tells ThreadSanitizer which launches can run at once.
std::string run_grid(const GridShape&, std::uint64_t seed, const void* stream);

void count_graph();
/// Counts of launches that have ended.
Statistics total_counts();
void reset_counts();

/// Faults inside kernels become errors of the launch. Called at each, as test frameworks take the signals back.
void catch_faults();
/// An OS thread needs a stack for the handler: the one it has may be full.
void give_thread_a_signal_stack();

/// A function's symbol, mangled; "?" where the executable has no symbol table.
const char* symbol_of(const void* function);
/// As its author wrote it.
std::string readable_name(const void* function);
/// The same without a template's arguments, for ever. With the machine's lock.
const char* name_without_arguments(const void* function);

}  // namespace hostcuda
