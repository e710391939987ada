// Ops whose time is that of their bytes, as GPT-2 124M's step has them, and a Llama's of its widths; each input is read once, each output written once.
#include "families.hpp"
#include "op.cuh"

using namespace bench;

namespace {

/// A GPU with workspace for any of these ops.
Cuda& with_workspace(Cuda& cuda) {
  cuda.reserve_workspace(std::max({ops::column_sums_workspace(4 * C, 2), ops::sorted_rows_workspace(tokens), ops::sum_workspace()}));
  return cuda;
}

std::vector<Index> job_lengths() { return std::vector<Index>(16, 260); }

struct Norm {
  Cuda cuda;
  Tensor<Rows<float, C>, Cuda> x = random_rows<float, C>(with_workspace(cuda)), dy = random_rows<float, C>(cuda), dx{cuda, tokens};
  Tensor<Vector<float, C>, Cuda> dgain{cuda}, dbias{cuda};
  Tensor<Column<float>, Cuda> mean{cuda, tokens}, rstd{cuda, tokens};

  ops::LayerNorm::Saved<float> saved() const { return {mean.view(), rstd.view()}; }
};

template <class T>
void layer_norm_forward(benchmark::State& state) {
  Norm n;
  const auto gain = random<Vector<T, C>>(n.cuda), bias = random<Vector<T, C>>(n.cuda);
  const Tensor<Rows<T, C>, Cuda> y(n.cuda, tokens);
  time(state, n.cuda, {.bytes = bytes_of(n.x, y)}, [&] { ops::forward(n.cuda, ops::LayerNorm{}, n.x.view(), gain.view(), bias.view(), y.view(), n.saved()); });
}

/// As in the model: dx is added to the stream's gradient.
template <class T>
void layer_norm_backward(benchmark::State& state) {
  Norm n;
  const auto gain = random<Vector<T, C>>(n.cuda), bias = random<Vector<T, C>>(n.cuda);
  ops::forward(n.cuda, ops::LayerNorm{}, n.x.view(), gain.view(), bias.view(), n.dx.view(), n.saved());
  time(state, n.cuda, {.bytes = bytes_of(n.x, n.dy, n.dx, n.dx)}, [&] {
    ops::backward(n.cuda, ops::LayerNorm{}, n.x.view(), gain.view(), n.saved(), n.dy.view(), n.dx.view(), Write::accumulate);
    ops::gain_and_bias_gradients(n.cuda, ops::LayerNorm{}, n.x.view(), n.saved(), n.dy.view(), n.dgain.view(), n.dbias.view());
  });
}

template <class T>
void rms_norm_forward(benchmark::State& state) {
  Norm n;
  const auto gain = random<Vector<T, C>>(n.cuda);
  const Tensor<Rows<T, C>, Cuda> y(n.cuda, tokens);
  time(state, n.cuda, {.bytes = bytes_of(n.x, y)}, [&] { ops::forward(n.cuda, ops::RmsNorm{}, n.x.view(), gain.view(), y.view(), {n.rstd.view()}); });
}

template <class T>
void rms_norm_backward(benchmark::State& state) {
  Norm n;
  const auto gain = random<Vector<T, C>>(n.cuda);
  const ops::RmsNorm::Saved<float> saved{n.rstd.view()};
  ops::forward(n.cuda, ops::RmsNorm{}, n.x.view(), gain.view(), n.dx.view(), saved);
  time(state, n.cuda, {.bytes = bytes_of(n.x, n.dy, n.dx, n.dx)}, [&] {
    ops::backward(n.cuda, ops::RmsNorm{}, n.x.view(), gain.view(), saved, n.dy.view(), n.dx.view(), Write::accumulate);
    ops::gain_gradient(n.cuda, ops::RmsNorm{}, n.x.view(), saved, n.dy.view(), n.dgain.view());
  });
}

/// Of queries and keys.
template <class T>
void rotate(benchmark::State& state) {
  constexpr Index D = 64;
  Cuda cuda;
  const auto angles = random_rows<float, D>(cuda);
  const auto qk = random_rows<T, 2 * C>(cuda);
  time(state, cuda, {.bytes = bytes_of(angles, qk, qk)}, [&] { ops::rotate<2 * C / D, D>(cuda, angles.view(), qk.view()); });
}

template <class T>
void swiglu_forward(benchmark::State& state) {
  Cuda cuda;
  const auto x = random_rows<T, 4 * C>(cuda);
  const auto y = random_rows<T, 2 * C>(cuda);
  time(state, cuda, {.bytes = bytes_of(x, y)}, [&] { ops::swiglu_forward(cuda, x.view(), y.view()); });
}

template <class T>
void swiglu_backward(benchmark::State& state) {
  Cuda cuda;
  const auto x = random_rows<T, 4 * C>(cuda), dx = random_rows<T, 4 * C>(cuda);
  const auto y = random_rows<T, 2 * C>(cuda), dy = random_rows<T, 2 * C>(cuda);
  time(state, cuda, {.bytes = bytes_of(x, y, dy, dx)}, [&] { ops::swiglu_backward(cuda, x.view(), y.view(), dy.view(), dx.view()); });
}

template <class T>
void gelu_forward(benchmark::State& state) {
  Cuda cuda;
  const auto x = random_rows<T, 4 * C>(cuda), y = random_rows<T, 4 * C>(cuda);
  time(state, cuda, {.bytes = bytes_of(x, y)}, [&] { ops::gelu_forward<ops::Gelu::tanh>(cuda, x.view(), y.view()); });
}

/// dx overwrites dy, and y is computed again.
template <class T>
void gelu_backward(benchmark::State& state) {
  Cuda cuda;
  const auto x = random_rows<T, 4 * C>(cuda), y = random_rows<T, 4 * C>(cuda), dy = random_rows<T, 4 * C>(cuda);
  time(state, cuda, {.bytes = bytes_of(x, y, dy, dy)}, [&] { ops::gelu_backward<ops::Gelu::tanh>(cuda, x.view(), y.view(), dy.view()); });
}

template <class T>
void bias(benchmark::State& state) {
  Cuda cuda;
  const auto bias = random<Vector<T, 4 * C>>(cuda);
  const auto y = random_rows<T, 4 * C>(cuda);
  time(state, cuda, {.bytes = bytes_of(y, y)}, [&] { ops::add_bias(cuda, bias.view(), y.view()); });
}

template <class T>
void bias_gradient(benchmark::State& state) {
  Cuda cuda;
  const auto dy = random_rows<T, 4 * C>(with_workspace(cuda));
  const Tensor<Vector<float, 4 * C>, Cuda> dbias(cuda);
  time(state, cuda, {.bytes = bytes_of(dy)}, [&] { ops::bias_gradient(cuda, dy.view(), dbias.view()); });
}

template <class T>
void residual_dropout(benchmark::State& state) {
  Cuda cuda;
  const GpuBatch batch(cuda, job_lengths());
  const auto x = random_rows<float, C>(cuda), branch = random_rows<float, C>(cuda), y = random_rows<float, C>(cuda);
  const auto bias = random<Vector<T, C>>(cuda);
  const Rows<const float, C> stream = x.view(), joins = branch.view();
  const auto dropout = tenth(ops::DropoutSite::mlp_projection);
  time(state, cuda, {.bytes = bytes_of(x, branch, y)}, [&] { ops::residual(cuda, batch.view(), dropout, stream, joins, bias.view(), y.view()); });
}

/// The rows whose logits exist at one time.
template <class T>
struct Head {
  Cuda cuda;
  Tensor<Rows<float, padded_vocabulary>, Cuda> logits = random_rows<float, padded_vocabulary>(cuda, head_rows);
  Tensor<Rows<T, padded_vocabulary>, Cuda> slopes{cuda, head_rows};
  Tensor<Column<float>, Cuda> loss{cuda, head_rows};
  GpuArray<TokenId> targets{cuda, wanted()};
  GpuArray<float> weights{cuda, std::vector<float>(head_rows, 1.0f / head_rows)};

  static std::vector<TokenId> wanted() {
    std::vector<TokenId> result(head_rows);
    for (std::size_t n = 0; n < result.size(); ++n) result[n] = static_cast<TokenId>(n / 2 * 7919 % vocabulary);  // of twins the same
    return result;
  }
  Rows<const float, padded_vocabulary> given() const { return logits.view(); }
};

template <class T>
void cross_entropy_with_gradient(benchmark::State& state) {
  Head<T> h;
  time(state, h.cuda, {.bytes = bytes_of(h.logits, h.slopes)},
       [&] { ops::cross_entropy_with_gradient<vocabulary>(h.cuda, h.given(), h.targets, h.weights, h.loss.view(), h.slopes.view()); });
}

template <class T>
void r_drop_with_gradient(benchmark::State& state) {
  Head<T> h;
  time(state, h.cuda, {.bytes = bytes_of(h.logits, h.slopes)},
       [&] { ops::r_drop_with_gradient<vocabulary>(h.cuda, h.given(), h.targets, h.weights, h.loss.view(), h.slopes.view(), nullptr, LossTerms{.r_drop = 1}); });
}

template <class T>
void embedding_forward(benchmark::State& state) {
  Cuda cuda;
  const GpuBatch batch(cuda, job_lengths());
  const auto table = random<Matrix<T, padded_vocabulary, C>>(cuda);
  const auto positions = random<Matrix<T, context, C>>(cuda);
  const Tensor<Rows<float, C>, Cuda> y(cuda, tokens);
  time(state, cuda, {.bytes = bytes_of(y) + 2.0 * tokens * C * sizeof(T)}, [&] { ops::embed(cuda, batch.view(), table.view(), positions.view(), ops::Dropout{}, y.view()); });
}

/// Rows of both tables' gradients are read and written.
void embedding_backward(benchmark::State& state) {
  Cuda cuda;
  const GpuBatch batch(cuda, job_lengths());
  const auto dy = random_rows<float, C>(with_workspace(cuda));
  const Tensor<Matrix<float, padded_vocabulary, C>, Cuda> table(cuda);
  const Tensor<Matrix<float, context, C>, Cuda> positions(cuda);
  time(state, cuda, {.bytes = 5 * bytes_of(dy)}, [&] { ops::embed_backward(cuda, batch.view(), ops::Dropout{}, dy.view(), table.view(), positions.view()); });
}

/// Over as many parameters as the token table has, 31% of the model's, with master weights.
template <class T>
void adamw(benchmark::State& state) {
  using Table = Matrix<float, padded_vocabulary, C>;
  Cuda cuda;
  const auto master = random<Table>(cuda), gradient = random<Table>(cuda);
  const Tensor<Table, Cuda> m(cuda), v(cuda);
  const Tensor<Matrix<T, padded_vocabulary, C>, Cuda> parameters(cuda);
  const GpuArray<ops::AdamWFactors<float>> factors(cuda, {ops::adamw_factors<float>(ops::AdamW{}, 1, 1)});
  const float* const given = gradient.data();
  time(state, cuda, {.bytes = 2 * bytes_of(master, m, v) + bytes_of(gradient, parameters)},
       [&] { ops::adamw(cuda, factors.data(), ops::adamw_group<float>({}, true), master.size(), master.data(), given, m.data(), v.data(), parameters.data()); });
}

void gradient_norm(benchmark::State& state) {
  Cuda cuda;
  const auto gradient = random<Matrix<float, padded_vocabulary, C>>(with_workspace(cuda));
  const auto sum = cuda.allocate(sizeof(double));
  const float* const given = gradient.data();
  time(state, cuda, {.bytes = bytes_of(gradient)}, [&] { ops::sum_of_squares(cuda, given, gradient.size(), reinterpret_cast<double*>(sum.data())); });
}

}  // namespace

void bench::add_memory_bound(int capability) {
  for_each_dtype(capability, [](auto t) {
    using T = decltype(t);
    const auto name = [](const char* op) { return concat("memory/", op, "/", dtype_name<T>()); };
    add(name("layer_norm_forward"), layer_norm_forward<T>);
    add(name("layer_norm_backward"), layer_norm_backward<T>);
    add(name("rms_norm_forward"), rms_norm_forward<T>);
    add(name("rms_norm_backward"), rms_norm_backward<T>);
    add(name("rotate"), ::rotate<T>);
    add(name("swiglu_forward"), swiglu_forward<T>);
    add(name("swiglu_backward"), swiglu_backward<T>);
    add(name("gelu_forward"), gelu_forward<T>);
    add(name("gelu_backward"), gelu_backward<T>);
    add(name("bias"), ::bias<T>);
    add(name("bias_gradient"), bias_gradient<T>);
    add(name("residual_dropout"), residual_dropout<T>);
    add(name("cross_entropy_with_gradient"), cross_entropy_with_gradient<T>);
    add(name("r_drop_with_gradient"), r_drop_with_gradient<T>);
    add(name("embedding_forward"), embedding_forward<T>);
    add(name("adamw"), adamw<T>);
  });
  add("memory/embedding_backward/fp32", embedding_backward);
  add("memory/gradient_norm/fp32", gradient_norm);
}
