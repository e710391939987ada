#pragma once
#include <algorithm>

#include <terse/core/dtype.hpp>
#include <terse/device/cpu.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/adamw/op.hpp>

namespace terse::inline TERSE_ISA {

/// The step of one register of parameters. Sums of products by name, so that a parameter's bits don't depend on its place.
template <class S>
[[gnu::always_inline]] inline void adamw_update(const ops::AdamWFactors<S>& f, S keep, const typename Simd<S>::Register& gradient, typename Simd<S>::Register& value,
                                                typename Simd<S>::Register& m, typename Simd<S>::Register& v) {
  using V = Simd<S>;
  typename V::Register take1, kept, root;
  V::fill(take1, f.take1), V::fill(kept, keep);
  const typename V::Register g = gradient * f.gradient_scale;
  V::add_product(m, g - m, take1);
  v *= f.beta2;
  V::add_product(v, f.take2 * g, g);
  V::root(root, v);
  typename V::Register next = -(f.rate * m / (root / f.root + f.epsilon));
  V::add_product(next, value, kept);
  value = next;
}

}  // namespace terse::inline TERSE_ISA

namespace terse::ops {

/// The formula of ops/adamw/op.hpp for parameters of one group.
template <Real S, Real P>
void adamw(const Cpu& cpu, const AdamWFactors<S>* factors, const AdamWGroup<S>& group, Index n, S* master, const S* gradient, S* m, S* v, P* parameter) {
  AdamWFactors<S> f = *factors;
  if (f.skipped) return;
  f.rate *= group.rate;
  constexpr Index piece = 16384;
  cpu.parallel_for(divide_up(n, piece), [=, keep = group.keep](Index p) {
    using V = Simd<S>;
    const Index begin = p * piece, end = std::min(n, begin + piece);
    typename V::Register slope, value, first, second;
    Index i = begin;
    for (; i + V::lanes <= end; i += V::lanes) {
      V::load(slope, gradient + i), V::load(value, master + i), V::load(first, m + i), V::load(second, v + i);
      adamw_update<S>(f, keep, slope, value, first, second);
      V::store(master + i, value), V::store(m + i, first), V::store(v + i, second);
    }
    const Index rest = end - i;
    V::load_part(slope, gradient + i, rest), V::load_part(value, master + i, rest), V::load_part(first, m + i, rest), V::load_part(second, v + i, rest);
    adamw_update<S>(f, keep, slope, value, first, second);
    V::store_part(master + i, value, rest), V::store_part(m + i, first, rest), V::store_part(v + i, second, rest);
    if (static_cast<const void*>(parameter) == master) return;
    for (Index j = begin; j < end; ++j) assign(parameter[j], master[j]);
  });
}

}  // namespace terse::ops
