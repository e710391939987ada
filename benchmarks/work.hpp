#pragma once
// What a benchmark must do at least, and the rates that follow from it.
#include <benchmark/benchmark.h>

#include <terse/core/shape.hpp>
#include <terse/models/config.hpp>

namespace bench {

/// Bytes: each input read once, each output written once, whatever the caches.
struct Work {
  double flops = 0, bytes = 0;
};

inline void rate(benchmark::State& state, const char* name, double amount) {
  state.counters[name] = benchmark::Counter(amount, benchmark::Counter::kIsIterationInvariantRate);
}

/// GFLOP/s and GB/s.
inline void report_rates(benchmark::State& state, Work work) {
  if (work.flops > 0) rate(state, "GFLOP/s", work.flops * 1e-9);
  if (work.bytes > 0) rate(state, "GB/s", work.bytes * 1e-9);
}

/// Of a training step of GPT-2 124M: forward and backward products of all layers for every token, and of the head for every target.
inline double matmul_flops(terse::Index tokens, terse::Index targets) {
  using Sizes = terse::models::Gpt2;
  constexpr double C = Sizes::width;
  return 6.0 * (12.0 * Sizes::layers * C * C * static_cast<double>(tokens) + double{Sizes::padded_vocabulary} * C * static_cast<double>(targets));
}

}  // namespace bench
