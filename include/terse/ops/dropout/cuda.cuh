#pragma once
#include <cstdint>

#include <cuda_runtime.h>

#include <terse/core/packed_batch.hpp>
#include <terse/core/shape.hpp>
#include <terse/ops/dropout/op.hpp>

namespace terse::ops::gpu {

/// The document that row t of a packed batch belongs to.
__device__ inline Index document_of(const std::int32_t* cu_seqlens, Index documents, Index t) {
  Index first = 0, last = documents - 1;  // cu_seqlens[first] <= t < cu_seqlens[last + 1]
  while (first < last) {
    const Index middle = (first + last + 1) / 2;
    if (cu_seqlens[middle] <= t) first = middle;
    else last = middle - 1;
  }
  return first;
}

/// One site's dropout over the rows of a batch, whose arrays lie on the GPU.
struct BatchDropout {
  Dropout dropout;
  const std::int32_t* cu_seqlens = nullptr;
  Index documents = 0;
  const std::int32_t* positions = nullptr;
  const std::uint32_t* draws = nullptr;

  BatchDropout(const PackedBatch& batch, const Dropout& site)
      : dropout(site),
        cu_seqlens(batch.cu_seqlens.data()),
        documents(static_cast<Index>(batch.cu_seqlens.size()) - 1),
        positions(batch.positions.data()),
        draws(batch.draws.data()) {}

  /// What keys a row's random words besides the column.
  struct Row {
    std::uint32_t draw;
    Index position;
  };
  __device__ Row row(Index t) const {
    return dropout.active() ? Row{draws[document_of(cu_seqlens, documents, t)], Index{positions[t]}} : Row{0, 0};
  }

  /// Multiplies the values of columns [c, c + each) by 0 or 1 / (1 - p): the CPU's numbers. c and each are multiples of 4.
  template <int each>
  __device__ void apply(float (&values)[each], const Row& row, Index c) const {
    static_assert(each % 4 == 0);
    if (!dropout.active()) return;
    for (int block = 0; block < each / 4; ++block) {
      const auto words = dropout.words(row.draw, 0, row.position, c / 4 + block);
      for (int i = 0; i < 4; ++i) values[4 * block + i] *= words[static_cast<unsigned>(i)] < dropout.drop_below ? 0.0f : dropout.scale;
    }
  }
};

}  // namespace terse::ops::gpu
