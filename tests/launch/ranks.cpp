// One rank of a run that somebody else started: mpirun, torchrun, srun. Holds what its communicator does against what every one must; 0: all is right.
//
//   ranks [--shared]     --shared: through the machine's memory, whoever started it; else by MPI
#include <cstdio>
#include <memory>
#include <string_view>

#include <terse/dist/environment.hpp>
#if defined(TERSE_WITH_MPI)
#include <terse/dist/mpi.hpp>
#endif
#include <terse/dist/shared.hpp>

#include "unit/dist/ranks.hpp"

using namespace terse;

namespace {

std::unique_ptr<dist::Communicator> communicator_of(const dist::Environment& here, bool shared) {
#if defined(TERSE_WITH_MPI)
  if (!shared) return std::make_unique<dist::Mpi>();
#endif
  if (!shared) fail(Failure::usage, "built without MPI");
  return std::make_unique<dist::Shared>(here.run, here.rank, here.size);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto here = dist::environment();
    if (here.launcher == dist::Launcher::none) fail(Failure::usage, "nobody started ranks: mpirun -n 2 ranks");
    const auto communicator = communicator_of(here, argc > 1 && std::string_view(argv[1]) == "--shared");
    if (communicator->rank() != here.rank || communicator->size() != here.size)
      fail(Failure::internal, "rank ", communicator->rank(), " of ", communicator->size(), ", but the variables say ", here.rank, " of ", here.size);
    for (const std::size_t count : {1, 1000, 10007, 3'000'001}) check_communicator(*communicator, count);
    if (communicator->is_first()) std::printf("%d ranks, started by %s: all is right\n", here.size, std::string(name_of(here.launcher)).c_str());
  } catch (const Error& error) {
    std::fprintf(stderr, "ranks: error: %s\n", error.what());
    return error.exit_code();
  }
}
