#pragma once
/// Llama (Touvron et al. 2023, arXiv:2302.13971, arXiv:2307.09288): what it is made of. How it runs stands in models/transformer.hpp.
/// SmolLM2 and many others are Llamas of other sizes.

#include <array>

#include <terse/models/transformer.hpp>
#include <terse/nn/layers.hpp>
#include <terse/nn/norm.hpp>

namespace terse::models {

/// Llama's block: RMS norms, grouped-query attention with rotary positions, an MLP with SwiGLU; no biases.
template <class Config, Precision P, Real T, class Layers = nn::PlainLayers, Index C = Config::width, Index M = Config::hidden, Index G = Config::key_value_width>
struct LlamaBlock
    : nn::Block<P, nn::RmsNorm<T, C, Config::inverse_epsilon>,
                nn::Attention<Config, P, typename Layers::Attention::template Projection<T, C, C, G, G>, typename Layers::Attention::template Projection<T, C, C>,
                              nn::Rotary<C / Config::heads, Config::rope_theta>>,
                nn::Mlp<C, M, P, nn::SwiGlu, typename Layers::Mlp::template Projection<T, C, M, M>, typename Layers::Mlp::template Projection<T, M, C>>> {
  /// Names and order of Hugging Face's checkpoints.
  constexpr void parameters(auto&& visit) {
    auto& [q, k, v] = this->attention.qkv.parts;
    auto& [gate, up] = this->mlp.up.parts;
    visit("input_layernorm", this->norm1);
    visit("self_attn.q_proj", q), visit("self_attn.k_proj", k), visit("self_attn.v_proj", v), visit("self_attn.o_proj", this->attention.projection);
    visit("post_attention_layernorm", this->norm2);
    visit("mlp.gate_proj", gate), visit("mlp.up_proj", up), visit("mlp.down_proj", this->mlp.down);
  }
};

/// The parameters of a Llama, as T: its weights, or (T = Stream) their gradients. The head is tied to the embedding.
template <class Config, Precision P, Real T, class Layers = nn::PlainLayers>
struct LlamaParameters {
  static constexpr Index C = Config::width, V = Config::padded_vocabulary;

  Matrix<T, V, C> tokens;  // (P, C)
  std::array<LlamaBlock<Config, P, T, Layers>, Config::layers> blocks;
  nn::RmsNorm<T, C, Config::inverse_epsilon> norm;

  constexpr void parameters(auto&& visit) {
    visit("model.embed_tokens.weight", tokens, nn::ParameterTraits{.deviation = 0.02f, .saved_rows = Config::vocabulary});
    visit("model.layers", blocks), visit("model.norm", norm);
  }
};

/// The same with a head of its own.
template <class Config, Precision P, Real T, class Layers = nn::PlainLayers>
struct UntiedLlamaParameters : LlamaParameters<Config, P, T, Layers> {
  nn::Weight<T, Config::padded_vocabulary, Config::width> head;  // (P, C)

  constexpr void parameters(auto&& visit) {
    LlamaParameters<Config, P, T, Layers>::parameters(visit);
    visit("lm_head.weight", head.weight, nn::ParameterTraits{.deviation = 0.02f, .saved_rows = Config::vocabulary});
  }
};

template <class ConfigType>
struct LlamaFamily {
  using Config = ConfigType;
  static constexpr bool fan_in_fan_out = false;  ///< matrices of linear layers are (out, in)
  template <Precision P, Real T, class Layers = nn::PlainLayers>
  using Parameters = std::conditional_t<Config::tied, LlamaParameters<Config, P, T, Layers>, UntiedLlamaParameters<Config, P, T, Layers>>;
};

/// What Llama can't be made of gives these words and nothing more.
template <class ConfigType, class P, class DeviceType>
class Llama {
  static constexpr bool config = SizesOf<ConfigType, LlamaConfig>, precision = Precision<P>;
  static_assert(config, "terse: Llama: the first argument is a struct derived from models::Config<models::LlamaConfig{...}>");
  static_assert(precision, "terse: Llama: the second argument is a precision policy: Fp32, Fp16Mixed or Bf16Mixed");

 public:
  explicit Llama(auto&&...) {}
};

/// A Llama of the sizes in `Config` (models/config.hpp).
template <class ConfigType, Precision P, class DeviceType>
  requires SizesOf<ConfigType, LlamaConfig>
class Llama<ConfigType, P, DeviceType> : public Transformer<LlamaFamily<ConfigType>, P, DeviceType> {
 public:
  using Transformer<LlamaFamily<ConfigType>, P, DeviceType>::Transformer;
};

template <class Config, Precision P, class Device>
  requires SizesOf<Config, LlamaConfig>
struct ModelOfSizes<Config, P, Device> {
  using type = Llama<Config, P, Device>;
};

}  // namespace terse::models
