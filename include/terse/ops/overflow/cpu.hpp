#pragma once
#include <span>

#include <terse/device/cpu.hpp>
#include <terse/ops/overflow/op.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::ops {

/// See ops/overflow/op.hpp.
template <Real S, Index C>
void find_overflow(const Cpu& cpu, std::span<const std::int32_t> cu_seqlens, Rows<S, C> dstream, const S* gradient, const FlatRange* ranges, Index first, Index end,
                   std::int32_t micro_batch, Overflow* overflow) {
  if (!overflow->found() && !all_finite(cpu, dstream.data, dstream.size()))
    for (std::size_t b = 0; b + 1 < cu_seqlens.size() && !overflow->found(); ++b) {
      const auto rows = dstream.slice(cu_seqlens[b], cu_seqlens[b + 1] - cu_seqlens[b]);
      if (!all_finite(cpu, rows.data, rows.size())) overflow->micro_batch = micro_batch, overflow->document = static_cast<std::int32_t>(b);
    }
  if (overflow->micro_batch != micro_batch) return;
  for (Index p = end - 1; p >= first && overflow->parameter < 0; --p)
    if (!all_finite(cpu, gradient + ranges[p].first, ranges[p].size)) overflow->parameter = static_cast<std::int32_t>(p);
}

}  // namespace terse::ops
