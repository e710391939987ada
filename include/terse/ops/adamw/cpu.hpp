#pragma once
#include <algorithm>
#include <cmath>

#include <terse/core/dtype.hpp>
#include <terse/device/cpu.hpp>
#include <terse/ops/adamw/op.hpp>

namespace terse::ops {

/// `decays`: weight decay acts on these parameters; see ops/adamw/op.hpp.
template <Real S, Real P>
void adamw(const Cpu& cpu, const AdamWFactors<S>* factors, bool decays, Index n, S* master, const S* gradient, S* m, S* v, P* parameter) {
  const AdamWFactors<S> f = *factors;
  if (f.skipped) return;
  const S keep = decays ? f.keep : S{1};
  constexpr Index piece = 16384;
  cpu.parallel_for(divide_up(n, piece), [=](Index p) {
    const Index end = std::min(n, (p + 1) * piece);
#pragma omp simd
    for (Index i = p * piece; i < end; ++i) {
      const S g = gradient[i] * f.gradient_scale;
      m[i] += (g - m[i]) * f.take1;
      v[i] = f.beta2 * v[i] + f.take2 * g * g;
      const S value = master[i] * keep - f.rate * m[i] / (std::sqrt(v[i]) / f.root + f.epsilon);
      master[i] = value;
      parameter[i] = static_cast<P>(value);
    }
  });
}

}  // namespace terse::ops
