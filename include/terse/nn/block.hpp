#pragma once
#include <terse/core/arena.hpp>
#include <terse/core/precision.hpp>
#include <terse/nn/linear.hpp>
#include <terse/nn/norm.hpp>
#include <terse/ops/attention/cpu.hpp>
#include <terse/ops/cached_attention/cpu.hpp>
#include <terse/ops/gelu/cpu.hpp>
#include <terse/ops/residual/cpu.hpp>

namespace terse::nn {

/// What all blocks of a model share while they run: overwritten by each, kept by none.
template <class Config, Precision P>
struct BlockScratch {
  using Act = typename P::Activation;
  using Stream = typename P::Stream;
  static constexpr Index C = Config::width;

  Rows<Act, C> normed;            // (T, C) a norm's output; backward: a branch's gradient
  Rows<Stream, C> branch;         // (T, C) a branch before it joins the stream; backward: the gradient of a norm's output
  Rows<Act, 4 * C> hidden;        // (T, 4C) after GELU
  Rows<Act, 4 * C> wide_gradient; // (T, 4C) backward: the gradient of up or of qkv

  constexpr void each(auto&& visit, Extent extent) {
    visit(normed, extent.tokens), visit(branch, extent.tokens), visit(hidden, extent.tokens), visit(wide_gradient, extent.tokens);
  }
  Rows<Act, 3 * C> qkv_gradient() const { return {wide_gradient.data, wide_gradient.rows}; }
  Rows<Act, C> attended_gradient() const { return {hidden.data, hidden.rows}; }
};

/// As BlockScratch, for rows run against a cache: everything in the stream's dtype.
template <class Config, Precision P>
struct BlockInferenceScratch {
  using Stream = typename P::Stream;
  static constexpr Index C = Config::width;

  ops::LayerNorm::Saved<Stream> norm;
  Rows<Stream, C> normed, branch;  // (R, C)
  Rows<Stream, 3 * C> qkv;         // (R, 3C)
  Rows<Stream, 4 * C> hidden;      // (R, 4C)

  constexpr void each(auto&& visit, Extent extent) {
    norm.each(visit, extent);
    visit(normed, extent.tokens), visit(branch, extent.tokens), visit(qkv, extent.tokens), visit(hidden, extent.tokens);
  }
};

/// GPT-2's transformer block (Radford et al. 2019): pre-norm attention and MLP, each joining the residual stream.
///
///   middle = x      + dropout(attention(norm(x)) w + b)
///   out    = middle + dropout(gelu(norm(middle) w + b) w + b)
///
/// Shapes     x, middle, out (T, C). T the parameters' dtype: Parameter, or Stream for gradients
/// Backward   the stream's gradient is changed from d out to d x in place; the parameters' gradients are added to
///
/// `LinearLayer` is Linear, or for inference alone another that has its infer.
template <class Config, Precision P, Real T, template <class, Index, Index> class LinearLayer = Linear>
struct Block {
  static constexpr Index C = Config::width, heads = Config::heads;
  using Act = typename P::Activation;
  using Stream = typename P::Stream;
  using Attention = ops::Attention<heads>;
  using Cache = ops::KeyValueCache<Act, heads, Config::context, C / heads>;

  Norm<T, C> norm1;
  LinearLayer<T, C, 3 * C> qkv;
  LinearLayer<T, C, C> projection;
  Norm<T, C> norm2;
  LinearLayer<T, C, 4 * C> up;
  LinearLayer<T, 4 * C, C> down;

  /// Names and order of GPT-2's checkpoints.
  constexpr void parameters(auto&& visit) {
    constexpr ParameterTraits into_stream{.residual_branches = 2 * Config::layers};
    visit("ln_1", norm1), visit("attn.c_attn", qkv), visit("attn.c_proj", projection, into_stream);
    visit("ln_2", norm2), visit("mlp.c_fc", up), visit("mlp.c_proj", down, into_stream);
  }

  /// What backward needs; norms and GELU are computed again from it, which is cheaper than keeping them.
  struct Saved {
    ops::LayerNorm::Saved<Stream> norm1, norm2;
    Rows<Act, 3 * C> qkv;                              // (T, 3C)
    typename Attention::template Saved<Stream> attention;
    Rows<Act, C> attended;                             // (T, C)
    Rows<Stream, C> middle;                            // (T, C)
    Rows<Act, 4 * C> up;                               // (T, 4C) before GELU
    Rows<Stream, C> out;                               // (T, C)

    constexpr void each(auto&& visit, Extent extent) {
      norm1.each(visit, extent), norm2.each(visit, extent), attention.each(visit, extent);
      visit(qkv, extent.tokens), visit(attended, extent.tokens), visit(middle, extent.tokens), visit(up, extent.tokens), visit(out, extent.tokens);
    }
  };
  using Scratch = BlockScratch<Config, P>;

  /// x (T, C) -> saved.out (T, C); `layer` keys the dropout.
  template <class Device>
  void forward(Device& device, const PackedBatch& batch, const ops::DropoutPlan& dropout, int layer, Rows<Stream, C> x, const Saved& saved,
               const Scratch& scratch) const {
    using enum ops::DropoutSite;
    norm1.forward(device, x, scratch.normed, saved.norm1);                                                            // (T, C)
    qkv.forward(device, scratch.normed, saved.qkv);                                                                   // (T, 3C)
    ops::forward(device, Attention{}, batch, dropout.at(attention_probabilities, layer), saved.qkv, saved.attended, saved.attention);
    projection.forward_without_bias(device, saved.attended, scratch.branch);                                          // (T, C)
    join(device, batch, dropout.at(attention_projection, layer), x, scratch.branch, projection.bias, saved.middle);   // (T, C)

    norm2.forward(device, saved.middle, scratch.normed, saved.norm2);                                                 // (T, C)
    up.forward(device, scratch.normed, saved.up);                                                                     // (T, 4C)
    ops::gelu_forward<Config::gelu>(device, saved.up, scratch.hidden);                                                // (T, 4C)
    down.forward_without_bias(device, scratch.hidden, scratch.branch);                                                // (T, C)
    join(device, batch, dropout.at(mlp_projection, layer), saved.middle, scratch.branch, down.bias, saved.out);       // (T, C)
  }

  /// The same lines upwards; `dstream` (T, C) is d out, and becomes d x.
  template <class Device>
  void backward(Device& device, const PackedBatch& batch, const ops::DropoutPlan& dropout, int layer, Rows<Stream, C> x, const Saved& saved,
                const Scratch& scratch, Rows<Stream, C> dstream, Block<Config, P, Stream>& gradient) const {
    using enum ops::DropoutSite;
    const auto dbranch = scratch.normed;
    ops::apply_dropout(device, batch, dropout.at(mlp_projection, layer), dstream, dbranch);
    ops::matmul_transposed(device, dbranch, down.weight, scratch.wide_gradient);                                      // (T, 4C)
    ops::gelu_backward<Config::gelu>(device, saved.up, scratch.hidden, scratch.wide_gradient);                        // (T, 4C)
    ops::matmul_gradient(device, scratch.hidden, dbranch, gradient.down.weight, Write::accumulate);
    ops::bias_gradient(device, dbranch, gradient.down.bias);
    norm2.recompute(device, saved.middle, saved.norm2, scratch.normed);                                               // (T, C)
    up.backward(device, scratch.normed, scratch.wide_gradient, scratch.branch, gradient.up);                          // (T, C)
    norm2.backward(device, saved.middle, saved.norm2, scratch.branch, dstream, Write::accumulate, gradient.norm2);

    ops::apply_dropout(device, batch, dropout.at(attention_projection, layer), dstream, dbranch);
    projection.backward(device, saved.attended, dbranch, scratch.attended_gradient(), gradient.projection);           // (T, C)
    ops::backward(device, Attention{}, batch, dropout.at(attention_probabilities, layer), saved.qkv, saved.attended, saved.attention,
                  scratch.attended_gradient(), scratch.qkv_gradient());                                               // (T, 3C)
    norm1.recompute(device, x, saved.norm1, scratch.normed);                                                          // (T, C)
    qkv.backward(device, scratch.normed, scratch.qkv_gradient(), scratch.branch, gradient.qkv);                       // (T, C)
    norm1.backward(device, x, saved.norm1, scratch.branch, dstream, Write::accumulate, gradient.norm1);
  }

  /// Rows against a cache, batch-invariant; the stream changes from x to out in place. `input`: what the linear layers' infer takes besides.
  template <class Device>
  void infer(Device& device, ops::CacheRows rows, Rows<Stream, C> stream, Cache cache, const BlockInferenceScratch<Config, P>& scratch,
             const auto&... input) const {
    norm1.forward(device, stream, scratch.normed, scratch.norm);                                                      // (R, C)
    qkv.infer(device, scratch.normed, scratch.qkv, input...);                                                         // (R, 3C)
    ops::forward(device, ops::CachedAttention{}, rows, scratch.qkv, cache, scratch.normed);                           // (R, C)
    projection.infer(device, scratch.normed, scratch.branch, input...);                                               // (R, C)
    ops::add(device, scratch.branch, stream);

    norm2.forward(device, stream, scratch.normed, scratch.norm);                                                      // (R, C)
    up.infer(device, scratch.normed, scratch.hidden, input...);                                                       // (R, 4C)
    ops::gelu_forward<Config::gelu>(device, scratch.hidden, scratch.hidden);                                          // (R, 4C)
    down.infer(device, scratch.hidden, scratch.branch, input...);                                                     // (R, C)
    ops::add(device, scratch.branch, stream);
  }

 private:
  template <class Device>
  static void join(Device& device, const PackedBatch& batch, const ops::Dropout& dropout, Rows<const Stream, C> x, Rows<const Stream, C> branch,
                   Vector<T, C> bias, Rows<Stream, C> out) {
    ops::residual(device, batch, dropout, x, branch, bias, out);
  }
};

}  // namespace terse::nn
