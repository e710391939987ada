// doctor: what this build can do, what the machine has, and what would go wrong.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include <terse/device/blas.hpp>
#include <terse/device/cpu_features.hpp>
#include <terse/train/progress.hpp>

#include "commands.hpp"
#include "gpus.hpp"
#include "machine.hpp"
#include "ranks.hpp"
#include "usage.hpp"

namespace summarize {

using nlohmann::ordered_json;
using train::byte_size;

namespace {

/// Something to be told: a problem makes the exit code, advice doesn't.
struct Finding {
  std::string what, mend;
  std::optional<Failure> problem = std::nullopt;
};

struct Answer {
  std::string problem, answer;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string compiler() {
#if defined(__clang__)
  return concat("clang++ ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__);
#else
  return concat("g++ ", __GNUC__, ".", __GNUC_MINOR__, ".", __GNUC_PATCHLEVEL__);
#endif
}

constexpr bool has_openmp =
#if defined(_OPENMP)
    true;
#else
    false;
#endif

std::string blas() {
#if defined(TERSE_WITH_ONEDNN)
  const dnnl_version_t* version = dnnl_version();
  return concat(Blas::name, " ", version->major, ".", version->minor, ".", version->patch);
#else
  return concat(openblas_get_config(), ", kernels for ", openblas_get_corename());
#endif
}

/// Names of a set of features, or "none".
std::string names(CpuFeatures features) {
  std::string joined;
  for (int i = 0; i < cpu_feature_count; ++i)
    if (features >> i & 1) joined += (joined.empty() ? "" : " ") + std::string(cpu_features[i].name);
  return joined.empty() ? "none" : joined;
}

std::string listed(const std::vector<std::string>& words) {
  std::string all;
  for (const auto& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

bool has_cuda() { return !models_in_words("cuda").empty(); }

std::string gpus_in_words(std::size_t count) { return concat(count, count == 1 ? " GPU" : " GPUs"); }

std::string gpu_in_words(const Gpu& gpu) {
  return concat(gpu.name, " (capability ", gpu.capability / 10, ".", gpu.capability % 10, ", ", byte_size(free_memory(gpu)), " of ", byte_size(gpu.memory), " free)");
}

/// Those that CUDA shows; else those that the driver shows, and why they are of no use.
std::string gpus_of(const Machine& machine) {
  std::vector<std::string> usable;
  for (const auto& gpu : usable_gpus()) usable.push_back(gpu_in_words(gpu));
  if (!usable.empty()) return listed(usable);
  return machine.gpus.empty() ? "none seen" : listed(machine.gpus) + "; not usable: " + why_no_gpu();
}

/// Those that a reader knows and that speed depends on; --json names all.
constexpr CpuFeatures well_known = detail::feature("sse4.2") | detail::feature("avx") | detail::feature("fma") | detail::feature("avx2") | detail::feature("avx512f") |
                                   detail::feature("avx512bf16") | detail::feature("avx512fp16");

CpuFeatures unused_features() { return missing(running_features(), compiled_features) & well_known; }

void look_at_threads(const Machine& machine, std::vector<Finding>& findings) {
  const int cores = machine.effective_cores();
  const std::string set = environment("OMP_NUM_THREADS");
  const int threads = std::atoi(set.c_str());
  if (threads > cores)
    findings.push_back({concat("OMP_NUM_THREADS=", set, ", but only ", cores, " cores can be used: each rank's threads will wait for each other"),
                        "unset it, or give --threads", Failure::device});
  else if (threads == 1 && cores > 2) findings.push_back({concat("OMP_NUM_THREADS=1: each rank will use one of ", cores, " cores"), "unset it, or give --threads"});
  else if (set.empty() && cores < machine.usable_cores)
    findings.push_back({concat("the control group allows ", cores, " cores' time, but ", machine.usable_cores,
                               " are visible: without --threads there will be too many threads"),
                        concat("give --threads ", std::max(1, cores / 2), " with two ranks"), Failure::device});
  if (!has_openmp && cores > 1) findings.push_back({"this build has no OpenMP: each rank is one thread", "build with -DTERSE_OPENMP=ON"});
}

void look_at_launcher(std::vector<Finding>& findings) {
  try {
    const auto here = dist::environment();
    if (!here.is_one_machine() && !has_mpi())
      findings.push_back({concat(name_of(here.launcher), " started ", here.size, " ranks on several machines, and this build has no MPI"),
                          "install libopenmpi-dev and build again, or stay on one machine", Failure::usage});
    // torchrun's own agent listens there.
    const int port = std::atoi(environment("MASTER_PORT").c_str());
    if (here.launcher == dist::Launcher::none && port > 0 && port < 65536 && port_in_use(port))
      findings.push_back({concat("port ", port, " (MASTER_PORT) is in use"), "end what listens there (ss -ltnp), or choose another port", Failure::device});
  } catch (const Error& error) {
    findings.push_back({error.what(), "see docs/cli.md, \"Ranks as processes\"", Failure::usage});
  }
}

void look_at_gpus(const Machine& machine, std::vector<Finding>& findings) {
  const auto seen = machine.gpus.size(), usable = usable_gpus().size();
  if (has_cuda() && usable == 0)
    findings.push_back({"no GPU can be used: " + why_no_gpu(), "install NVIDIA's driver, until nvidia-smi shows a GPU; --device auto trains on the CPU till then", Failure::device});
  else if (usable >= seen) return;
  else if (usable == 0) findings.push_back({concat(gpus_in_words(seen), " here, but none can be used: ", why_no_gpu()), "it will train on the CPU"});
  else findings.push_back({concat("the driver shows ", gpus_in_words(seen), ", CUDA only ", usable), "look at CUDA_VISIBLE_DEVICES"});
}

void look_at_disk_and_memory(const Machine& machine, const Disk& disk, std::vector<Finding>& findings) {
  constexpr std::uint64_t gibibyte = std::uint64_t{1} << 30;
  if (machine.memory > 0 && machine.effective_memory() < gibibyte)
    findings.push_back({"only " + byte_size(machine.effective_memory()) + " of memory can be had",
                        concat("end other programs; `", program_name(), " plan` says what a run takes"), Failure::device});
  if (!disk.writable) findings.push_back({disk.folder.string() + ": cannot be written", "name another folder with --out", Failure::cannot_write});
  else if (disk.free < gibibyte)
    findings.push_back({disk.folder.string() + ": only " + byte_size(disk.free) + " free, and GPT-2's checkpoints alone take 1 GiB",
                        "make room, or name another folder with --out", Failure::cannot_write});
}

std::vector<Finding> find(const Machine& machine, const Disk& disk) {
  std::vector<Finding> findings;
  if (const auto lacking = missing(compiled_features, running_features()); lacking != 0)
    findings.push_back({"this CPU lacks " + names(lacking), "build on this machine, or with -DTERSE_NATIVE=OFF", Failure::device});
  if (const auto unused = unused_features(); unused != 0)
    findings.push_back({"this CPU has more than the program was compiled for: " + names(unused),
                        "build on this machine with -march=native (terse's own build: -DTERSE_NATIVE=ON): it will be faster"});
  if (!is_optimized) findings.push_back({"this build isn't optimized, and is slow", "configure with -DCMAKE_BUILD_TYPE=Release", Failure::usage});
  look_at_threads(machine, findings), look_at_launcher(findings), look_at_disk_and_memory(machine, disk, findings), look_at_gpus(machine, findings);
  return findings;
}

/// What users ask most, with what this machine says to it. All of it: docs/troubleshooting.md.
std::vector<Answer> known_problems(const Machine& machine) {
  return {{"only one GPU works", concat("here the driver shows ", gpus_in_words(machine.gpus.size()), ", CUDA ", usable_gpus().size(),
                                        ". In a notebook choose the accelerator with two (\"GPU T4 x2\") and start the notebook anew; "
                                        "CUDA_VISIBLE_DEVICES must not hide one",
                                        has_cuda() ? "" : ". This build trains on the CPU, with --ranks threads")},
          {"address already in use",
           "another run has the port: end it, or choose another one (torchrun --master_port=29501). It is torchrun's: ranks of one machine need no port"},
          {"NCCL errors",
           concat("NCCL_DEBUG=INFO says which call failed; NCCL_P2P_DISABLE=1 helps where GPUs can't read each other's memory", has_nccl() ? "" : ". This build has no NCCL")},
          {"out of memory", concat("`", program_name(), " plan` says before the run what it takes; ", byte_size(machine.effective_memory()),
                                   " can be had here. Half of --batch and twice --accumulate leave the effective batch as it is; --activation-checkpointing costs time instead")}};
}

ordered_json to_json(const Machine& machine, const Disk& disk, const std::vector<Finding>& findings) {
  ordered_json build{{"version", TERSE_VERSION}, {"compiler", compiler()}, {"optimized", is_optimized}, {"cuda", has_cuda()}, {"nccl", has_nccl()}, {"mpi", has_mpi()},
                     {"openmp", has_openmp}, {"blas", blas()}, {"vector_bytes", vector_register_bytes}, {"instructions", names(compiled_features)},
                     {"models", ordered_json::array()}};
  for (const auto& entry : compiled_models())
    build["models"].push_back({{"model", entry.model}, {"precision", entry.precision}, {"device", entry.device}, {"sizes", entry.sizes.words()}});
  const auto or_null = [](const auto& value) { return value ? ordered_json(*value) : ordered_json(); };
  ordered_json usable = ordered_json::array();
  for (const auto& gpu : usable_gpus())
    usable.push_back({{"name", gpu.name}, {"capability", gpu.capability}, {"memory", gpu.memory}, {"free_memory", free_memory(gpu)}});
  ordered_json seen{{"cpu", machine.cpu}, {"cores", machine.cores}, {"usable_cores", machine.usable_cores}, {"core_quota", or_null(machine.core_quota)},
                    {"caches", machine.caches}, {"memory", machine.memory}, {"available_memory", machine.available_memory},
                    {"memory_limit", or_null(machine.memory_limit)},
                    {"instructions", names(running_features())}, {"bfloat16_products", Blas::multiplies_bfloat16()}, {"gpus", machine.gpus},
                    {"usable_gpus", usable}, {"gpu_driver", machine.gpu_driver}};
  ordered_json told = ordered_json::array(), answers = ordered_json::array();
  for (const auto& finding : findings) told.push_back({{"problem", finding.problem.has_value()}, {"what", finding.what}, {"mend", finding.mend}});
  for (const auto& answer : known_problems(machine)) answers.push_back({{"problem", answer.problem}, {"answer", answer.answer}});
  return {{"build", build}, {"machine", seen}, {"disk", {{"folder", disk.folder.string()}, {"free", disk.free}, {"writable", disk.writable}}},
          {"environment", {{"OMP_NUM_THREADS", environment("OMP_NUM_THREADS")}, {"OPENBLAS_CORETYPE", environment("OPENBLAS_CORETYPE")}}},
          {"findings", told}, {"known_problems", answers}};
}

void print(const char* title, const std::vector<std::pair<std::string, std::string>>& lines) {
  std::cout << title << "\n";
  for (auto [name, value] : lines) {
    name.resize(std::max<std::size_t>(name.size(), 16), ' ');
    std::cout << "  " << name << " " << value << "\n";
  }
  std::cout << "\n";
}

std::string instructions_in_words() {
  if (compiled_features == 0) return "the program was compiled for any CPU of this architecture";
  const bool has_all = missing(compiled_features, running_features()) == 0;
  return has_all ? "the CPU has all that the program was compiled for" : "the CPU lacks some that the program was compiled for";
}

void print_all(const Machine& machine, const Disk& disk, const std::vector<Finding>& findings) {
  const auto set = [](const char* name) { return environment(name).empty() ? "not set" : environment(name); };
  print("build", {{"terse", concat(TERSE_VERSION, ", ", compiler(), is_optimized ? ", optimized" : ", not optimized")},
                  {"devices", concat("CPU; CUDA: ", has_cuda() ? "yes" : "no", ", NCCL: ", has_nccl() ? "yes" : "no", ", MPI: ", has_mpi() ? "yes" : "no")},
                  {"matrices", blas()},
                  {"SIMD", concat(vector_register_bytes, " bytes, compiled for ", names(compiled_features & well_known))},
                  {"models", has_cuda() ? concat("CPU: ", models_in_words("cpu"), "; CUDA: ", models_in_words("cuda")) : models_in_words()}});
  std::vector<std::pair<std::string, std::string>> seen{
      {"CPU", machine.cpu.empty() ? "unknown" : machine.cpu},
      {"cores", concat(machine.usable_cores, " usable of ", machine.cores,
                       machine.core_quota ? concat(", the control group allows ", train::fixed(*machine.core_quota, 1)) : "")},
      {"caches", machine.caches.empty() ? "unknown" : listed(machine.caches)},
      {"memory", concat(byte_size(machine.memory), ", ", byte_size(machine.available_memory), " free",
                        machine.memory_limit ? ", the control group allows " + byte_size(*machine.memory_limit) : "")},
      {"instructions", instructions_in_words()},
      {"bf16 products", Blas::multiplies_bfloat16() ? "in hardware" : "not in hardware"},
      {"GPU", gpus_of(machine)}};
  if (!machine.gpu_driver.empty()) seen.push_back({"GPU driver", machine.gpu_driver});
  seen.push_back({"disk", concat(disk.folder.string(), ": ", byte_size(disk.free), " free")});
  seen.push_back({"environment", concat("OMP_NUM_THREADS ", set("OMP_NUM_THREADS"), ", OPENBLAS_CORETYPE ", set("OPENBLAS_CORETYPE"))});
  print("machine", seen);
  std::vector<std::pair<std::string, std::string>> answers;
  for (const auto& answer : known_problems(machine)) answers.push_back({answer.problem + ":", answer.answer});
  print("known problems (all of them: docs/troubleshooting.md)", answers);
  for (const auto& finding : findings) std::cout << (finding.problem ? "problem: " : "advice: ") << finding.what << "; " << finding.mend << "\n";
  if (std::none_of(findings.begin(), findings.end(), [](const Finding& f) { return f.problem.has_value(); })) std::cout << "everything is fine\n";
}

/// What happened between two looks at the machine.
class Watcher {
 public:
  ordered_json look(double seconds) {
    const auto times = cpu_times();
    const Machine machine = look_at_machine();
    ordered_json cores = ordered_json::array(), processes = ordered_json::array();
    for (std::size_t i = 0; i < times.size() && i < times_.size(); ++i)
      cores.push_back(percent(times[i].busy - times_[i].busy, times[i].all - times_[i].all));
    times_ = times;
    std::map<pid_t, std::uint64_t> ticks;
    for (const auto& process : own_processes()) {
      const auto before = ticks_.find(process.pid);
      const double used = before == ticks_.end() ? 0 : static_cast<double>(process.ticks - before->second) / static_cast<double>(sysconf(_SC_CLK_TCK));
      processes.push_back({{"pid", process.pid}, {"cpu", std::round(1000 * used / seconds) / 10}, {"memory", process.memory},
                           {"threads", process.threads}, {"command", process.command}});
      ticks[process.pid] = process.ticks;
    }
    ticks_ = std::move(ticks);
    const ordered_json all = cores.empty() ? ordered_json() : cores.front();
    if (!cores.empty()) cores.erase(cores.begin());
    return {{"cpu", all}, {"cores", cores}, {"memory_used", machine.memory - machine.available_memory}, {"memory", machine.memory}, {"processes", processes}};
  }

 private:
  static double percent(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : std::round(1000 * static_cast<double>(part) / static_cast<double>(whole)) / 10;
  }

  std::vector<CpuTime> times_;
  std::map<pid_t, std::uint64_t> ticks_;
};

void print_use(const ordered_json& use) {
  std::cout << "CPU " << train::fixed(use["cpu"].get<double>(), 0) << "% (";
  for (std::size_t i = 0; i < use["cores"].size(); ++i) std::cout << (i > 0 ? " " : "") << train::fixed(use["cores"][i].get<double>(), 0);
  std::cout << ")  memory " << byte_size(use["memory_used"].get<std::size_t>()) << " of " << byte_size(use["memory"].get<std::size_t>()) << "\n";
  for (const auto& process : use["processes"])
    std::cout << "  " << process["pid"] << "  CPU " << train::fixed(process["cpu"].get<double>(), 0) << "%  " << byte_size(process["memory"].get<std::size_t>())
              << "  " << process["threads"] << " threads  " << process["command"].get<std::string>() << "\n";
}

/// A look a second, until ctrl-C.
int watch(const Options& options) {
  Watcher watcher;
  watcher.look(1);
  for (;;) {
    ::poll(nullptr, 0, 1000);  // a signal ends it early
    if (interrupted() || !std::cout) return 0;
    const auto use = watcher.look(1);
    if (options.json) std::cout << use.dump(-1, ' ', false, ordered_json::error_handler_t::replace) << "\n";
    else if (isatty(STDOUT_FILENO) != 0) std::cout << "\033[H\033[J" << "every second, until ctrl-C\n\n", print_use(use);
    else print_use(use);
    std::cout.flush();
  }
}

}  // namespace

int doctor(const Options& options) {
  if (options.watch) return watch(options);
  const Machine machine = look_at_machine();
  const Disk disk = look_at_disk(options.out);
  const auto findings = find(machine, disk);
  if (options.json) std::cout << to_json(machine, disk, findings).dump(2, ' ', false, ordered_json::error_handler_t::replace) << "\n";
  else print_all(machine, disk, findings);
  const auto worst = std::find_if(findings.begin(), findings.end(), [](const Finding& f) { return f.problem.has_value(); });
  return worst == findings.end() ? 0 : static_cast<int>(*worst->problem);
}

}  // namespace summarize
