#pragma once
#include <terse/nn/linear.hpp>
#include <terse/nn/projection.hpp>

namespace terse::nn {

/// Which linear layers a model is made of: these train and infer. Others have the same two names (models/quantized_gpt.hpp: 8-bit weights).
struct PlainLayers {
  template <class T, Index In, Index Out>
  using Linear = nn::Linear<T, In, Out>;
  template <class T, Index In, Index... Outs>
  using Projection = nn::Projection<T, In, Outs...>;
};

}  // namespace terse::nn
