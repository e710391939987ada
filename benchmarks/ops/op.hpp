#pragma once
// What the ops' benchmarks share: GPT-2 124M's sizes, the reference micro-batch (the first 16 dialogues of DialogSum's dev.csv, 3998 tokens) and
// the loop that is timed. Inputs are random numbers; peers/ops.py does the same work under the same names.
#include <cstdint>
#include <vector>

#include <terse/core/packed_batch.hpp>
#include <terse/models/config.hpp>
#include <terse/ops/dropout/op.hpp>

#include "../roof.hpp"

namespace bench {

using namespace terse;

inline constexpr Index C = models::Gpt2::width, heads = models::Gpt2::heads, context = models::Gpt2::context, vocabulary = models::Gpt2::vocabulary,
                       padded_vocabulary = models::Gpt2::padded_vocabulary;
inline constexpr Index head_rows = 320;   ///< target rows whose logits exist at one time (models::Gpt)
inline constexpr Index decode_rows = 32;  ///< texts being written together
inline constexpr std::int32_t lengths[] = {
#include "lengths.inc"
};

/// The micro-batch of `lengths`, with ids that are far apart in the table, as a text's are.
class MicroBatch {
 public:
  MicroBatch() {
    for (const std::int32_t length : lengths) {
      for (std::int32_t position = 0; position < length; ++position) {
        ids_.push_back(static_cast<TokenId>(std::uint64_t{ids_.size()} * 7919 % vocabulary));
        positions_.push_back(position);
      }
      draws_.push_back(static_cast<std::uint32_t>(samples_.size()));
      samples_.push_back(static_cast<std::int64_t>(samples_.size()));
      cu_seqlens_.push_back(static_cast<std::int32_t>(ids_.size()));
    }
  }
  PackedBatch view() const { return {ids_, positions_, cu_seqlens_, {}, {}, {}, samples_, draws_}; }

 private:
  std::vector<std::int32_t> ids_, positions_, cu_seqlens_{0};
  std::vector<std::int64_t> samples_;
  std::vector<std::uint32_t> draws_;
};

inline constexpr Index tokens = [] {
  Index sum = 0;
  for (const Index length : lengths) sum += length;
  return sum;
}();

inline ops::Dropout tenth(ops::DropoutSite site) { return ops::DropoutPlan{0.1f, 42}.at(site); }

/// Values in [-1, 1): of a cheap generator, since some tensors have tens of millions.
template <class View>
Tensor<View, Cpu> random(Cpu& cpu, auto... rows) {
  Tensor<View, Cpu> tensor(cpu, rows...);
  std::uint32_t word = 42;
  for (Index i = 0; i < tensor.size(); ++i) {
    word = word * 1664525u + 1013904223u;
    tensor.data()[i] = static_cast<typename View::Value>(static_cast<float>(word >> 8) * 0x1p-23f - 1.0f);
  }
  return tensor;
}

template <class T, Index columns>
Tensor<Rows<T, columns>, Cpu> random_rows(Cpu& cpu, Index rows = tokens) {
  return random<Rows<T, columns>>(cpu, rows);
}

/// Bytes of all the tensors.
double bytes_of(const auto&... tensors) {
  return (0.0 + ... + (static_cast<double>(tensors.size()) * sizeof(*tensors.data())));
}

/// Times `body` and reports it against the roof of products in T.
template <class T = float>
void time(benchmark::State& state, Cpu& cpu, Work work, auto&& body) {
  const double least = least_seconds<T>(cpu, work);
  body();  // touches the memory
  for (auto _ : state) {
    body();
    benchmark::ClobberMemory();
  }
  report(state, work, least);
}

inline void op(benchmark::internal::Benchmark* benchmark) { benchmark->Unit(benchmark::kMillisecond)->UseRealTime(); }

}  // namespace bench
