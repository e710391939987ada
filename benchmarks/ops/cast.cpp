// fp32 to bf16 and back, of (T, 4C).
#include <terse/ops/cast/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

template <class From, class To>
void cast(benchmark::State& state) {
  Cpu cpu;
  const auto x = random_rows<From, 4 * C>(cpu);
  const Tensor<Rows<To, 4 * C>, Cpu> y(cpu, tokens);
  time(state, cpu, {.bytes = bytes_of(x, y)}, [&] { ops::cast(cpu, x.data(), y.data(), x.size()); });
}

}  // namespace

BENCHMARK((cast<float, bfloat16>))->Name("cast/fp32_to_bf16")->Apply(op);
BENCHMARK((cast<bfloat16, float>))->Name("cast/bf16_to_fp32")->Apply(op);
BENCHMARK((cast<float, half>))->Name("cast/fp32_to_fp16")->Apply(op);
