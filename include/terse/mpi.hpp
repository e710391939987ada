#pragma once
/// Ranks by MPI, and all of <terse/terse.hpp>. Needs the CMake target terse::mpi.

#include <terse/dist/mpi.hpp>
#include <terse/terse.hpp>
