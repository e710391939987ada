#pragma once
#include <algorithm>
#include <utility>

#include <terse/core/dtype.hpp>
#include <terse/device/cpu.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/adamw/op.hpp>
#include <terse/ops/ema/op.hpp>

namespace terse::ops {

/// The formula of ops/ema/op.hpp, after the step that `factors` are of. The product and its sum by name, as AdamW's.
template <Real S>
void ema(const Cpu& cpu, const Ema& op, const AdamWFactors<S>* factors, Index n, const S* weight, S* average) {
  if (factors->skipped) return;
  const bool copies = factors->is_first;
  const S taken = static_cast<S>(1 - op.decay);
  constexpr Index piece = 16384;
  cpu.parallel_for(divide_up(n, piece), [=](Index p) {
    using V = Simd<S>;
    const Index begin = p * piece, end = std::min(n, begin + piece);
    if (copies) {
      std::copy(weight + begin, weight + end, average + begin);
      return;
    }
    typename V::Register take, w, mean;
    V::fill(take, taken);
    Index i = begin;
    for (; i + V::lanes <= end; i += V::lanes) {
      V::load(w, weight + i), V::load(mean, average + i);
      V::add_product(mean, w - mean, take);
      V::store(average + i, mean);
    }
    V::load_part(w, weight + i, end - i), V::load_part(mean, average + i, end - i);
    V::add_product(mean, w - mean, take);
    V::store_part(average + i, mean, end - i);
  });
}

/// a (n) becomes b, and b a: of weights and their average, so that a model computes with the one or the other.
template <Real S>
void exchange(const Cpu& cpu, S* a, S* b, Index n) {
  constexpr Index piece = 16384;
  cpu.parallel_for(divide_up(n, piece), [=](Index p) { std::swap_ranges(a + p * piece, a + std::min(n, (p + 1) * piece), b + p * piece); });
}

}  // namespace terse::ops
