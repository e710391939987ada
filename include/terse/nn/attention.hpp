#pragma once
#include <terse/core/arena.hpp>
#include <terse/core/precision.hpp>
#include <terse/nn/positions.hpp>
#include <terse/ops/attention/cpu.hpp>
#include <terse/ops/cached_attention/cpu.hpp>
#include <terse/tensor/view.hpp>

namespace terse::nn {

/// Causal self-attention of a block, up to its projection: norm's output -> attended.
///
///   q, k, v = qkv(x), q and k turned by their positions      attended = attention(q, k, v)       branch = projection(attended)
///
/// Shapes     x, attended (T, C) · qkv (T, C + 2 G D), G heads of keys and values (ops/attention/op.hpp)
///
/// `Config` has width, context, heads and key_value_heads; `Qkv` and `ProjectionLayer` are linear layers, `Positions` one of nn/positions.hpp.
template <class Config, Precision P, class Qkv, class ProjectionLayer, class Positions>
struct Attention {
  static constexpr Index C = Config::width, heads = Config::heads, key_value_heads = Config::key_value_heads, D = C / heads;
  using Act = typename P::Activation;
  using Stream = typename P::Stream;
  using Op = ops::Attention<heads, key_value_heads>;
  using Cache = ops::KeyValueCache<Act, key_value_heads, Config::context, D>;
  using Rotation = Positions;
  static constexpr Index qkv_columns = Op::qkv_columns(D);

  Qkv qkv;
  ProjectionLayer projection;

  /// What backward needs besides x.
  struct Saved {
    typename Op::template Saved<Stream> softmax;
    Rows<Act, qkv_columns> qkv;  // (T, C + 2GD)
    Rows<Act, C> attended;       // (T, C)
    typename Qkv::template Saved<Act> of_qkv;
    typename ProjectionLayer::template Saved<Act> of_projection;

    constexpr void each(auto&& visit, Extent extent) {
      softmax.each(visit, extent), visit(qkv, extent.tokens), visit(attended, extent.tokens);
      of_qkv.each(visit, extent), of_projection.each(visit, extent);
    }
  };
  /// What the layers of a model share.
  using Angles = typename Positions::template Scratch<Stream>;

  /// x (T, C) -> saved.attended (T, C).
  template <class Device>
  void forward(Device& device, const PackedBatch& batch, const ops::Dropout& dropout, Rows<Act, C> x, const Angles& angles, const Saved& saved) const {
    qkv.forward(device, x, saved.qkv, saved.of_qkv);                                                                  // (T, C + 2GD)
    Positions::template rotate<heads + key_value_heads, D>(device, angles, saved.qkv, ops::Rotation::forth);
    ops::forward(device, Op{}, batch, dropout, saved.qkv, saved.attended, saved.softmax);                             // (T, C)
  }

  /// dattended (T, C) -> dx (T, C); dqkv is overwritten.
  template <class Device>
  void backward(Device& device, const PackedBatch& batch, const ops::Dropout& dropout, Rows<Act, C> x, const Angles& angles, const Saved& saved,
                Rows<Act, C> dattended, Rows<Act, qkv_columns> dqkv, Rows<Stream, C> dx, auto& gradient) const {
    ops::backward(device, Op{}, batch, dropout, saved.qkv, saved.attended, saved.softmax, dattended, dqkv);           // (T, C + 2GD)
    Positions::template rotate<heads + key_value_heads, D>(device, angles, dqkv, ops::Rotation::back);
    qkv.backward(device, x, dqkv, dx, gradient.qkv, saved.of_qkv);                                                    // (T, C)
  }

  /// Rows against a cache, batch-invariant: x (R, C) -> attended (R, C), which may be x's memory. `input`: what the linear layers' infer takes besides.
  template <class Device>
  void infer(Device& device, ops::CacheRows rows, Rows<Stream, C> x, const Angles& angles, Rows<Stream, qkv_columns> new_qkv, Cache cache, Rows<Stream, C> attended,
             const auto&... input) const {
    qkv.infer(device, x, new_qkv, input...);                                                                          // (R, C + 2GD)
    Positions::template rotate<heads + key_value_heads, D>(device, angles, new_qkv, ops::Rotation::forth);
    ops::forward(device, ops::CachedAttention{}, rows, new_qkv, cache, attended);                                     // (R, C)
  }
};

}  // namespace terse::nn
