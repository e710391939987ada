#pragma once
#include <utility>

#include <terse/core/shape.hpp>
#include <terse/device/cpu.hpp>

namespace terse {

/// Calls body(values) with the n values at `values` of the device's memory where the host can read them. For files: it waits, and may take as much memory again.
template <class T, class Body>
decltype(auto) read_on_host(const Cpu&, const T* values, Index, Body&& body) {
  return std::forward<Body>(body)(values);
}

/// Calls body(values), which writes all n values, and brings them to `values` of the device's memory.
template <class T, class Body>
void write_on_host(const Cpu&, T* values, Index, Body&& body) {
  std::forward<Body>(body)(values);
}

}  // namespace terse
