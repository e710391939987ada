#pragma once
/// Who started this process, and which of how many ranks it is to be.

#include <charconv>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>

#include <terse/core/error.hpp>

namespace terse::dist {

/// Who starts ranks.
enum class Launcher { none, terse, mpirun, torchrun, slurm };

/// In words.
constexpr std::string_view name_of(Launcher launcher) {
  constexpr std::string_view names[] = {"nobody", "terse", "mpirun", "torchrun", "srun"};
  return names[static_cast<std::size_t>(launcher)];
}

/// A process among those that were started together.
struct Environment {
  Launcher launcher = Launcher::none;
  int rank = 0, size = 1;              ///< among all
  int local_rank = 0, local_size = 1;  ///< among those of this machine
  std::string run;                     ///< tells this run from all others on the machine
  int port = 0;                        ///< the launcher's own; 0 where it doesn't say

  bool is_one_machine() const { return local_size == size; }
};

namespace detail {

/// Variables of one launcher, read with words for what is wrong.
class Variables {
 public:
  using Look = std::function<const char*(const char*)>;
  Variables(const Look& look, Launcher launcher) : look_(look), launcher_(launcher) {}

  bool has(const char* name) const { return look_(name) != nullptr; }
  std::string text(const char* name) const { return has(name) ? look_(name) : ""; }
  int number(const char* name, int lowest, int highest) const {
    if (!has(name)) fail(Failure::usage, name_of(launcher_), " started this process, but ", name, " is missing; start it as ", name_of(launcher_), " does, or unset its variables");
    const std::string value = text(name);
    int result = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
    if (error != std::errc() || end != value.data() + value.size() || result < lowest || result > highest)
      fail(Failure::usage, name, "=", value, " isn't a number from ", lowest, " to ", highest, "; ", name_of(launcher_), " sets it");
    return result;
  }

 private:
  const Look& look_;
  Launcher launcher_;
};

inline constexpr int most_processes = 1 << 20;

/// Ranks of all and of this machine, by the launcher's names for them.
inline Environment ranks_of(const Variables& variables, Launcher launcher, const char* rank, const char* size, const char* local_rank, const char* local_size) {
  Environment here{.launcher = launcher, .run = {}};
  here.size = variables.number(size, 1, most_processes);
  here.rank = variables.number(rank, 0, here.size - 1);
  here.local_size = variables.number(local_size, 1, here.size);
  here.local_rank = variables.number(local_rank, 0, here.local_size - 1);
  return here;
}

inline Environment of_terse(const Variables& variables) {
  Environment here = ranks_of(variables, Launcher::terse, "TERSE_RANK", "TERSE_WORLD_SIZE", "TERSE_RANK", "TERSE_WORLD_SIZE");
  here.run = variables.text("TERSE_RUN");
  return here;
}

inline Environment of_mpirun(const Variables& variables) {
  Environment here = ranks_of(variables, Launcher::mpirun, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE");
  here.run = "mpi-" + (variables.has("PMIX_NAMESPACE") ? variables.text("PMIX_NAMESPACE") : variables.text("OMPI_MCA_ess_base_jobid"));
  return here;
}

/// torchrun's agent listens on MASTER_PORT itself; each restart of its ranks is a run of its own.
inline Environment of_torchrun(const Variables& variables) {
  Environment here = ranks_of(variables, Launcher::torchrun, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE");
  here.port = variables.has("MASTER_PORT") ? variables.number("MASTER_PORT", 1, 65535) : 0;
  here.run = concat("torch-", variables.text("TORCHELASTIC_RUN_ID"), "-", here.port, "-", variables.text("TORCHELASTIC_RESTART_COUNT"));
  return here;
}

/// Slurm says how many tasks a step has, and how many of them each node: "2(x3),1" is 2, 2, 2 and 1.
inline int tasks_of_node(std::string_view list, int node, const char* name) {
  const auto refuse = [&] { fail(Failure::usage, name, "=", list, " isn't a list like 2(x3),1; srun sets it"); };
  const char* at = list.data();
  const char* const end = at + list.size();
  while (at < end) {
    int tasks = 0, nodes = 1;
    auto read = std::from_chars(at, end, tasks);
    if (read.ec != std::errc() || tasks < 1) refuse();
    at = read.ptr;
    if (end - at >= 2 && at[0] == '(' && at[1] == 'x') {
      read = std::from_chars(at + 2, end, nodes);
      if (read.ec != std::errc() || nodes < 1 || read.ptr == end || *read.ptr != ')') refuse();
      at = read.ptr + 1;
    }
    if (node < nodes) return tasks;
    node -= nodes;
    if (at < end && *at++ != ',') refuse();
  }
  refuse();
  return 0;
}

inline Environment of_slurm(const Variables& variables) {
  Environment here{.launcher = Launcher::slurm, .run = {}};
  here.size = variables.number("SLURM_STEP_NUM_TASKS", 1, most_processes);
  here.rank = variables.number("SLURM_PROCID", 0, here.size - 1);
  here.local_size = tasks_of_node(variables.text("SLURM_STEP_TASKS_PER_NODE"), variables.number("SLURM_NODEID", 0, most_processes), "SLURM_STEP_TASKS_PER_NODE");
  here.local_rank = variables.number("SLURM_LOCALID", 0, here.local_size - 1);
  here.run = concat("slurm-", variables.text("SLURM_JOB_ID"), "-", variables.text("SLURM_STEP_ID"));
  return here;
}

}  // namespace detail

/// What the variables of the process say: terse's own launcher first, then mpirun (Open MPI), torchrun, Slurm; none of them: one rank.
///
/// `look(name)` is a variable's value, nullptr where it isn't set. RANK and WORLD_SIZE alone, without torchrun's TORCHELASTIC_RUN_ID, count too where MASTER_ADDR
/// stands beside them: that is how others start what torchrun would.
/// Errors     Failure::usage: a variable is missing or no number, or outside its range
inline Environment environment(const std::function<const char*(const char*)>& look = [](const char* name) { return static_cast<const char*>(std::getenv(name)); }) {
  const auto has = [&](const char* name) { return look(name) != nullptr; };
  using enum Launcher;
  Environment here{.run = {}};
  if (has("TERSE_RANK")) here = detail::of_terse({look, terse});
  else if (has("OMPI_COMM_WORLD_RANK")) here = detail::of_mpirun({look, mpirun});
  else if (has("TORCHELASTIC_RUN_ID") || (has("RANK") && has("WORLD_SIZE") && has("MASTER_ADDR"))) here = detail::of_torchrun({look, torchrun});
  else if (has("SLURM_PROCID") && has("SLURM_STEP_NUM_TASKS") && std::string_view(look("SLURM_STEP_NUM_TASKS")) != "1") here = detail::of_slurm({look, slurm});
  for (char& c : here.run)
    if (c == '/') c = '-';  // it names a file
  return here;
}

}  // namespace terse::dist
