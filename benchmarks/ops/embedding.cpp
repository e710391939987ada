// Token and position embeddings of the micro-batch, without dropout.
#include <terse/ops/embedding/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

struct Tables {
  Cpu cpu;
  MicroBatch batch;
  Tensor<Matrix<float, padded_vocabulary, C>, Cpu> tokens_table = random<Matrix<float, padded_vocabulary, C>>(cpu);
  Tensor<Matrix<float, context, C>, Cpu> positions = random<Matrix<float, context, C>>(cpu);
  Tensor<Rows<float, C>, Cpu> y = random_rows<float, C>(cpu);
};

void forward(benchmark::State& state) {
  Tables t;
  time(state, t.cpu, {.bytes = 3 * bytes_of(t.y)}, [&] { ops::embed(t.cpu, t.batch.view(), t.tokens_table.view(), t.positions.view(), ops::Dropout{}, t.y.view()); });
}

/// Rows of both tables' gradients are read and written.
void backward(benchmark::State& state) {
  Tables t;
  time(state, t.cpu, {.bytes = 5 * bytes_of(t.y)},
       [&] { ops::embed_backward(t.cpu, t.batch.view(), ops::Dropout{}, t.y.view(), t.tokens_table.view(), t.positions.view()); });
}

}  // namespace

BENCHMARK(forward)->Name("embedding/forward/fp32")->Apply(op);
BENCHMARK(backward)->Name("embedding/backward/fp32")->Apply(op);
