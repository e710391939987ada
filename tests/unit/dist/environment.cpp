#include <map>
#include <string>

#include <terse/dist/environment.hpp>

#include "support/catch.hpp"
#include "support/messages.hpp"

using namespace terse;
using dist::Environment, dist::Launcher;

namespace {

using Variables = std::map<std::string, std::string>;

Environment with(const Variables& variables) {
  return dist::environment([&](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

const Variables mpirun{{"OMPI_COMM_WORLD_RANK", "5"}, {"OMPI_COMM_WORLD_SIZE", "8"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}, {"PMIX_NAMESPACE", "2883649537"}};
const Variables torchrun{{"TORCHELASTIC_RUN_ID", "none"}, {"TORCHELASTIC_RESTART_COUNT", "0"}, {"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "1"},
                         {"LOCAL_WORLD_SIZE", "2"}, {"MASTER_ADDR", "localhost"}, {"MASTER_PORT", "29500"}};
const Variables slurm{{"SLURM_STEP_NUM_TASKS", "7"}, {"SLURM_PROCID", "6"}, {"SLURM_NODEID", "3"}, {"SLURM_LOCALID", "0"}, {"SLURM_STEP_TASKS_PER_NODE", "2(x3),1"},
                      {"SLURM_JOB_ID", "17"}, {"SLURM_STEP_ID", "0"}};

Variables without(Variables variables, const char* name) {
  variables.erase(name);
  return variables;
}
Variables changed(Variables variables, const char* name, const char* value) {
  variables[name] = value;
  return variables;
}

}  // namespace

TEST_CASE("who started this process: nobody, mpirun, torchrun, srun") {
  const Environment alone = with({{"PATH", "/bin"}, {"RANK", "3"}});  // RANK alone is some other program's
  CHECK((alone.launcher == Launcher::none && alone.rank == 0 && alone.size == 1 && alone.is_one_machine()));

  const Environment mpi = with(mpirun);
  CHECK((mpi.launcher == Launcher::mpirun && mpi.rank == 5 && mpi.size == 8 && mpi.local_rank == 1 && mpi.local_size == 4 && !mpi.is_one_machine()));
  CHECK(mpi.run == "mpi-2883649537");

  const Environment torch = with(torchrun);
  CHECK((torch.launcher == Launcher::torchrun && torch.rank == 1 && torch.size == 2 && torch.is_one_machine()));
  CHECK((torch.run == "torch-none-29500-0" && torch.port == 29500));
  CHECK(with(without(without(torchrun, "TORCHELASTIC_RUN_ID"), "TORCHELASTIC_RESTART_COUNT")).launcher == Launcher::torchrun);

  const Environment task = with(slurm);
  CHECK((task.launcher == Launcher::slurm && task.rank == 6 && task.size == 7 && task.local_rank == 0 && task.local_size == 1));
  CHECK(task.run == "slurm-17-0");
  CHECK(with(changed(changed(slurm, "SLURM_NODEID", "2"), "SLURM_LOCALID", "1")).local_size == 2);
  CHECK(with(changed(slurm, "SLURM_STEP_NUM_TASKS", "1")).launcher == Launcher::none);  // a shell in an allocation
}

TEST_CASE("the order: terse's own launcher, mpirun, torchrun, srun") {
  Variables all = slurm;
  all.insert(torchrun.begin(), torchrun.end());
  CHECK(with(all).launcher == Launcher::torchrun);
  all.insert(mpirun.begin(), mpirun.end());
  CHECK(with(all).launcher == Launcher::mpirun);
  all["TERSE_RANK"] = "1", all["TERSE_WORLD_SIZE"] = "2", all["TERSE_RUN"] = "a/b";
  const Environment own = with(all);
  CHECK((own.launcher == Launcher::terse && own.rank == 1 && own.size == 2 && own.local_rank == 1 && own.run == "a-b"));
}

TEST_CASE("variables that can't be say which, and who sets them") {
  CHECK(message_of([] { with(without(torchrun, "WORLD_SIZE")); }) == "torchrun started this process, but WORLD_SIZE is missing; start it as torchrun does, or unset its variables");
  CHECK(message_of([] { with(changed(torchrun, "RANK", "2")); }) == "RANK=2 isn't a number from 0 to 1; torchrun sets it");
  CHECK(message_of([] { with(changed(mpirun, "OMPI_COMM_WORLD_SIZE", "8 ")); }) == "OMPI_COMM_WORLD_SIZE=8  isn't a number from 1 to 1048576; mpirun sets it");
  CHECK(message_of([] { with(changed(torchrun, "MASTER_PORT", "0")); }) == "MASTER_PORT=0 isn't a number from 1 to 65535; torchrun sets it");
  for (const char* list : {"", "x", "2(x3", "0", "2,", "2(x3)1"})
    CHECK(contains(message_of([&] { with(changed(slurm, "SLURM_STEP_TASKS_PER_NODE", list)); }), "isn't a list like 2(x3),1"));
}
