#pragma once
/// GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): what it is made of. How it runs stands in models/transformer.hpp.

#include <array>
#include <string_view>

#include <terse/models/transformer.hpp>
#include <terse/nn/layers.hpp>
#include <terse/nn/norm.hpp>

namespace terse::models {

/// GPT-2's block: layer norms with bias, multi-head attention that knows no positions, an MLP of four times the width with GELU.
template <class Config, Precision P, Real T, class Layers = nn::PlainLayers, Index C = Config::width>
struct GptBlock
    : nn::Block<P, nn::LayerNorm<T, C>,
                nn::Attention<Config, P, typename Layers::Attention::template Linear<T, C, 3 * C>, typename Layers::Attention::template Linear<T, C, C>, nn::Unrotated>,
                nn::Mlp<C, 4 * C, P, nn::Gelu<Config::gelu>, typename Layers::Mlp::template Linear<T, C, 4 * C>, typename Layers::Mlp::template Linear<T, 4 * C, C>>> {
  /// Names and order of GPT-2's checkpoints.
  constexpr void parameters(auto&& visit) {
    constexpr nn::ParameterTraits into_stream{.residual_branches = 2 * Config::layers};
    visit("ln_1", this->norm1), visit("attn.c_attn", this->attention.qkv), visit("attn.c_proj", this->attention.projection, into_stream);
    visit("ln_2", this->norm2), visit("mlp.c_fc", this->mlp.up), visit("mlp.c_proj", this->mlp.down, into_stream);
  }
};

/// The parameters of a GPT-2, as T: its weights, or (T = Stream) their gradients. The head's weight is the embedding's.
template <class Config, Precision P, Real T, class Layers = nn::PlainLayers>
struct GptParameters {
  static constexpr Index C = Config::width, V = Config::padded_vocabulary;

  Matrix<T, V, C> tokens;                   // (P, C)
  Matrix<T, Config::context, C> positions;  // (context, C)
  std::array<GptBlock<Config, P, T, Layers>, Config::layers> blocks;
  nn::LayerNorm<T, C> norm;

  constexpr void parameters(auto&& visit) {
    visit("wte.weight", tokens, nn::ParameterTraits{.deviation = 0.02f, .saved_rows = Config::vocabulary});
    visit("wpe.weight", positions, nn::ParameterTraits{.deviation = 0.02f});
    visit("h", blocks), visit("ln_f", norm);
  }
};

template <class ConfigType>
struct GptFamily {
  using Config = ConfigType;
  static constexpr bool fan_in_fan_out = true;  ///< matrices of linear layers are (in, out), in PEFT's words
  template <Precision P, Real T, class Layers = nn::PlainLayers>
  using Parameters = GptParameters<Config, P, T, Layers>;
};

/// What Gpt can't be made of gives these words and nothing more.
template <class ConfigType, class P, class DeviceType>
class Gpt {
  static constexpr bool config = SizesOf<ConfigType, GptConfig>, precision = Precision<P>;
  static_assert(config, "terse: Gpt: the first argument is a struct derived from models::Config<models::GptConfig{...}>");
  static_assert(precision, "terse: Gpt: the second argument is a precision policy: Fp32, Fp16Mixed or Bf16Mixed");

 public:
  explicit Gpt(auto&&...) {}
};

/// A GPT-2 of the sizes in `Config` (models/config.hpp).
template <class ConfigType, Precision P, class DeviceType>
  requires SizesOf<ConfigType, GptConfig>
class Gpt<ConfigType, P, DeviceType> : public Transformer<GptFamily<ConfigType>, P, DeviceType> {
 public:
  using Transformer<GptFamily<ConfigType>, P, DeviceType>::Transformer;
  static constexpr std::string_view file_prefix = "transformer.";  ///< of names in GPT2LMHeadModel's files
};

template <class Config, Precision P, class Device>
  requires SizesOf<Config, GptConfig>
struct ModelOfSizes<Config, P, Device> {
  using type = Gpt<Config, P, Device>;
};

}  // namespace terse::models
