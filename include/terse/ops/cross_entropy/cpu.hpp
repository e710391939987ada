#pragma once
#include <cmath>
#include <span>

#include <terse/core/packed_batch.hpp>
#include <terse/device/cpu.hpp>
#include <terse/device/math.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/cross_entropy/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::inline TERSE_ISA {

/// A row's largest value and the softmax's denominator, relative to it.
template <class S>
struct SoftmaxStatistics {
  S largest, sum;  ///< sum of exp(x - largest)

  /// log(sum over v of exp(x[v])), without overflow.
  S log_sum() const { return largest + std::log(sum); }
};

/// Of x[0, n), n >= 1.
template <class S>
SoftmaxStatistics<S> softmax_statistics(const S* x, Index n) {
  const S largest = largest_of(x, n);
  return {largest, sum_in_chains<S>(n, [=](Index v) { return fast_exp(x[v] - largest); })};
}

/// Mean over v of x[v] - largest, in x[0, n), n >= 1.
template <class S>
S mean_below(const S* x, Index n, S largest) {
  return sum_in_chains<S>(n, [=](Index v) { return x[v] - largest; }) / static_cast<S>(n);
}

}  // namespace terse::ops::inline TERSE_ISA

namespace terse::ops {

/// The loss alone; the contract stands in ops/cross_entropy/op.hpp.
template <Index vocabulary, Real X, Index P>
void cross_entropy(const Cpu& cpu, Rows<X, P> logits, std::span<const TokenId> targets, Column<Wide<X>> loss) {
  cpu.parallel_for(logits.rows, [=](Index n) {
    const auto row = logits[n];
    loss[n] = softmax_statistics(row.data, vocabulary).log_sum() - row[targets[static_cast<std::size_t>(n)]];
  });
}

/// The loss and its gradient in one pass; the contract stands in ops/cross_entropy/op.hpp.
template <Index vocabulary, Real X, Real D, Index P>
void cross_entropy_with_gradient(const Cpu& cpu, Rows<X, P> logits, std::span<const TokenId> targets, std::span<const float> weights,
                                 Column<Wide<X>> loss, Rows<D, P> dlogits, const float* loss_scale = nullptr, float label_smoothing = 0) {
  using S = Wide<X>;
  const S scale = loss_scale == nullptr ? S{1} : static_cast<S>(*loss_scale), smoothing = label_smoothing;
  cpu.parallel_for(logits.rows, [=](Index n) {
    const auto row = logits[n];
    const auto out = dlogits[n];
    const auto target = targets[static_cast<std::size_t>(n)];
    const auto statistics = softmax_statistics(row.data, vocabulary);
    const S slope = static_cast<S>(weights[static_cast<std::size_t>(n)]) * scale, factor = slope / statistics.sum;
    const S of_each = slope * smoothing / vocabulary, of_target = slope * (1 - smoothing) + of_each;  // without smoothing 0 and slope
    const S at_target = row[target];
    loss[n] = statistics.log_sum() - at_target;
    if (smoothing > 0) loss[n] = (1 - smoothing) * loss[n] + smoothing * (std::log(statistics.sum) - mean_below(row.data, vocabulary, statistics.largest));
#pragma omp simd
    for (Index v = 0; v < vocabulary; ++v) assign(out[v], factor * fast_exp(row[v] - statistics.largest) - of_each);
    out[target] = static_cast<D>(factor * fast_exp(at_target - statistics.largest) - of_target);
    for (Index v = vocabulary; v < P; ++v) out[v] = D{};
  });
}

}  // namespace terse::ops

namespace terse::ops::inline TERSE_ISA {

/// The loss of a batch: sum over n of weights[n] * loss[n], in double and in order.
template <Real S>
double weighted_sum(std::span<const float> weights, Column<S> loss) {
  double total = 0;
  for (std::size_t n = 0; n < weights.size(); ++n) total += static_cast<double>(weights[n]) * static_cast<double>(loss[static_cast<Index>(n)]);
  return total;
}

/// The same, into the device's memory.
template <Real S>
void weighted_sum(const Cpu&, std::span<const float> weights, Column<S> loss, double* total) {
  *total = weighted_sum(weights, loss);
}

}  // namespace terse::ops::inline TERSE_ISA
