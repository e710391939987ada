// A program with MPI.
#include <terse/dist/mpi.hpp>

#include "../ranks.hpp"

namespace summarize {

bool has_mpi() { return true; }
std::unique_ptr<dist::Communicator> rank_by_mpi() { return std::make_unique<dist::Mpi>(); }

}  // namespace summarize
