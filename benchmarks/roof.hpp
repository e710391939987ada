#pragma once
// What the machine can do, measured in the run that is held against it, and the counters that say how near a benchmark comes.
//
// A roof is the larger of two times: arithmetic at the speed of the library's own product of two 2048 x 2048 matrices, and memory traffic at
// the speed of a triad (a = b + s c) over as many bytes. The triad's size matters: what fits into a cache has a higher roof than memory.
#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <string_view>

#include <benchmark/benchmark.h>

#include <terse/ops/matmul/cpu.hpp>
#include <terse/tensor/tensor.hpp>

#include "work.hpp"

namespace bench {

using terse::Cpu, terse::Index, terse::Matrix, terse::Rows, terse::Tensor, terse::Vector;

/// Best of several calls, in seconds: a roof is what can be reached, so other programs' noise must not lower it.
double best_seconds(auto&& body) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30;
  const auto start = Clock::now();
  for (int calls = 0; calls < 5 || (calls < 1000 && Clock::now() - start < std::chrono::milliseconds(200)); ++calls) {
    const auto begin = Clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

/// FLOP/s of a large product.
template <class T>
double gemm_peak(Cpu& cpu) {
  static const double peak = [&] {
    constexpr Index n = 2048;
    const Tensor<Matrix<T, n, n>, Cpu> w(cpu);
    const Tensor<Rows<T, n>, Cpu> x(cpu, n);
    const Tensor<Rows<float, n>, Cpu> y(cpu, n);
    cpu.reserve_workspace(terse::ops::matmul_workspace<T>(n, n, n));
    return 2.0 * n * n * n / best_seconds([&] { terse::ops::matmul(cpu, x.view(), w.view(), y.view()); });
  }();
  return peak;
}

inline constexpr std::size_t least_triad = std::size_t{1} << 20, largest_triad = std::size_t{768} << 20;

/// Bytes/s of a triad whose three arrays together have `bytes`, rounded up to a power of two: two reads and a write, as STREAM counts.
inline double triad_bandwidth(Cpu& cpu, double bytes) {
  static std::map<std::size_t, double> measured;
  const auto size = std::clamp(std::bit_ceil(static_cast<std::size_t>(bytes)), least_triad, largest_triad);
  const auto [found, is_new] = measured.try_emplace(size, 0.0);
  if (!is_new) return found->second;
  constexpr Index piece = 4096;
  const Index pieces = std::max<Index>(1, static_cast<Index>(size / 12) / piece);
  const Tensor<Rows<float, piece>, Cpu> a(cpu, pieces), b(cpu, pieces), c(cpu, pieces);
  const auto triad = [&] {
    cpu.parallel_for(pieces, [a = a.view(), b = b.view(), c = c.view()](Index p) {
      const auto sum = a[p], left = b[p], right = c[p];
#pragma omp simd
      for (Index i = 0; i < piece; ++i) sum[i] = left[i] + 3.0f * right[i];
    });
  };
  return found->second = static_cast<double>(12 * pieces * piece) / best_seconds(triad);
}

/// The least seconds that the work needs on this machine.
template <class T = float>
double least_seconds(Cpu& cpu, Work work) {
  return std::max(work.flops > 0 ? work.flops / gemm_peak<T>(cpu) : 0.0, work.bytes > 0 ? work.bytes / triad_bandwidth(cpu, work.bytes) : 0.0);
}

/// GFLOP/s, GB/s and `roof`, the least time over the time taken: 1 is the roof.
inline void report(benchmark::State& state, Work work, double least) {
  report_rates(state, work);
  rate(state, "roof", least);
}

}  // namespace bench
