#pragma once
#include <terse/nn/linear.hpp>
#include <terse/nn/projection.hpp>

namespace terse::nn {

/// Which linear layers a model's attention and MLP are made of: these train and infer. Others have the same names (QuantizedLayers, LoraLayers).
struct PlainLayers {
  using Attention = PlainLayers;
  using Mlp = PlainLayers;

  template <class T, Index In, Index Out>
  using Linear = nn::Linear<T, In, Out>;
  template <class T, Index In, Index... Outs>
  using Projection = nn::Projection<T, In, Outs...>;
};

}  // namespace terse::nn
