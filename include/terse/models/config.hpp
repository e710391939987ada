#pragma once
/// Sizes are types: `struct Mine : models::Config<models::GptConfig{.context = 512, .layers = 6}> {};`
/// A wrong size doesn't compile, and says why.

#include <concepts>
#include <type_traits>

#include <terse/core/precision.hpp>
#include <terse/core/shape.hpp>
#include <terse/ops/gelu/op.hpp>

namespace terse::models {

/// The sizes of a GPT-2; the defaults are GPT-2 124M's.
struct GptConfig {
  int vocabulary = 50257;
  int context = 1024;  ///< the longest document, in tokens
  int layers = 12;
  int heads = 12;
  int width = 768;
  ops::Gelu gelu = ops::Gelu::tanh;
};

/// The sizes of a Llama; the defaults are SmolLM2 135M's, with a context of 1024 of its 8192: nothing in the model depends on it.
struct LlamaConfig {
  int vocabulary = 49152;
  int context = 1024;  ///< the longest document, in tokens
  int layers = 30;
  int heads = 9;
  int key_value_heads = 3;  ///< heads of keys and values, each shared by heads / key_value_heads heads of queries
  int width = 576;
  int hidden = 1536;                  ///< of the MLP
  int rope_theta = 100000;            ///< base of the rotary positions' wavelengths
  int inverse_epsilon = 100000;       ///< 1 / epsilon of the norms
  bool tied = true;                   ///< the head's weight is the embedding's
};

/// Says what is wrong with the sizes, which stand in the compiler's trace.
template <int vocabulary, int context, int layers, int heads, int width>
struct SizesArePositive {
  static_assert(vocabulary > 0 && context > 0 && layers > 0 && heads > 0 && width > 0,
                "terse: GptConfig: vocabulary, context, layers, heads and width must be positive");
  static constexpr bool value = true;
};

/// Says that heads don't divide the width; both stand in the compiler's trace.
template <int width, int heads>
struct WidthDivisibleByHeads {
  static_assert(heads < 1 || width % heads == 0, "terse: GptConfig: width must be divisible by heads");
  static constexpr bool value = true;
};

/// Says what is wrong with the sizes of a Llama, which stand in the compiler's trace.
template <int vocabulary, int context, int layers, int heads, int key_value_heads, int width, int hidden>
struct LlamaSizesFit {
  static constexpr bool positive = vocabulary > 0 && context > 0 && layers > 0 && heads > 0 && key_value_heads > 0 && width > 0 && hidden > 0;
  static_assert(positive, "terse: LlamaConfig: vocabulary, context, layers, heads, key_value_heads, width and hidden must be positive");
  static_assert(!positive || width % (2 * heads) == 0, "terse: LlamaConfig: width must be divisible by heads, and a head's width by two");
  static_assert(!positive || heads % key_value_heads == 0, "terse: LlamaConfig: heads must be divisible by key_value_heads");
  static constexpr bool value = true;
};

namespace detail {

/// The sizes as given; GPT-2's where they are impossible, so that a model of them has no second mistake and the first message is the only one.
constexpr GptConfig possible(GptConfig c) {
  const bool positive = c.vocabulary > 0 && c.context > 0 && c.layers > 0 && c.heads > 0 && c.width > 0;
  return positive && c.width % c.heads == 0 ? c : GptConfig{};
}
constexpr LlamaConfig possible(LlamaConfig c) {
  const bool positive = c.vocabulary > 0 && c.context > 0 && c.layers > 0 && c.heads > 0 && c.key_value_heads > 0 && c.width > 0 && c.hidden > 0;
  return positive && c.width % (2 * c.heads) == 0 && c.heads % c.key_value_heads == 0 ? c : LlamaConfig{};
}

/// Which sizes these are. nvcc takes specialisations of Config that differ in their parameter's type alone for one, and writes decltype((config)) for
/// decltype(config).
template <auto config, class Sizes>
concept SizesAre = std::same_as<std::remove_cvref_t<decltype(config)>, Sizes>;

}  // namespace detail

/// A GptConfig or LlamaConfig as a type. Derive a named struct from it, so that symbols and error messages stay short.
template <auto config>
struct Config;

/// A GPT-2's.
template <auto config>
  requires detail::SizesAre<config, GptConfig>
struct Config<config> {
  static_assert(SizesArePositive<config.vocabulary, config.context, config.layers, config.heads, config.width>::value);
  static_assert(WidthDivisibleByHeads<config.width, config.heads>::value);

  static constexpr GptConfig sizes = detail::possible(config);
  static constexpr int vocabulary = sizes.vocabulary, context = sizes.context, layers = sizes.layers, heads = sizes.heads, width = sizes.width;
  static constexpr int key_value_heads = heads;
  static constexpr ops::Gelu gelu = sizes.gelu;
  static constexpr Index padded_vocabulary = round_up(Index{vocabulary}, Index{128});  ///< rows in memory: tensor cores need multiples
};

/// A Llama's.
template <auto config>
  requires detail::SizesAre<config, LlamaConfig>
struct Config<config> {
  static_assert(LlamaSizesFit<config.vocabulary, config.context, config.layers, config.heads, config.key_value_heads, config.width, config.hidden>::value);

  static constexpr LlamaConfig sizes = detail::possible(config);
  static constexpr int vocabulary = sizes.vocabulary, context = sizes.context, layers = sizes.layers, heads = sizes.heads, width = sizes.width;
  static constexpr int key_value_heads = sizes.key_value_heads, key_value_width = width / heads * key_value_heads, hidden = sizes.hidden;
  static constexpr int rope_theta = sizes.rope_theta, inverse_epsilon = sizes.inverse_epsilon;
  static constexpr bool tied = sizes.tied;
  static constexpr Index padded_vocabulary = round_up(Index{vocabulary}, Index{128});  ///< rows in memory: tensor cores need multiples
};

namespace detail {

template <auto config>
void base(const Config<config>&);

}  // namespace detail

/// The sizes of a model: anything derived from Config.
template <class C>
concept ModelConfig = requires(const C& sizes) { detail::base(sizes); };

/// Anything derived from Config<Sizes{...}>: SizesOf<Mine, GptConfig>.
template <class C, class Sizes>
concept SizesOf = ModelConfig<C> && std::same_as<decltype(C::sizes), const Sizes>;

/// The model of a family's sizes; each family adds its own (models/gpt.hpp, models/llama.hpp).
template <class Config, Precision P, class Device>
struct ModelOfSizes;
/// The model whose sizes `Config` are: Gpt or Llama.
template <ModelConfig Config, Precision P, class Device>
using Model = typename ModelOfSizes<Config, P, Device>::type;

/// GPT-2: 124M parameters.
struct Gpt2 : Config<GptConfig{}> {};
/// GPT-2 medium: 355M parameters.
struct Gpt2Medium : Config<GptConfig{.layers = 24, .heads = 16, .width = 1024}> {};
/// GPT-2 large: 774M parameters.
struct Gpt2Large : Config<GptConfig{.layers = 36, .heads = 20, .width = 1280}> {};
/// GPT-2 xl: 1558M parameters.
struct Gpt2Xl : Config<GptConfig{.layers = 48, .heads = 25, .width = 1600}> {};
/// SmolLM2: 135M parameters.
struct SmolLm2 : Config<LlamaConfig{}> {};

/// GPT-2's vocabulary and context on 4 layers of width 128: trains on a laptop, and shows the job whole.
struct Tiny : Config<GptConfig{.layers = 4, .heads = 4, .width = 128}> {};

}  // namespace terse::models
