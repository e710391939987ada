// GELU of the MLP's hidden values (T, 4C).
#include <terse/ops/gelu/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

template <class T>
void forward(benchmark::State& state) {
  Cpu cpu;
  const auto x = random_rows<T, 4 * C>(cpu), y = random_rows<T, 4 * C>(cpu);
  time(state, cpu, {.bytes = bytes_of(x, y)}, [&] { ops::gelu_forward<ops::Gelu::tanh>(cpu, x.view(), y.view()); });
}

/// dx overwrites dy, and y is computed again.
template <class T>
void backward(benchmark::State& state) {
  Cpu cpu;
  const auto x = random_rows<T, 4 * C>(cpu), y = random_rows<T, 4 * C>(cpu), dy = random_rows<T, 4 * C>(cpu);
  time(state, cpu, {.bytes = bytes_of(x, y, dy, dy)}, [&] { ops::gelu_backward<ops::Gelu::tanh>(cpu, x.view(), y.view(), dy.view()); });
}

}  // namespace

BENCHMARK(forward<float>)->Name("gelu/forward/fp32")->Apply(op);
BENCHMARK(forward<bfloat16>)->Name("gelu/forward/bf16")->Apply(op);
BENCHMARK(backward<float>)->Name("gelu/backward/fp32")->Apply(op);
