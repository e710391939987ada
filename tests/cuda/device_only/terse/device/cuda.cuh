#pragma once
// In the library's header's place: what ops ask of a GPU, without one.

#include <cstddef>

#include <cuda_runtime.h>

#include <terse/core/error.hpp>

namespace terse {

class Cuda {
 public:
  template <class... Operands>
  bool multiply(const Operands&...) const {
    return false;
  }

  int ordinal() const { return 0; }
  int capability() const { return 0; }
  bool multiplies_bfloat16() const { return true; }
  bool rehearses() const { return false; }
  cudaStream_t stream() const { return {}; }
  std::byte* workspace(std::size_t) const { return nullptr; }
  void clear(void*, std::size_t) const {}
};

}  // namespace terse
