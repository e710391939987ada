// Every kernel for the sizes and dtypes that terse-summarize ships, compiled for every architecture, by nvcc and by NVRTC (scripts/cuda-compile). No
// kernel runs: what they compute is shown by tests/hostcuda, what they do on a GPU by a GPU. Launches are recorded (launches.cpp).
#include <terse/ops/adamw/cuda.cuh>
#include <terse/ops/attention/cuda.cuh>
#include <terse/ops/cached_attention/cuda.cuh>
#include <terse/ops/cast/cuda.cuh>
#include <terse/ops/cross_entropy/cuda.cuh>
#include <terse/ops/degeneration/cuda.cuh>
#include <terse/ops/ema/cuda.cuh>
#include <terse/ops/embedding/cuda.cuh>
#include <terse/ops/gather/cuda.cuh>
#include <terse/ops/gelu/cuda.cuh>
#include <terse/ops/layer_norm/cuda.cuh>
#include <terse/ops/logits/cuda.cuh>
#include <terse/ops/matmul/cuda.cuh>
#include <terse/ops/matmul/invariant.cuh>
#include <terse/ops/overflow/cuda.cuh>
#include <terse/ops/r_drop/cuda.cuh>
#include <terse/ops/reduce/cuda.cuh>
#include <terse/ops/residual/cuda.cuh>
#include <terse/ops/rms_norm/cuda.cuh>
#include <terse/ops/rotary/cuda.cuh>
#include <terse/ops/sample/cuda.cuh>
#include <terse/ops/swiglu/cuda.cuh>
#include <terse/optim/update.cuh>

#include "kernels.hpp"

namespace terse {

// GPT-2's sizes. A kernel takes its width as an argument, so one width stands for all; A: parameters and activations.
template <Real A>
struct Kernels {
  static constexpr Index C = 768, V = 50257, P = 50304, context = 1024;

  Cuda& cuda;
  const PackedBatch& batch;
  Index rows = batch.tokens();
  Rows<float, C> stream{nullptr, rows};
  Rows<A, C> act{nullptr, rows};
  Vector<A, C> parameter{};
  Vector<float, C> gradient{};
  Column<float> column{nullptr, rows};
  ops::Dropout dropout{};

  void all() const { values(), block(), llama(), all_attention(), ends(), decode(), step(); }

  void values() const {
    const Index n = stream.size();
    ops::cast(cuda, stream.data, act.data, n), ops::cast(cuda, act.data, stream.data, n);
    ops::fill(cuda, stream.data, n, 0.0f), ops::add(cuda, stream.data, stream.data, n), ops::add(cuda, act, stream);
    double* const sum = nullptr;
    ops::sum_of_squares(cuda, stream.data, n, sum), ops::all_finite(cuda, stream.data, n, static_cast<bool*>(nullptr));
    const ops::AdamWFactors<float>* const factors = nullptr;
    ops::ema(cuda, ops::Ema{}, factors, n, stream.data, stream.data), ops::exchange(cuda, stream.data, stream.data, n);
    ops::adamw(cuda, factors, {}, n, stream.data, static_cast<const float*>(stream.data), stream.data, stream.data, act.data);
  }
  void block() const {
    const ops::LayerNorm::Saved<float> saved{column, column};
    ops::forward(cuda, ops::LayerNorm{}, stream, parameter, parameter, act, saved), ops::forward(cuda, ops::LayerNorm{}, stream, parameter, parameter, stream, saved);
    ops::recompute(cuda, ops::LayerNorm{}, stream, parameter, parameter, saved, act);
    ops::backward(cuda, ops::LayerNorm{}, stream, parameter, saved, stream, stream, Write::accumulate);
    ops::gain_and_bias_gradients(cuda, ops::LayerNorm{}, stream, saved, stream, gradient, gradient);
    ops::gelu_forward<ops::Gelu::tanh>(cuda, act, act), ops::gelu_backward<ops::Gelu::tanh>(cuda, act, act, act);
    ops::gelu_forward<ops::Gelu::exact>(cuda, act, act), ops::gelu_backward<ops::Gelu::exact>(cuda, act, act, act);
    ops::add_bias(cuda, parameter, act), ops::add_bias(cuda, parameter, stream);
    ops::bias_gradient(cuda, act, gradient);
    ops::residual<float, A, C>(cuda, batch, dropout, stream, stream, parameter, stream), ops::apply_dropout(cuda, batch, dropout, stream, act);
    const Matrix<A, C, C> weight{};
    ops::matmul(cuda, act, weight, act), ops::matmul(cuda, act, weight, stream);
    ops::matmul_gradient(cuda, act, act, Matrix<float, C, C>{}, Write::accumulate);
  }
  /// What Llama has in the place of GPT-2's.
  void llama() const {
    const ops::RmsNorm::Saved<float> saved{column};
    ops::forward(cuda, ops::RmsNorm{}, stream, parameter, act, saved), ops::forward(cuda, ops::RmsNorm{}, stream, parameter, stream, saved);
    ops::recompute(cuda, ops::RmsNorm{}, stream, parameter, saved, act);
    ops::backward(cuda, ops::RmsNorm{}, stream, parameter, saved, stream, stream, Write::accumulate);
    ops::gain_gradient(cuda, ops::RmsNorm{}, stream, saved, stream, gradient);
    const Rows<A, 2 * C> wide{nullptr, rows};
    ops::swiglu_forward(cuda, wide, act), ops::swiglu_backward(cuda, wide, act, act, wide);
    ops::swiglu_forward(cuda, Rows<float, 2 * C>{nullptr, rows}, stream);
    rotary(Rows<float, 64>{nullptr, rows}), rotary(Rows<float, 8>{nullptr, rows});
    ops::residual<float, C>(cuda, batch, dropout, stream, stream, stream);
  }
  template <Index rotated>
  void rotary(Rows<float, rotated> angles) const {
    ops::rotary_angles(cuda, ops::Rotary{}, batch.positions, angles);
    ops::rotate<C / 64, 64>(cuda, angles, act), ops::rotate<C / 64, 64>(cuda, angles, stream);
  }
  template <Index heads>
  void attention() const {
    const Rows<A, 3 * C> qkv{nullptr, rows};
    const typename ops::Attention<heads>::template Saved<float> saved{};
    ops::forward(cuda, ops::Attention<heads>{}, batch, dropout, qkv, act, saved);
    ops::backward(cuda, ops::Attention<heads>{}, batch, dropout, qkv, act, saved, act, qkv);
  }
  void shared_attention() const {  // four heads of queries to one of keys and values
    const Rows<A, C + C / 2> qkv{nullptr, rows};
    using Op = ops::Attention<C / 64, C / 64 / 4>;
    ops::forward(cuda, Op{}, batch, dropout, qkv, act, typename Op::template Saved<float>{});
    ops::backward(cuda, Op{}, batch, dropout, qkv, act, typename Op::template Saved<float>{}, act, qkv);
  }
  void all_attention() const { attention<C / 128>(), attention<C / 64>(), attention<C / 32>(), attention<C / 16>(), shared_attention(); }
  void ends() const {
    const Matrix<A, P, C> tokens{};
    const Matrix<float, P, C> dtokens{};
    ops::embed(cuda, batch, tokens, Matrix<A, context, C>{}, dropout, stream), ops::embed_backward(cuda, batch, dropout, stream, dtokens, Matrix<float, context, C>{});
    ops::gather(cuda, act, batch.target_rows, act), ops::gather(cuda, stream, batch.target_rows, stream), ops::gather(cuda, tokens, batch.ids, stream);
    ops::scatter(cuda, stream, batch.target_rows, stream), ops::scatter_add(cuda, stream, batch.ids, dtokens), ops::clear(cuda, stream);
    const Rows<float, P> logits{nullptr, rows};
    ops::matmul_transposed(cuda, act, tokens, logits);
    ops::cross_entropy<V>(cuda, logits, batch.targets, column);
    ops::cross_entropy_with_gradient<V>(cuda, logits, batch.targets, batch.weights, column, Rows<A, P>{nullptr, rows});
    ops::r_drop_with_gradient<V>(cuda, logits, batch.targets, batch.weights, column, Rows<A, P>{nullptr, rows}, nullptr, LossTerms{});
    ops::weighted_sum(cuda, batch.weights, column, nullptr);
  }
  void decode() const {
    const Matrix<A, C, C> weight{};
    ops::invariant_matmul(cuda, stream, weight, stream);
    const Rows<float, P> logits{nullptr, rows};
    ops::invariant_matmul_transposed(cuda, stream, Matrix<A, P, C>{}, logits);
    ops::forward(cuda, ops::CachedAttention{}, ops::CacheRows{}, Rows<float, 3 * C>{nullptr, rows}, ops::KeyValueCache<A, 12, context, 64>{}, stream);
    ops::log_softmax<V>(cuda, logits), ops::edit<V>(cuda, {}, logits), ops::best<V>(cuda, logits, 8, {});
    ops::sample<V>(cuda, ops::Sample{}, logits, {}, {});
    ops::degeneration<context>(cuda, ops::CacheRows{}, {}, stream, stream, column);
  }
  void step() const {
    ops::find_overflow(cuda, batch.cu_seqlens, stream, stream.data, static_cast<const ops::FlatRange*>(nullptr), 0, 1, 0, static_cast<ops::Overflow*>(nullptr));
    optim::update(cuda, optim::UpdateRules{}, static_cast<const double*>(nullptr), Index{1}, static_cast<optim::UpdateState<float>*>(nullptr));
  }
};

void launch_every_kernel(Cuda& cuda, const PackedBatch& batch) {
  Kernels<float>{cuda, batch}.all(), Kernels<half>{cuda, batch}.all(), Kernels<bfloat16>{cuda, batch}.all();
}

}  // namespace terse
