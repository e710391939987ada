#pragma once
// The machine as Linux tells of it: /proc, /sys, the scheduler and the control group. What can't be read is left empty.
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace summarize {

struct Machine {
  std::string cpu;                      ///< the processor's name
  int cores = 0;                        ///< logical ones, online
  int usable_cores = 0;                 ///< that this process may run on (sched_getaffinity)
  std::optional<double> core_quota;     ///< cores' worth of time that the control group allows
  std::vector<std::string> caches;      ///< of the first core: "L2 2048K"
  std::uint64_t memory = 0, available_memory = 0;  ///< bytes
  std::optional<std::uint64_t> memory_limit;       ///< of the control group
  std::vector<std::string> gpus;        ///< NVIDIA's, by the kernel driver
  std::string gpu_driver;               ///< its version line

  /// Cores that work can really use, at least 1.
  int effective_cores() const;
  /// Bytes that can still be had.
  std::uint64_t effective_memory() const;
};

Machine look_at_machine();

struct Disk {
  std::filesystem::path folder;  ///< the nearest one that exists
  std::uint64_t free = 0;        ///< bytes, for this user
  bool writable = false;
};

Disk look_at_disk(const std::filesystem::path& folder);

/// Clock ticks of all cores since the start: busy, and all.
struct CpuTime {
  std::uint64_t busy = 0, all = 0;
};
/// First of all cores together, then of each.
std::vector<CpuTime> cpu_times();

/// A process of this program, of this user.
struct Process {
  pid_t pid = 0;
  std::string command;      ///< its arguments
  std::uint64_t ticks = 0;  ///< of CPU, since it started
  std::uint64_t memory = 0; ///< resident bytes
  int threads = 0;
};
/// All but this one.
std::vector<Process> own_processes();

/// True if something listens on this TCP port of this machine.
bool port_in_use(int port);

}  // namespace summarize
