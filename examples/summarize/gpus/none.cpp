// A program without CUDA.
#include "../gpus.hpp"

namespace summarize {

const std::vector<Gpu>& usable_gpus() {
  static const std::vector<Gpu> none;
  return none;
}

std::string why_no_gpu() { return "this program was built without CUDA"; }

}  // namespace summarize
