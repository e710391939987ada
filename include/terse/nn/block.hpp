#pragma once
#include <algorithm>

#include <terse/core/arena.hpp>
#include <terse/core/precision.hpp>
#include <terse/nn/attention.hpp>
#include <terse/nn/mlp.hpp>
#include <terse/ops/residual/cpu.hpp>

namespace terse::nn {

/// How a block's two branches join the residual stream: one after the other (GPT-2, Llama), or both from the block's input (GPT-J, GPT-NeoX).
enum class Residual { sequential, parallel };

/// What all blocks of a model share while they run: overwritten by each, kept by none.
template <Precision P, class AttentionLayer, class MlpLayer, Residual residual>
struct BlockScratch {
  using Act = typename P::Activation;
  using Stream = typename P::Stream;
  static constexpr Index C = AttentionLayer::C, M = MlpLayer::hidden_columns, inputs = MlpLayer::Activation::inputs;
  /// Columns of hidden and of wide_gradient: attention's gradients take the MLP's memory, whose turn is over.
  static constexpr Index hidden_columns = std::max(M, C), gradient_columns = std::max(inputs * M, AttentionLayer::qkv_columns);

  typename AttentionLayer::Angles angles;     // of the batch's positions
  Rows<Act, C> normed;                        // (T, C) a norm's output; backward: a branch's gradient
  Rows<Stream, C> branch;                     // (T, C) a branch before it joins the stream; backward: the gradient of a norm's output
  Rows<Act, hidden_columns> hidden;           // (T, M) after the activation
  Rows<Act, gradient_columns> wide_gradient;  // (T, inputs M) backward: the gradient of up's output, or of qkv
  Rows<Act, M> narrow_gradient;               // (T, M) backward: the gradient of hidden, where the activation has two inputs
  Rows<Stream, C> other_branch;               // (T, C) backward: what the MLP adds to the stream's gradient, where attention mustn't see it

  constexpr void each(auto&& visit, Extent extent) {
    angles.each(visit, extent);
    visit(normed, extent.tokens), visit(branch, extent.tokens), visit(hidden, extent.tokens), visit(wide_gradient, extent.tokens);
    if constexpr (inputs > 1) visit(narrow_gradient, extent.tokens);
    if constexpr (residual == Residual::parallel) visit(other_branch, extent.tokens);
  }
  Rows<Act, M> activated() const { return {hidden.data, hidden.rows}; }
  ActivationRows<Act, M, inputs> up_gradient() const { return {{wide_gradient.data, wide_gradient.rows}, narrow_gradient}; }
  Rows<Act, AttentionLayer::qkv_columns> qkv_gradient() const { return {wide_gradient.data, wide_gradient.rows}; }
  Rows<Act, C> attended_gradient() const { return {hidden.data, hidden.rows}; }
};

/// As BlockScratch, for rows run against a cache: everything in the stream's dtype.
template <Precision P, class NormLayer, class AttentionLayer, class MlpLayer>
struct BlockInferenceScratch {
  using Stream = typename P::Stream;
  static constexpr Index C = AttentionLayer::C;

  typename AttentionLayer::Angles angles;
  typename NormLayer::template Saved<Stream> norm;
  Rows<Stream, C> normed, branch;                                                                   // (R, C)
  Rows<Stream, AttentionLayer::qkv_columns> qkv;                                                    // (R, C + 2GD)
  ActivationRows<Stream, MlpLayer::hidden_columns, MlpLayer::Activation::inputs> hidden;            // (R, inputs M), (R, M)

  constexpr void each(auto&& visit, Extent extent) {
    angles.each(visit, extent), norm.each(visit, extent);
    visit(normed, extent.tokens), visit(branch, extent.tokens), visit(qkv, extent.tokens);
    hidden.each(visit, extent);
  }
};

/// A pre-norm transformer block: attention and MLP, each a branch that joins the residual stream.
///
///   sequential   middle = x + dropout(attention(norm1(x)))        out = middle + dropout(mlp(norm2(middle)))
///   parallel     middle = x + dropout(attention(norm1(x)))        out = middle + dropout(mlp(norm2(x)))
///
/// Shapes     x, middle, out (T, C)
/// Backward   the stream's gradient is changed from d out to d x in place; the parameters' gradients are added to
///
/// Its parts are policies: LayerNorm or RmsNorm, nn::Attention, nn::Mlp. A model's own block derives from it and names the parameters (models/gpt.hpp).
template <Precision P, class NormLayer, class AttentionLayer, class MlpLayer, Residual residual = Residual::sequential>
struct Block {
  static constexpr Index C = AttentionLayer::C;
  using Act = typename P::Activation;
  using Stream = typename P::Stream;
  using Cache = typename AttentionLayer::Cache;
  using Positions = typename AttentionLayer::Rotation;
  using Scratch = BlockScratch<P, AttentionLayer, MlpLayer, residual>;
  using InferenceScratch = BlockInferenceScratch<P, NormLayer, AttentionLayer, MlpLayer>;

  NormLayer norm1;
  AttentionLayer attention;
  NormLayer norm2;
  MlpLayer mlp;

  /// What backward needs besides x; norms and activation are computed again from it, which is cheaper than keeping them.
  struct Saved {
    typename NormLayer::template Saved<Stream> norm1, norm2;
    typename AttentionLayer::Saved attention;
    Rows<Stream, C> middle;  // (T, C)
    typename MlpLayer::Saved mlp;

    constexpr void each(auto&& visit, Extent extent) {
      norm1.each(visit, extent), norm2.each(visit, extent), attention.each(visit, extent);
      visit(middle, extent.tokens), mlp.each(visit, extent);
    }
  };

  /// The first part of forward, up to the MLP's second product: it fills `saved` from x (T, C); `layer` keys the dropout.
  template <class Device>
  void forward_to_hidden(Device& device, const PackedBatch& batch, const ops::DropoutPlan& dropout, int layer, Rows<Stream, C> x, const Saved& saved,
                         const Scratch& scratch) const {
    using enum ops::DropoutSite;
    norm1.forward(device, x, scratch.normed, saved.norm1);                                                            // (T, C)
    attention.forward(device, batch, dropout.at(attention_probabilities, layer), scratch.normed, scratch.angles, saved.attention);
    attention.projection.join(device, batch, dropout.at(attention_projection, layer), saved.attention.attended, scratch.branch, x, saved.middle,
                              saved.attention.of_projection);                                                         // (T, C)

    norm2.forward(device, mlp_input(x, saved), scratch.normed, saved.norm2);                                          // (T, C)
    mlp.forward(device, scratch.normed, saved.mlp, scratch.activated());                                              // (T, M)
  }

  /// x (T, C) -> out (T, C).
  template <class Device>
  void forward(Device& device, const PackedBatch& batch, const ops::DropoutPlan& dropout, int layer, Rows<Stream, C> x, const Saved& saved,
               const Scratch& scratch, Rows<Stream, C> out) const {
    forward_to_hidden(device, batch, dropout, layer, x, saved, scratch);
    mlp.down.join(device, batch, dropout.at(ops::DropoutSite::mlp_projection, layer), scratch.activated(), scratch.branch, saved.middle, out, saved.mlp.of_down);
  }

  /// `saved` as forward left it, from the same x, without out.
  template <class Device>
  void recompute(Device& device, const PackedBatch& batch, const ops::DropoutPlan& dropout, int layer, Rows<Stream, C> x, const Saved& saved,
                 const Scratch& scratch) const {
    forward_to_hidden(device, batch, dropout, layer, x, saved, scratch);
    mlp.down.save(device, scratch.activated(), saved.mlp.of_down);
  }

  /// The lines of forward upwards; `dstream` (T, C) is d out, and becomes d x.
  template <class Device>
  void backward(Device& device, const PackedBatch& batch, const ops::DropoutPlan& dropout, int layer, Rows<Stream, C> x, const Saved& saved,
                const Scratch& scratch, Rows<Stream, C> dstream, auto& gradient) const {
    using enum ops::DropoutSite;
    const auto dbranch = scratch.normed;
    const auto dmlp_input = residual == Residual::sequential ? dstream : scratch.other_branch;
    ops::apply_dropout(device, batch, dropout.at(mlp_projection, layer), dstream, dbranch);
    mlp.backward_to_up(device, dbranch, saved.mlp, scratch.activated(), scratch.up_gradient(), gradient.mlp);         // (T, inputs M)
    norm2.recompute(device, mlp_input(x, saved), saved.norm2, scratch.normed);                                        // (T, C)
    mlp.up.backward(device, scratch.normed, scratch.up_gradient().wide, scratch.branch, gradient.mlp.up, saved.mlp.of_up);  // (T, C)
    norm2.backward(device, mlp_input(x, saved), saved.norm2, scratch.branch, dmlp_input, residual == Residual::sequential ? Write::accumulate : Write::overwrite,
                   gradient.norm2);

    ops::apply_dropout(device, batch, dropout.at(attention_projection, layer), dstream, dbranch);
    attention.projection.backward(device, saved.attention.attended, dbranch, scratch.attended_gradient(), gradient.attention.projection, saved.attention.of_projection);
    norm1.recompute(device, x, saved.norm1, scratch.normed);                                                          // (T, C)
    attention.backward(device, batch, dropout.at(attention_probabilities, layer), scratch.normed, scratch.angles, saved.attention, scratch.attended_gradient(),
                       scratch.qkv_gradient(), scratch.branch, gradient.attention);                                   // (T, C)
    norm1.backward(device, x, saved.norm1, scratch.branch, dstream, Write::accumulate, gradient.norm1);
    if constexpr (residual == Residual::parallel) ops::add(device, scratch.other_branch, dstream);
  }

  /// Rows against a cache, batch-invariant; the stream changes from x to out in place. `input`: what the linear layers' infer takes besides.
  /// `scratch`: InferenceScratch, of this block or of one whose linear layers are others.
  template <class Device>
  void infer(Device& device, ops::CacheRows rows, Rows<Stream, C> stream, Cache cache, const auto& scratch, const auto&... input) const {
    norm1.forward(device, stream, scratch.normed, scratch.norm);                                                      // (R, C)
    attention.infer(device, rows, scratch.normed, scratch.angles, scratch.qkv, cache, scratch.normed, input...);      // (R, C)
    attention.projection.infer(device, scratch.normed, scratch.branch, input...);                                     // (R, C)
    if constexpr (residual == Residual::parallel) norm2.forward(device, stream, scratch.normed, scratch.norm);
    ops::add(device, scratch.branch, stream);

    if constexpr (residual == Residual::sequential) norm2.forward(device, stream, scratch.normed, scratch.norm);      // (R, C)
    mlp.infer(device, scratch.normed, scratch.hidden, input...);                                                      // (R, M)
    mlp.down.infer(device, scratch.hidden.narrow(), scratch.branch, input...);                                        // (R, C)
    ops::add(device, scratch.branch, stream);
  }

 private:
  static Rows<Stream, C> mlp_input(Rows<Stream, C> x, const Saved& saved) { return residual == Residual::sequential ? saved.middle : x; }
};

}  // namespace terse::nn
