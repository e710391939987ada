#pragma once
#include <utility>
#include <vector>

#include <terse/device/cuda.cuh>
#include <terse/device/host_access.hpp>

namespace terse {

/// See device/host_access.hpp.
template <class T, class Body>
decltype(auto) read_on_host(const Cuda& cuda, const T* values, Index n, Body&& body) {
  std::vector<T> copy(static_cast<std::size_t>(n));
  cuda.copy_to_host(copy.data(), values, copy.size() * sizeof(T));
  return std::forward<Body>(body)(static_cast<const T*>(copy.data()));
}

/// See device/host_access.hpp.
template <class T, class Body>
void write_on_host(const Cuda& cuda, T* values, Index n, Body&& body) {
  std::vector<T> copy(static_cast<std::size_t>(n));
  std::forward<Body>(body)(copy.data());
  cuda.copy_from_host(values, copy.data(), copy.size() * sizeof(T));  // has taken its copy when it returns
}

}  // namespace terse
