// AdamW over as many parameters as the token table has, 31% of the model's.
#include <terse/ops/adamw/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

/// T: what the model computes with; in fp32 that is the master copy itself.
template <class T>
void step(benchmark::State& state) {
  constexpr bool has_copy = !std::is_same_v<T, float>;
  Cpu cpu;
  using Table = Matrix<float, padded_vocabulary, C>;
  const auto master = random<Table>(cpu), gradient = random<Table>(cpu);
  const Tensor<Table, Cpu> m(cpu), v(cpu);
  const Tensor<Rows<T, C>, Cpu> copy(cpu, has_copy ? padded_vocabulary : 1);
  T* parameter = copy.data();
  if constexpr (!has_copy) parameter = master.data();
  const double bytes = 2 * bytes_of(master, m, v) + bytes_of(gradient) + (has_copy ? bytes_of(copy) : 0);
  long steps = 0;
  time(state, cpu, {.bytes = bytes}, [&] {
    const auto factors = ops::adamw_factors<float>(ops::AdamW{}, ++steps, 1);
    ops::adamw(cpu, &factors, ops::adamw_group<float>({}, true), master.size(), master.data(), gradient.data(), m.data(), v.data(), parameter);
  });
}

}  // namespace

BENCHMARK(step<float>)->Name("adamw/fp32")->Apply(op);
BENCHMARK(step<bfloat16>)->Name("adamw/bf16")->Apply(op);
