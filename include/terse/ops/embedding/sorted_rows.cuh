#pragma once
/// Rows that are added to rows of a table, several of them perhaps to one: sorted by their place in the table, so that each place's rows
/// are added by one warp in the order they stand. No atomics: the sums' bits are the CPU's.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include <cub/device/device_radix_sort.cuh>

#include <terse/core/dtype.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/bounds.cuh>
#include <terse/device/cuda.cuh>
#include <terse/device/indexing.cuh>
#include <terse/device/numeric.cuh>
#include <terse/tensor/view.hpp>

namespace terse::ops {

namespace gpu {

/// What CUB may take to sort n pairs of 32 bits: histograms and look-back of its one-sweep sort, a few KiB for each 4096 pairs, and room to spare.
constexpr std::size_t sort_bytes(Index rows) { return (std::size_t{1} << 20) + static_cast<std::size_t>(round_up(rows, Index{64})) * 8; }

}  // namespace gpu

/// Bytes of workspace that adding so many rows to a table takes: scatter_add, and the embedding's backward.
constexpr std::size_t sorted_rows_workspace(Index rows) {
  return gpu::sort_bytes(rows) + 3 * static_cast<std::size_t>(round_up(rows, Index{64})) * sizeof(std::int32_t);
}

}  // namespace terse::ops

namespace terse::ops::gpu {

/// The rows' numbers in the order of their places, and those places. A sort that is stable keeps rows of one place in order.
struct SortedRows {
  const std::int32_t* places;
  const std::int32_t* rows;
};

template <class Number>
__global__ void count_up(Number* numbers, Index n) {
  if (const Index i = device::first_value(1); device::inside(i, n)) numbers[i] = static_cast<Number>(i);
}

// A template, so that only those who call it pay for compiling CUB's sort.
template <class Place>
SortedRows sort_rows(const Cuda& cuda, std::span<const Place> places, Index table_rows) {
  const auto n = static_cast<Index>(places.size()), part = round_up(n, Index{64});
  std::byte* const memory = cuda.workspace(sorted_rows_workspace(n));
  auto* const numbers = reinterpret_cast<std::int32_t*>(memory);
  auto* const sorted_numbers = numbers + part;
  auto* const sorted_places = sorted_numbers + part;
  device::launch(cuda, count_up<std::int32_t>, device::threads_for(n, 1), numbers, n);
  const int bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(table_rows - 1)));
  const auto sort = [&](void* scratch, std::size_t& bytes) {
    device::check(cub::DeviceRadixSort::SortPairs(scratch, bytes, places.data(), sorted_places, numbers, sorted_numbers, static_cast<int>(n), 0, bits > 0 ? bits : 1, cuda.stream()),
                  "cub::DeviceRadixSort");
  };
  if (cuda.rehearses()) return {};
  std::size_t bytes = 0;
  sort(nullptr, bytes);
  if (bytes > sort_bytes(n)) fail(Failure::internal, "sorting ", n, " rows takes ", bytes, " bytes of workspace, more than the ", sort_bytes(n), " planned");
  sort(sorted_places + part, bytes);
  return {sorted_places, sorted_numbers};
}

/// table[place] += x[row] for the rows of each place, in order: a warp for the first row of a place and 128 columns.
template <Real X, Real G>
__global__ void add_sorted_rows(SortedRows sorted, RowsView<const X> x, G* table) {
  constexpr int each = 4;
  const Index first = device::row_of_warp(), c = (Index{blockIdx.y} * device::warp_lanes + device::lane()) * each;
  if (!device::inside(first, x.rows) ||
      !device::inside(c, x.columns))
    return;
  const std::int32_t place = sorted.places[first];
  if (first > 0 && sorted.places[first - 1] == place) return;
  float sums[each], values[each];
  device::load(sums, table + place * x.columns + c);
  for (Index i = first; device::inside(i, x.rows) && sorted.places[i] == place; ++i) {
    device::load(values, x[sorted.rows[i]] + c);
    for (int k = 0; k < each; ++k) sums[k] += values[k];
  }
  device::store(table + place * x.columns + c, sums);
}

/// table[places[t]] += x[t], in order of t.
template <Real X, Real G>
void add_rows(const Cuda& cuda, RowsView<const X> x, std::span<const std::int32_t> places, RowsView<G> table) {
  if (x.rows == 0) return;
  device::Launch shape = device::warps_for(x.rows);
  shape.blocks.y = static_cast<unsigned>(divide_up(x.columns, Index{device::warp_lanes * 4}));
  device::launch(cuda, add_sorted_rows<X, G>, shape, sort_rows(cuda, places, table.rows), x, table.data);
}

}  // namespace terse::ops::gpu
