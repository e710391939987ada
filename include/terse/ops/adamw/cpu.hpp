#pragma once
#include <algorithm>
#include <cmath>

#include <terse/core/dtype.hpp>
#include <terse/device/cpu.hpp>
#include <terse/ops/adamw/op.hpp>

namespace terse::ops {

/// `step` counts from 1. `gradient_scale` unscales and clips; see ops/adamw/op.hpp.
template <Real S, Real P>
void adamw(const Cpu& cpu, AdamW op, long step, S gradient_scale, Index n, S* master, const S* gradient, S* m, S* v, P* parameter) {
  const double correction1 = 1 - std::pow(op.beta1, static_cast<double>(step)), correction2 = 1 - std::pow(op.beta2, static_cast<double>(step));
  const S keep = static_cast<S>(1 - op.lr * op.weight_decay), rate = static_cast<S>(op.lr / correction1);
  const S root = static_cast<S>(std::sqrt(correction2)), epsilon = static_cast<S>(op.epsilon);
  const S take1 = static_cast<S>(1 - op.beta1), beta2 = static_cast<S>(op.beta2), take2 = static_cast<S>(1 - op.beta2);
  constexpr Index piece = 16384;
  cpu.parallel_for(divide_up(n, piece), [=](Index p) {
    const Index end = std::min(n, (p + 1) * piece);
#pragma omp simd
    for (Index i = p * piece; i < end; ++i) {
      const S g = gradient[i] * gradient_scale;
      m[i] += (g - m[i]) * take1;
      v[i] = beta2 * v[i] + take2 * g * g;
      const S value = master[i] * keep - rate * m[i] / (std::sqrt(v[i]) / root + epsilon);
      master[i] = value;
      parameter[i] = static_cast<P>(value);
    }
  });
}

}  // namespace terse::ops
