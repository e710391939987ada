// Layer normalization of the residual stream (T, C).
#include <terse/ops/layer_norm/cpu.hpp>

#include "op.hpp"

using namespace bench;

namespace {

struct Norm {
  Cpu cpu;
  Tensor<Rows<float, C>, Cpu> x = random_rows<float, C>(cpu), y = random_rows<float, C>(cpu), dx{cpu, tokens};
  Tensor<Vector<float, C>, Cpu> gain = random<Vector<float, C>>(cpu), bias = random<Vector<float, C>>(cpu), dgain{cpu}, dbias{cpu};
  Tensor<Column<float>, Cpu> mean{cpu, tokens}, rstd{cpu, tokens};

  ops::LayerNorm::Saved<float> saved() const { return {mean.view(), rstd.view()}; }
};

void forward(benchmark::State& state) {
  Norm n;
  time(state, n.cpu, {.bytes = bytes_of(n.x, n.y)}, [&] { ops::forward(n.cpu, ops::LayerNorm{}, n.x.view(), n.gain.view(), n.bias.view(), n.y.view(), n.saved()); });
}

/// As in the model: dx is added to the stream's gradient.
void backward(benchmark::State& state) {
  Norm n;
  ops::forward(n.cpu, ops::LayerNorm{}, n.x.view(), n.gain.view(), n.bias.view(), n.y.view(), n.saved());
  time(state, n.cpu, {.bytes = bytes_of(n.x, n.y, n.dx, n.dx)}, [&] {
    ops::backward(n.cpu, ops::LayerNorm{}, n.x.view(), n.gain.view(), n.saved(), n.y.view(), n.dx.view(), Write::accumulate);
    ops::gain_and_bias_gradients(n.cpu, ops::LayerNorm{}, n.x.view(), n.saved(), n.y.view(), n.dgain.view(), n.dbias.view());
  });
}

}  // namespace

BENCHMARK(forward)->Name("layer_norm/forward/fp32")->Apply(op);
BENCHMARK(backward)->Name("layer_norm/backward/fp32")->Apply(op);
