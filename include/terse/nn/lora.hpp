#pragma once
#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <terse/core/arena.hpp>
#include <terse/nn/layers.hpp>

namespace terse::nn {

/// A frozen matrix and what is learned beside it.
///
/// Shapes     weight (Out, In), frozen · a (rank, In), random at first · b (Out, rank), zero at first
template <class T, Index Out, Index In, Index rank>
struct Adapted {
  using Trained = std::remove_const_t<T>;

  Matrix<const Trained, Out, In> weight;
  Matrix<Trained, rank, In> a;
  Matrix<Trained, Out, rank> b;

  /// As PEFT names and draws them, but for the distribution, which is uniform there: a's deviation is 1 / sqrt(3 In).
  constexpr void parameters(auto&& visit) {
    visit("weight", weight), visit("lora_A.weight", a, ParameterTraits{.deviation = inverse_square_root(3 * In)}), visit("lora_B.weight", b);
  }

 private:
  static constexpr float inverse_square_root(Index n) {
    double root = 1;  // Newton's steps: std::sqrt isn't constexpr
    for (int i = 0; i < 60; ++i) root = (root + static_cast<double>(n) / root) / 2;
    return static_cast<float>(1 / root);
  }
};

/// Low-rank adaptation of a frozen Projection (Hu et al. 2021, arXiv:2106.09685).
///
///   y = x wᵀ + s (x aᵀ) bᵀ        s = alpha / rank        for each part
///
/// Shapes     as Projection's; the frozen parts stand one after another in the buffer of the model that is adapted (models/lora.hpp)
/// Precision  fp32 on a CPU so far
/// Backward   dx is overwritten; the gradients of a and b are added to:  db = s dyᵀ (x aᵀ),  da = s (dy b)ᵀ x
template <Index rank, int alpha, class T, Index In, Index... Outs>
struct LoraProjection {
  static constexpr Index Out = (Outs + ...);
  static constexpr float scale = static_cast<float>(alpha) / static_cast<float>(rank);
  static constexpr std::array<Index, sizeof...(Outs)> widths{Outs...};

  /// (T, rank) of each part: s x aᵀ; backward overwrites it.
  template <class Act>
  struct Saved {
    std::array<Rows<Act, rank>, sizeof...(Outs)> low;

    constexpr void each(auto&& visit, Extent extent) {
      for (auto& rows : low) visit(rows, extent.tokens);
    }
  };

  std::tuple<Adapted<T, Outs, In, rank>...> parts;

  constexpr void parameters(auto&& visit) requires(sizeof...(Outs) == 1) { std::get<0>(parts).parameters(visit); }

  /// y = x wᵀ + s (x aᵀ) bᵀ.
  template <class Device, Real X, Real Y, class Act>
  void forward(Device& device, Rows<X, In> x, Rows<Y, Out> y, const Saved<Act>& saved) const {
    ops::matmul_transposed(device, x, weight(), y);
    save(device, x, saved);
    for_each_part([&]<std::size_t i>(const auto& part, Constant<i>) { ops::matmul_transposed(device, saved.low[i], part.b, columns<i>(y), Write::accumulate); });
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
    for_each_part([&]<std::size_t i>(const auto& part, Constant<i>) {
      ops::matmul_transposed(device, x, part.a, saved.low[i]);
      ops::scale(device, saved.low[i], scale);
    });
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
      ops::matmul_gradient(device, columns<i>(dy), saved.low[i], std::get<i>(gradient.parts).b, Write::accumulate);
      ops::matmul(device, columns<i>(dy), part.b, saved.low[i], Write::overwrite);
      ops::scale(device, saved.low[i], scale);
      ops::matmul(device, whole(saved.low[i]), part.a, dx, Write::accumulate);
    });
  }
  /// The second half: da.
  template <class Device, Real X, Real DY, class Act>
  void parameter_gradients(Device& device, Rows<X, In> x, Rows<DY, Out> /*dy*/, auto& gradient, const Saved<Act>& saved) const {
    for_each_part([&]<std::size_t i>(const auto&, Constant<i>) { ops::matmul_gradient(device, saved.low[i], x, std::get<i>(gradient.parts).a, Write::accumulate); });
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
  template <class Y>
  static Columns<Y, rank, rank> whole(Rows<Y, rank> y) { return {y.data, y.rows}; }
};

/// Which layers are adapted.
enum class LoraTargets { attention, mlp, all };

/// Linear layers that are frozen, some of them adapted (nn/layers.hpp), for a model's parameters of const values.
template <Index rank, int alpha, LoraTargets targets>
struct LoraLayers {
  struct Adapters {
    template <class T, Index In, Index... Outs>
    using Projection = LoraProjection<rank, alpha, T, In, Outs...>;
  };
  using Attention = std::conditional_t<targets == LoraTargets::mlp, PlainLayers, Adapters>;
  using Mlp = std::conditional_t<targets == LoraTargets::attention, PlainLayers, Adapters>;
};

}  // namespace terse::nn
