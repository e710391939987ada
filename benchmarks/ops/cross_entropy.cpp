// Loss and its gradient of 320 rows of logits; in fp32 the gradient takes the logits' memory, as in the model.
#include <terse/ops/cross_entropy/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

template <class D>
void with_gradient(benchmark::State& state) {
  Cpu cpu;
  const auto logits = random_rows<float, padded_vocabulary>(cpu, head_rows);
  const Tensor<Rows<D, padded_vocabulary>, Cpu> own(cpu, std::is_same_v<D, float> ? 1 : head_rows);
  Rows<D, padded_vocabulary> slopes = own.view();
  if constexpr (std::is_same_v<D, float>) slopes = logits.view();
  const Tensor<Column<float>, Cpu> loss(cpu, head_rows);
  std::vector<TokenId> targets(head_rows);
  for (std::size_t n = 0; n < targets.size(); ++n) targets[n] = static_cast<TokenId>(n * 7919 % vocabulary);
  const std::vector<float> weights(head_rows, 1.0f / head_rows);
  const Rows<const float, padded_vocabulary> given = logits.view();
  time(state, cpu, {.bytes = bytes_of(logits) + static_cast<double>(slopes.size()) * sizeof(D)},
       [&] { ops::cross_entropy_with_gradient<vocabulary>(cpu, given, targets, weights, loss.view(), slopes); });
}

}  // namespace

BENCHMARK(with_gradient<float>)->Name("cross_entropy/fp32")->Apply(op);
BENCHMARK(with_gradient<bfloat16>)->Name("cross_entropy/bf16")->Apply(op);
