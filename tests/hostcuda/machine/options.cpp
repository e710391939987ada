#include "options.hpp"

#include <cstdlib>
#include <numeric>

#include "hostcuda/control.hpp"
#include "hostcuda/kernel.hpp"

namespace hostcuda {

namespace {

double number(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtod(text, nullptr);
}

}  // namespace

Options& options() {
  static Options the_options{
      .seed = static_cast<std::uint64_t>(number("HOSTCUDA_SEED", 0)),
      .devices = static_cast<int>(number("HOSTCUDA_DEVICES", 2)),
      .capability = static_cast<int>(number("HOSTCUDA_CAPABILITY", 80)),
      .memory = static_cast<std::size_t>(number("HOSTCUDA_MEMORY", 14.56 * 1024 * 1024 * 1024)),  // what CUDA shows of a Tesla T4
      .patience = number("HOSTCUDA_PATIENCE", 20),
      .epilogues = true,
      .hide_device_memory = number("HOSTCUDA_HIDE", 1) != 0,
  };
  return the_options;
}

// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
SharedLimits shared_limits() {
  constexpr std::size_t kilobyte = 1024;
  return options().capability < 80 ? SharedLimits{48 * kilobyte, 64 * kilobyte, 64 * kilobyte} : SharedLimits{48 * kilobyte, 163 * kilobyte, 164 * kilobyte};
}

void set_seed(std::uint64_t seed) { options().seed = seed; }
std::uint64_t seed() { return options().seed; }
std::vector<std::uint64_t> seeds() {
  std::vector<std::uint64_t> all(static_cast<std::size_t>(number("HOSTCUDA_SEEDS", 3)));
  std::iota(all.begin(), all.end(), static_cast<std::uint64_t>(number("HOSTCUDA_SEED", 0)));
  return all;
}
void set_epilogues(bool has) { options().epilogues = has; }
void set_capability(int capability) { options().capability = capability; }
void set_memory(std::size_t bytes) { options().memory = bytes; }
int capability() { return options().capability; }

}  // namespace hostcuda
