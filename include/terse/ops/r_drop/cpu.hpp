#pragma once
#include <cmath>
#include <span>

#include <terse/core/packed_batch.hpp>
#include <terse/device/cpu.hpp>
#include <terse/device/math.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/cross_entropy/cpu.hpp>
#include <terse/ops/r_drop/op.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops::inline TERSE_ISA {

/// A row and its softmax: p[v] and log p[v].
template <class S>
struct Softmax {
  const S* logits;
  S largest, log_sum, inverse;  ///< of exp(x - largest): its sum's logarithm, and 1 / sum

  Softmax(const S* x, Index n) : logits(x) {
    const auto statistics = softmax_statistics(x, n);
    largest = statistics.largest, log_sum = std::log(statistics.sum), inverse = 1 / statistics.sum;
  }
  S operator[](Index v) const { return fast_exp(logits[v] - largest) * inverse; }
  S log(Index v) const { return logits[v] - largest - log_sum; }
};

/// KL(p || q) over [0, n).
template <class S>
S divergence(Softmax<S> p, Softmax<S> q, Index n) {
  return sum_in_chains<S>(n, [=](Index v) { return p[v] * (p.log(v) - q.log(v)); });
}

}  // namespace terse::ops::inline TERSE_ISA

namespace terse::ops {

/// The loss and its gradient; the contract stands in ops/r_drop/op.hpp.
template <Index vocabulary, Real X, Real D, Index P>
void r_drop_with_gradient(const Cpu& cpu, Rows<X, P> logits, std::span<const TokenId> targets, std::span<const float> weights, Column<Wide<X>> loss, Rows<D, P> dlogits,
                          const float* loss_scale, LossTerms loss_terms) {
  using S = Wide<X>;
  const S scale = loss_scale == nullptr ? S{1} : static_cast<S>(*loss_scale), smoothing = loss_terms.label_smoothing, share = static_cast<S>(loss_terms.r_drop) / 2;
  const S of_each = smoothing / vocabulary, of_target = 1 - smoothing + of_each;
  cpu.parallel_for(logits.rows / 2, [=](Index pair) {
    const Softmax<S> twins[] = {{logits[2 * pair].data, vocabulary}, {logits[2 * pair + 1].data, vocabulary}};
    const S divergences[] = {divergence(twins[0], twins[1], vocabulary), divergence(twins[1], twins[0], vocabulary)};
    const auto at = static_cast<std::size_t>(2 * pair);
    const S weight[] = {static_cast<S>(weights[at]) * scale, static_cast<S>(weights[at + 1]) * scale}, pull = share * (weight[0] + weight[1]);
    const auto slope = [&](int twin, Index v, S of_label) {
      const auto &p = twins[twin], &q = twins[1 - twin];
      const S probability = p[v];
      return weight[twin] * (probability - of_label) + pull * (probability * (1 + p.log(v) - q.log(v) - divergences[twin]) - q[v]);
    };
    S at_target[2];  // before slopes take the place of logits
    for (int twin = 0; twin < 2; ++twin) {
      const auto& p = twins[twin];
      const TokenId target = targets[at + static_cast<std::size_t>(twin)];
      at_target[twin] = slope(twin, target, of_target);
      S entropy = -p.log(target);
      if (smoothing > 0) entropy = (1 - smoothing) * entropy + smoothing * (p.log_sum - mean_below(p.logits, vocabulary, p.largest));
      loss[2 * pair + twin] = entropy + share * (divergences[0] + divergences[1]);
    }
    const auto first = dlogits[2 * pair], second = dlogits[2 * pair + 1];
#pragma omp simd
    for (Index v = 0; v < vocabulary; ++v) {
      const S of_first = slope(0, v, of_each), of_second = slope(1, v, of_each);
      assign(first[v], of_first), assign(second[v], of_second);
    }
    first[targets[at]] = static_cast<D>(at_target[0]), second[targets[at + 1]] = static_cast<D>(at_target[1]);
    for (Index v = vocabulary; v < P; ++v) first[v] = second[v] = D{};
  });
}

}  // namespace terse::ops
