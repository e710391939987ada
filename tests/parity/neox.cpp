// A third family of the same policies, as a user would write it: GPT-NeoX (Black et al. 2022, arXiv:2204.06745). Rotary positions in half of a head's
// columns, both branches from the block's input, biases, exact GELU, a head of its own.
#include <terse/models/transformer.hpp>
#include <terse/nn/layers.hpp>
#include <terse/nn/norm.hpp>

#include "support/family_judge.hpp"

using namespace terse;

namespace {

struct Sizes {
  static constexpr int vocabulary = 97, context = 64, layers = 2, heads = 4, key_value_heads = 4, width = 32;
  static constexpr Index padded_vocabulary = 128;
};

template <Precision P, Real T, Index C = Sizes::width>
struct NeoxBlock : nn::Block<P, nn::LayerNorm<T, C>, nn::Attention<Sizes, P, nn::Linear<T, C, 3 * C>, nn::Linear<T, C, C>, nn::Rotary<C / Sizes::heads / 2>>,
                             nn::Mlp<C, 4 * C, P, nn::Gelu<ops::Gelu::exact>, nn::Linear<T, C, 4 * C>, nn::Linear<T, 4 * C, C>>, nn::Residual::parallel> {
  constexpr void parameters(auto&& visit) {
    visit("input_layernorm", this->norm1), visit("post_attention_layernorm", this->norm2);
    visit("attention.query_key_value", this->attention.qkv), visit("attention.dense", this->attention.projection);
    visit("mlp.dense_h_to_4h", this->mlp.up), visit("mlp.dense_4h_to_h", this->mlp.down);
  }
};

struct Neox {
  using Config = Sizes;
  template <Precision P, Real T>
  struct Parameters {
    Matrix<T, Sizes::padded_vocabulary, Sizes::width> tokens;
    std::array<NeoxBlock<P, T>, Sizes::layers> blocks;
    nn::LayerNorm<T, Sizes::width> norm;
    nn::Weight<T, Sizes::padded_vocabulary, Sizes::width> head;

    constexpr void parameters(auto&& visit) {
      constexpr nn::ParameterTraits of_tokens{.deviation = 0.02f, .saved_rows = Sizes::vocabulary};
      visit("gpt_neox.embed_in.weight", tokens, of_tokens), visit("gpt_neox.layers", blocks), visit("gpt_neox.final_layer_norm", norm), visit("lm_head.weight", head.weight, of_tokens);
    }
  };
};

}  // namespace

TEST_CASE("GPT-NeoX: logits, gradients and texts are transformers'") { judge::check_family<models::Transformer<Neox, Fp32, Cpu>>("neox"); }
