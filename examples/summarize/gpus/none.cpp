// A program without CUDA.
#include "../gpus.hpp"

namespace summarize {

const std::vector<Gpu>& usable_gpus() {
  static const std::vector<Gpu> none;
  return none;
}

std::uint64_t free_memory(const Gpu&) { return 0; }

std::string why_no_gpu() { return "this program was built without CUDA"; }

bool has_nccl() { return false; }

}  // namespace summarize
