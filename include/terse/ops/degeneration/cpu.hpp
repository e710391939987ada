#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include <terse/device/cpu.hpp>
#include <terse/ops/degeneration/op.hpp>
#include <terse/ops/matmul/tiles.hpp>

namespace terse::ops {

/// The rows' directions, and the penalty of each row of `ask`; the contract stands in ops/degeneration/op.hpp.
template <Index context, Real T, Real S, Index C>
void degeneration(const Cpu& cpu, CacheRows rows, std::span<const std::int32_t> ask, Rows<T, C> hidden, Rows<S, C> directions, Column<S> penalties) {
  const auto direction_of = [=](Index slot, Index position) { return directions[slot * context + position].data; };
  const auto slot_of = [rows](Index r) { return Index{rows.slots[static_cast<std::size_t>(r)]}; };
  const auto position_of = [rows](Index r) { return Index{rows.positions[static_cast<std::size_t>(r)]}; };
  cpu.parallel_for(hidden.rows, [=](Index r) {
    S* const direction = direction_of(slot_of(r), position_of(r));
    std::transform(hidden[r].data, hidden[r].data + C, direction, [](T value) { return static_cast<S>(value); });
    S square = 0;
    kernel::dot_tile<1>(C, direction, direction, C, &square);
    const S scale = square > 0 ? 1 / std::sqrt(square) : S{0};
    for (Index c = 0; c < C; ++c) direction[c] *= scale;
  });
  cpu.parallel_for_uneven(static_cast<Index>(ask.size()), [=](Index a) {
    const Index r = ask[static_cast<std::size_t>(a)], slot = slot_of(r), position = position_of(r);
    const std::int32_t* const sources = rows.sources == nullptr ? nullptr : rows.sources + slot * context;
    S largest = -1;
    for (Index j = 0; j < position; ++j) {
      S likeness = 0;
      kernel::dot_tile<1>(C, direction_of(slot, position), direction_of(sources == nullptr ? slot : Index{sources[j]}, j), C, &likeness);
      largest = std::max(largest, likeness);
    }
    penalties[a] = largest;
  });
}

}  // namespace terse::ops
