#pragma once
#include <cmath>

#include <terse/device/cpu.hpp>
#include <terse/device/math.hpp>
#include <terse/device/simd.hpp>
#include <terse/ops/cached_attention/op.hpp>
#include <terse/ops/matmul/invariant.hpp>

namespace terse::ops::inline TERSE_ISA {

/// Calls visit(source, first, end) for each run of positions [first, end) of [0, keys) of a slot that stand in one slot.
template <class Visit>
void for_each_run(const std::int32_t* sources, Index slot, Index keys, Visit&& visit) {
  if (sources == nullptr) return visit(slot, Index{0}, keys);
  for (Index first = 0, end = 0; first < keys; first = end) {
    while (end < keys && sources[end] == sources[first]) ++end;
    visit(Index{sources[first]}, first, end);
  }
}

}  // namespace terse::ops::inline TERSE_ISA

namespace terse::ops {

/// Keys and values of the rows enter the cache, and out follows; the contract stands in ops/cached_attention/op.hpp.
template <Real T, Real K, Index key_value_heads, Index context, Index D, Index columns, Index C>
void forward(const Cpu& cpu, CachedAttention, CacheRows rows, Rows<T, columns> qkv, KeyValueCache<K, key_value_heads, context, D> cache, Rows<T, C> out) {
  constexpr Index heads = C / D, sharing = heads / key_value_heads;
  static_assert(C == heads * D && columns == C + 2 * key_value_heads * D);
  using S = Wide<T>;
  const auto slot_of = [rows](Index r) { return static_cast<Index>(rows.slots[static_cast<std::size_t>(r)]); };
  const auto position_of = [rows](Index r) { return static_cast<Index>(rows.positions[static_cast<std::size_t>(r)]); };
  cpu.parallel_for(qkv.rows * key_value_heads, [=](Index task) {
    const Index r = task / key_value_heads, head = task % key_value_heads, slot = slot_of(r), position = position_of(r);
    const auto* key = qkv[r].data + C + head * D;
    for (Index d = 0; d < D; ++d) {
      cache.key(slot, head, position)[d] = static_cast<K>(static_cast<S>(key[d]));
      cache.value(slot, head, position)[d] = static_cast<K>(static_cast<S>(key[key_value_heads * D + d]));
    }
  });
  cpu.parallel_for_uneven(qkv.rows * heads, [=, &cpu](Index task) {
    const Index r = task / heads, head = task % heads, shared = head / sharing, slot = slot_of(r), keys = position_of(r) + 1;
    const std::int32_t* const sources = rows.sources == nullptr ? nullptr : rows.sources + slot * context;
    S* const scores = reinterpret_cast<S*>(cpu.thread_scratch());
    const T* query = qkv[r].data + head * D;
    for_each_run(sources, slot, keys, [&](Index source, Index first, Index end) {
      const K* key = cache.key(source, shared, 0);
      Index j = first;
      for (; j + 4 <= end; j += 4) kernel::dot_tile<4>(D, query, key + j * D, D, scores + j);
      for (; j < end; ++j) kernel::dot_tile<1>(D, query, key + j * D, D, scores + j);
    });
    const S scale = 1 / std::sqrt(static_cast<S>(D));
    const S largest = largest_of(scores, keys);
    const S sum = sum_in_chains<S>(keys, [=](Index i) { return scores[i] = fast_exp((scores[i] - largest) * scale); });
    S result[D] = {};
    for_each_run(sources, slot, keys, [&](Index source, Index first, Index end) {  // one chain of sums through all runs
      kernel::multiply<Write::accumulate>(1, D, end - first, scores + first, keys, 1, cache.value(source, shared, first), D, result, D);
    });
    for (Index d = 0; d < D; ++d) out[r][head * D + d] = static_cast<T>(result[d] / sum);
  });
}

}  // namespace terse::ops
