#pragma once
#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <terse/core/arena.hpp>
#include <terse/nn/layers.hpp>
#include <terse/ops/matmul/low_rank.hpp>

namespace terse::nn {

/// What is learned beside a frozen matrix (Hu et al. 2021, arXiv:2106.09685): y is added to, and s = alpha / rank.
///
///   y += s (x aᵀ) bᵀ
///
/// Shapes     x (T, In) · y (T, Out) · a (rank, In), random at first · b (Out, rank), zero at first · low (T, rank): s x aᵀ; backward overwrites it
/// Precision  fp32 on a CPU so far
/// Backward   dx and the gradients of a and b are added to:  db = s dyᵀ (x aᵀ),  dx = s (dy b) a,  da = s (dy b)ᵀ x
template <class T, Index In, Index Out, Index rank, int alpha>
struct Adapter {
  static constexpr float scale = static_cast<float>(alpha) / static_cast<float>(rank);

  Matrix<T, rank, In> a;
  Matrix<T, Out, rank> b;

  /// As PEFT names and draws them, but for the distribution, which is uniform there: a's deviation is 1 / sqrt(3 In), whatever its layer's are.
  constexpr void parameters(auto&& visit) {
    visit("lora_A.weight", a, ParameterTraits{.deviation = inverse_square_root(3 * In), .residual_branches = 1}), visit("lora_B.weight", b);
  }

  /// y += s (x aᵀ) bᵀ, and s x aᵀ in `low`.
  template <class Device, Real X, Real Y, class Act, Index stride>
  void forward(Device& device, Rows<X, In> x, Columns<Y, Out, stride> y, Rows<Act, rank> low) const {
    save(device, x, low);
    ops::matmul_transposed(device, low, b, y, Write::accumulate);
  }
  /// s x aᵀ, as forward leaves it.
  template <class Device, Real X, class Act>
  void save(Device& device, Rows<X, In> x, Rows<Act, rank> low) const {
    ops::matmul_transposed(device, x, a, low);
    ops::scale(device, low, scale);
  }
  /// y += s (x aᵀ) bᵀ, batch-invariant.
  template <class Device, Real X, Real Y, Index stride>
  void infer(Device& device, Rows<X, In> x, Columns<Y, Out, stride> y) const {
    ops::add_low_rank(device, x, a, b, scale, y);
  }
  /// The first half of backward: dx and db, and s dy b in `low`.
  template <class Device, Real DY, Real DX, class Act, Index stride>
  void input_gradient(Device& device, Columns<DY, Out, stride> dy, Rows<DX, In> dx, auto& gradient, Rows<Act, rank> low) const {
    ops::matmul_gradient(device, dy, low, gradient.b, Write::accumulate);
    ops::matmul(device, dy, b, low, Write::overwrite);
    ops::scale(device, low, scale);
    ops::matmul(device, Columns<Act, rank, rank>{low.data, low.rows}, a, dx, Write::accumulate);
  }
  /// The second half: da.
  template <class Device, Real X, class Act>
  void parameter_gradients(Device& device, Rows<X, In> x, auto& gradient, Rows<Act, rank> low) const {
    ops::matmul_gradient(device, low, x, gradient.a, Write::accumulate);
  }

 private:
  static constexpr float inverse_square_root(Index n) {
    double root = 1;  // Newton's steps: std::sqrt isn't constexpr
    for (int i = 0; i < 60; ++i) root = (root + static_cast<double>(n) / root) / 2;
    return static_cast<float>(1 / root);
  }
};

/// A frozen linear layer and an adapter of each of its parts: y = frozen(x) + s (x aᵀ) bᵀ. `Frozen` is a Linear or Projection of const values or a quantized one, and its
/// values are in the model that is adapted (models/lora.hpp).
///
/// Shapes     as Frozen's: x (T, In) · y (T, Out), Out the sum of Outs
/// Backward   dx is overwritten; the adapters' gradients are added to
template <class Frozen, Index rank, int alpha, class T, Index In, Index... Outs>
struct LoraLinear {
  static constexpr Index Out = (Outs + ...);
  static constexpr std::array<Index, sizeof...(Outs)> widths{Outs...};

  /// (T, rank) of each part: its adapter's.
  template <class Act>
  struct Saved {
    std::array<Rows<Act, rank>, sizeof...(Outs)> low;

    constexpr void each(auto&& visit, Extent extent) {
      for (auto& rows : low) visit(rows, extent.tokens);
    }
  };

  Frozen frozen;
  std::tuple<Adapter<T, In, Outs, rank, alpha>...> parts;

  constexpr void parameters(auto&& visit) requires(sizeof...(Outs) == 1) { std::get<0>(parts).parameters(visit); }

  /// y = frozen(x) + s (x aᵀ) bᵀ.
  template <class Device, Real X, Real Y, class Act>
  void forward(Device& device, Rows<X, In> x, Rows<Y, Out> y, const Saved<Act>& saved) const {
    frozen.forward(device, x, y);
    for_each_part([&]<std::size_t i>(const auto& adapter, Constant<i>) { adapter.forward(device, x, columns<i>(y), saved.low[i]); });
  }

  /// out = stream + dropout(y): a branch joins the residual stream. `branch` is overwritten.
  template <class Device, Real X, Real S, class Act>
  void join(Device& device, const PackedBatch& batch, const ops::Dropout& dropout, Rows<X, In> x, Rows<S, Out> branch, Rows<S, Out> stream, Rows<S, Out> out,
            const Saved<Act>& saved) const {
    forward(device, x, branch, saved);
    ops::residual<S, Out>(device, batch, dropout, stream, branch, out);
  }

  /// What backward needs besides x and dy, as forward and join leave it: s x aᵀ of each part.
  template <class Device, Real X, class Act>
  void save(Device& device, Rows<X, In> x, const Saved<Act>& saved) const {
    for_each_part([&]<std::size_t i>(const auto& adapter, Constant<i>) { adapter.save(device, x, saved.low[i]); });
  }

  /// As forward, batch-invariant. `input`: what the frozen layer's infer takes besides.
  template <class Device, Real X, Real Y>
  void infer(Device& device, Rows<X, In> x, Rows<Y, Out> y, const auto&... input) const {
    frozen.infer(device, x, y, input...);
    for_each_part([&]<std::size_t i>(const auto& adapter, Constant<i>) { adapter.infer(device, x, columns<i>(y)); });
  }

  /// dx, and the gradients of a and b, which are added to. Needs forward's x and saved, which it overwrites.
  template <class Device, Real X, Real DY, Real DX, class Act>
  void backward(Device& device, Rows<X, In> x, Rows<DY, Out> dy, Rows<DX, In> dx, auto& gradient, const Saved<Act>& saved) const {
    input_gradient(device, dy, dx, gradient, saved);
    parameter_gradients(device, x, dy, gradient, saved);
  }
  /// The first half of backward: dx and db, and s dy b in `saved`.
  template <class Device, Real DY, Real DX, class Act>
  void input_gradient(Device& device, Rows<DY, Out> dy, Rows<DX, In> dx, auto& gradient, const Saved<Act>& saved) const {
    frozen.input_gradient(device, dy, dx, gradient.frozen);
    for_each_part([&]<std::size_t i>(const auto& adapter, Constant<i>) { adapter.input_gradient(device, columns<i>(dy), dx, std::get<i>(gradient.parts), saved.low[i]); });
  }
  /// The second half: da.
  template <class Device, Real X, Real DY, class Act>
  void parameter_gradients(Device& device, Rows<X, In> x, Rows<DY, Out> /*dy*/, auto& gradient, const Saved<Act>& saved) const {
    for_each_part([&]<std::size_t i>(const auto& adapter, Constant<i>) { adapter.parameter_gradients(device, x, std::get<i>(gradient.parts), saved.low[i]); });
  }

 private:
  template <std::size_t i>
  using Constant = std::integral_constant<std::size_t, i>;

  void for_each_part(auto&& visit) const {
    [&]<std::size_t... i>(std::index_sequence<i...>) { (visit(std::get<i>(parts), Constant<i>{}), ...); }(std::make_index_sequence<sizeof...(Outs)>{});
  }
  template <std::size_t i>
  static constexpr Index first_column() {
    Index first = 0;
    for (std::size_t j = 0; j < i; ++j) first += widths[j];
    return first;
  }
  template <std::size_t i, class Y>
  static Columns<Y, widths[i], Out> columns(Rows<Y, Out> y) { return {y.data + first_column<i>(), y.rows}; }
};

/// Which layers are adapted.
enum class LoraTargets { attention, mlp, all };

/// Linear layers that are frozen, some of them adapted (nn/layers.hpp), for a model's parameters of const values. `FrozenLayers`: those of the model that is adapted.
template <Index rank, int alpha, LoraTargets targets, class FrozenLayers>
struct LoraLayers {
  struct Adapters {
    template <class T, Index In, Index Out>
    using Linear = LoraLinear<typename FrozenLayers::template Linear<T, In, Out>, rank, alpha, std::remove_const_t<T>, In, Out>;
    template <class T, Index In, Index... Outs>
    using Projection = LoraLinear<typename FrozenLayers::template Projection<T, In, Outs...>, rank, alpha, std::remove_const_t<T>, In, Outs...>;
  };
  using Attention = std::conditional_t<targets == LoraTargets::mlp, FrozenLayers, Adapters>;
  using Mlp = std::conditional_t<targets == LoraTargets::attention, FrozenLayers, Adapters>;
};

}  // namespace terse::nn
