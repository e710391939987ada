#include "machine.hpp"

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

namespace summarize {

namespace fs = std::filesystem;

namespace {

/// A file of /proc or /sys; empty where there is none.
std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string first_line(const fs::path& path) {
  const std::string text = content(path);
  return text.substr(0, text.find('\n'));
}

/// What stands behind "name:" in such a file.
std::string value_of(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(name))
      if (const auto colon = line.find(':'); colon != std::string::npos) {
        const auto begin = line.find_first_not_of(" \t", colon + 1);
        return begin == std::string::npos ? "" : line.substr(begin);
      }
  return "";
}

/// A number at the start of a text; 0 where there is none.
std::uint64_t number(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) found.push_back(at->path());
  std::sort(found.begin(), found.end());
  return found;
}

/// A limit of the control group (version 2), the tightest on the way from this process's to the root; "max" is none.
template <class Read>
auto tightest(const char* file, Read&& read) -> decltype(read(std::string())) {
  decltype(read(std::string())) least;
  const std::string own = value_of(content("/proc/self/cgroup"), "0:");  // "0::/path"
  fs::path group = fs::path("/sys/fs/cgroup") / fs::path(own.substr(own.find('/') == std::string::npos ? own.size() : own.find('/') + 1));
  for (;; group = group.parent_path()) {
    if (const auto limit = read(first_line(group / file)); limit && (!least || *limit < *least)) least = limit;
    if (group == "/sys/fs/cgroup" || !group.has_relative_path()) return least;
  }
}

void read_gpus(Machine& machine) {
  machine.gpu_driver = first_line("/proc/driver/nvidia/version");
  for (const auto& gpu : entries("/proc/driver/nvidia/gpus"))
    if (const auto model = value_of(content(gpu / "information"), "Model"); !model.empty()) machine.gpus.push_back(model);
}

void read_caches(Machine& machine) {
  for (const auto& cache : entries("/sys/devices/system/cpu/cpu0/cache")) {
    const auto size = first_line(cache / "size"), type = first_line(cache / "type");
    if (!size.empty()) machine.caches.push_back("L" + first_line(cache / "level") + (type == "Data" ? "d" : type == "Instruction" ? "i" : "") + " " + size);
  }
}

}  // namespace

int Machine::effective_cores() const {
  const int allowed = core_quota ? static_cast<int>(*core_quota + 0.5) : usable_cores;
  return std::max(1, std::min(usable_cores, std::max(1, allowed)));
}

std::uint64_t Machine::effective_memory() const { return memory_limit ? std::min(*memory_limit, available_memory) : available_memory; }

Machine look_at_machine() {
  Machine machine;
  const std::string cpus = content("/proc/cpuinfo"), memory = content("/proc/meminfo");
  machine.cpu = value_of(cpus, "model name");
  machine.cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  cpu_set_t set;
  CPU_ZERO(&set);
  machine.usable_cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : machine.cores;
  machine.core_quota = tightest("cpu.max", [](const std::string& line) -> std::optional<double> {
    std::istringstream in(line);
    double quota = 0, period = 0;
    if (in >> quota >> period && period > 0) return quota / period;
    return std::nullopt;
  });
  machine.memory = number(value_of(memory, "MemTotal")) * 1024, machine.available_memory = number(value_of(memory, "MemAvailable")) * 1024;
  machine.memory_limit = tightest("memory.max", [](const std::string& line) -> std::optional<std::uint64_t> {
    if (line.empty() || line == "max") return std::nullopt;
    return number(line);
  });
  read_caches(machine), read_gpus(machine);
  return machine;
}

Disk look_at_disk(const fs::path& folder) {
  std::error_code error;
  Disk disk{fs::absolute(folder, error), 0, false};
  while (!fs::exists(disk.folder, error) && disk.folder.has_relative_path()) disk.folder = disk.folder.parent_path();
  struct statvfs status {};
  if (::statvfs(disk.folder.c_str(), &status) == 0) disk.free = std::uint64_t{status.f_bavail} * status.f_frsize;
  std::string trial = (disk.folder / ".terse-XXXXXX").string();  // permissions alone don't tell: read-only file systems, root
  if (const int descriptor = ::mkstemp(trial.data()); descriptor >= 0) disk.writable = true, ::close(descriptor), ::unlink(trial.c_str());
  return disk;
}

std::vector<CpuTime> cpu_times() {
  std::vector<CpuTime> times;
  std::istringstream lines(content("/proc/stat"));
  for (std::string line; std::getline(lines, line) && line.starts_with("cpu");) {
    std::istringstream in(line);
    std::string name;
    in >> name;
    CpuTime time;
    std::uint64_t ticks = 0;
    for (int column = 0; column < 8 && in >> ticks; ++column) {  // user nice system idle iowait irq softirq steal
      time.all += ticks;
      if (column != 3 && column != 4) time.busy += ticks;
    }
    times.push_back(time);
  }
  return times;
}

std::vector<Process> own_processes() {
  std::vector<Process> processes;
  const std::string name = "(" + first_line("/proc/self/comm") + ")";  // the kernel keeps 15 characters of it
  for (const auto& folder : entries("/proc")) {
    const auto pid = static_cast<pid_t>(number(folder.filename().string()));
    struct stat status {};
    if (pid == 0 || pid == getpid() || ::stat(folder.c_str(), &status) != 0 || status.st_uid != getuid()) continue;
    const std::string stat = content(folder / "stat"), arguments = content(folder / "cmdline");
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos || stat.find(name) == std::string::npos) continue;
    Process process{pid, arguments, 0, number(value_of(content(folder / "status"), "VmRSS")) * 1024, 0};
    std::replace(process.command.begin(), process.command.end(), '\0', ' ');
    std::istringstream in(stat.substr(name_end + 2));
    const std::vector<std::string> fields{std::istream_iterator<std::string>(in), {}};  // from the third: state
    if (fields.size() > 17) process.ticks = number(fields[11]) + number(fields[12]), process.threads = static_cast<int>(number(fields[17]));
    processes.push_back(std::move(process));
  }
  return processes;
}

bool port_in_use(int port) {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return false;
  const int yes = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);  // connections that have ended don't count
  sockaddr_in address{};
  address.sin_family = AF_INET, address.sin_port = htons(static_cast<std::uint16_t>(port)), address.sin_addr.s_addr = htonl(INADDR_ANY);
  const bool in_use = ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno == EADDRINUSE;
  ::close(descriptor);
  return in_use;
}

}  // namespace summarize
