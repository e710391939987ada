#pragma once
#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <terse/core/arena.hpp>
#include <terse/nn/layers.hpp>

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

/// A frozen Linear and its adapter: y = x w + bias + s (x aᵀ) bᵀ.
///
/// Shapes     as Linear's: weight (In, Out), frozen as bias (Out) is, in the buffer of the model that is adapted (models/lora.hpp)
/// Backward   dx is overwritten; the adapter's gradients are added to
template <Index rank, int alpha, class T, Index In, Index Out>
struct LoraLinear {
  using Trained = std::remove_const_t<T>;

  /// (T, rank): the adapter's.
  template <class Act>
  struct Saved {
    Rows<Act, rank> low;

    constexpr void each(auto&& visit, Extent extent) { visit(low, extent.tokens); }
  };

  Matrix<const Trained, In, Out> weight;
  Vector<const Trained, Out> bias;
  Adapter<Trained, In, Out, rank, alpha> adapter;

  constexpr void parameters(auto&& visit) { visit("weight", weight), visit("bias", bias), adapter.parameters(visit); }

  /// y = x w + bias + s (x aᵀ) bᵀ.
  template <class Device, Real X, Real Y, class Act>
  void forward(Device& device, Rows<X, In> x, Rows<Y, Out> y, const Saved<Act>& saved) const {
    ops::matmul_bias(device, x, weight, bias, y);
    adapter.forward(device, x, columns(y), saved.low);
  }

  /// out = stream + dropout(y): a branch joins the residual stream. `branch` is overwritten.
  template <class Device, Real X, Real S, class Act>
  void join(Device& device, const PackedBatch& batch, const ops::Dropout& dropout, Rows<X, In> x, Rows<S, Out> branch, Rows<S, Out> stream, Rows<S, Out> out,
            const Saved<Act>& saved) const {
    forward(device, x, branch, saved);
    ops::residual<S, Out>(device, batch, dropout, stream, branch, out);
  }

  /// What backward needs besides x and dy, as forward and join leave it: s x aᵀ.
  template <class Device, Real X, class Act>
  void save(Device& device, Rows<X, In> x, const Saved<Act>& saved) const {
    adapter.save(device, x, saved.low);
  }

  /// dx, and the adapter's gradients, which are added to. Needs forward's x and saved, which it overwrites.
  template <class Device, Real X, Real DY, Real DX, class Act>
  void backward(Device& device, Rows<X, In> x, Rows<DY, Out> dy, Rows<DX, In> dx, auto& gradient, const Saved<Act>& saved) const {
    input_gradient(device, dy, dx, gradient, saved);
    parameter_gradients(device, x, dy, gradient, saved);
  }
  /// The first half of backward: dx and db.
  template <class Device, Real DY, Real DX, class Act>
  void input_gradient(Device& device, Rows<DY, Out> dy, Rows<DX, In> dx, auto& gradient, const Saved<Act>& saved) const {
    ops::matmul_transposed(device, dy, weight, dx);
    adapter.input_gradient(device, columns(dy), dx, gradient.adapter, saved.low);
  }
  /// The second half: da.
  template <class Device, Real X, Real DY, class Act>
  void parameter_gradients(Device& device, Rows<X, In> x, Rows<DY, Out> /*dy*/, auto& gradient, const Saved<Act>& saved) const {
    adapter.parameter_gradients(device, x, gradient.adapter, saved.low);
  }

 private:
  template <class Y>
  static Columns<Y, Out, Out> columns(Rows<Y, Out> y) { return {y.data, y.rows}; }
};

/// A frozen matrix of a Projection, and its adapter.
template <class T, Index Out, Index In, Index rank, int alpha>
struct AdaptedWeight {
  using Trained = std::remove_const_t<T>;

  Matrix<const Trained, Out, In> weight;
  Adapter<Trained, In, Out, rank, alpha> adapter;

  constexpr void parameters(auto&& visit) { visit("weight", weight), adapter.parameters(visit); }
};

/// A frozen Projection and an adapter of each of its parts: y = x wᵀ + s (x aᵀ) bᵀ.
///
/// Shapes     as Projection's; the frozen parts stand one after another in the buffer of the model that is adapted (models/lora.hpp)
/// Backward   dx is overwritten; the adapters' gradients are added to
template <Index rank, int alpha, class T, Index In, Index... Outs>
struct LoraProjection {
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

  std::tuple<AdaptedWeight<T, Outs, In, rank, alpha>...> parts;

  constexpr void parameters(auto&& visit) requires(sizeof...(Outs) == 1) { std::get<0>(parts).parameters(visit); }

  /// y = x wᵀ + s (x aᵀ) bᵀ.
  template <class Device, Real X, Real Y, class Act>
  void forward(Device& device, Rows<X, In> x, Rows<Y, Out> y, const Saved<Act>& saved) const {
    ops::matmul_transposed(device, x, weight(), y);
    for_each_part([&]<std::size_t i>(const auto& part, Constant<i>) { part.adapter.forward(device, x, columns<i>(y), saved.low[i]); });
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
    for_each_part([&]<std::size_t i>(const auto& part, Constant<i>) { part.adapter.save(device, x, saved.low[i]); });
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
    ops::matmul(device, dy, weight(), dx);
    for_each_part([&]<std::size_t i>(const auto& part, Constant<i>) {
      part.adapter.input_gradient(device, columns<i>(dy), dx, std::get<i>(gradient.parts).adapter, saved.low[i]);
    });
  }
  /// The second half: da.
  template <class Device, Real X, Real DY, class Act>
  void parameter_gradients(Device& device, Rows<X, In> x, Rows<DY, Out> /*dy*/, auto& gradient, const Saved<Act>& saved) const {
    for_each_part([&]<std::size_t i>(const auto& part, Constant<i>) { part.adapter.parameter_gradients(device, x, std::get<i>(gradient.parts).adapter, saved.low[i]); });
  }

 private:
  template <std::size_t i>
  using Constant = std::integral_constant<std::size_t, i>;

  void for_each_part(auto&& visit) const {
    [&]<std::size_t... i>(std::index_sequence<i...>) { (visit(std::get<i>(parts), Constant<i>{}), ...); }(std::make_index_sequence<sizeof...(Outs)>{});
  }
  auto weight() const {
    const auto first = std::get<0>(parts).weight;
    return Matrix<const typename std::tuple_element_t<0, decltype(parts)>::Trained, Out, In>{first.data};
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

/// Linear layers that are frozen, some of them adapted (nn/layers.hpp), for a model's parameters of const values.
template <Index rank, int alpha, LoraTargets targets>
struct LoraLayers {
  struct Adapters {
    template <class T, Index In, Index Out>
    using Linear = LoraLinear<rank, alpha, T, In, Out>;
    template <class T, Index In, Index... Outs>
    using Projection = LoraProjection<rank, alpha, T, In, Outs...>;
  };
  using Attention = std::conditional_t<targets == LoraTargets::mlp, PlainLayers, Adapters>;
  using Mlp = std::conditional_t<targets == LoraTargets::attention, PlainLayers, Adapters>;
};

}  // namespace terse::nn
