#pragma once
/// Sizes are types: `struct Mine : models::Config<models::GptConfig{.context = 512, .layers = 6}> {};`
/// A wrong size doesn't compile, and says why.

#include <terse/core/shape.hpp>
#include <terse/ops/gelu/op.hpp>

namespace terse::models {

/// The sizes of a GPT; the defaults are GPT-2 124M's.
struct GptConfig {
  int vocabulary = 50257;
  int context = 1024;  ///< the longest document, in tokens
  int layers = 12;
  int heads = 12;
  int width = 768;
  ops::Gelu gelu = ops::Gelu::tanh;
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

namespace detail {

/// The sizes as given; GPT-2's where they are impossible, so that a model of them has no second mistake and the first message is the only one.
constexpr GptConfig possible(GptConfig c) {
  const bool positive = c.vocabulary > 0 && c.context > 0 && c.layers > 0 && c.heads > 0 && c.width > 0;
  return positive && c.width % c.heads == 0 ? c : GptConfig{};
}

}  // namespace detail

/// A GptConfig as a type. Derive a named struct from it, so that symbols and error messages stay short.
template <GptConfig config>
struct Config {
  static_assert(SizesArePositive<config.vocabulary, config.context, config.layers, config.heads, config.width>::value);
  static_assert(WidthDivisibleByHeads<config.width, config.heads>::value);

  static constexpr GptConfig sizes = detail::possible(config);
  static constexpr int vocabulary = sizes.vocabulary, context = sizes.context, layers = sizes.layers, heads = sizes.heads, width = sizes.width;
  static constexpr ops::Gelu gelu = sizes.gelu;
  static constexpr Index padded_vocabulary = round_up(Index{vocabulary}, Index{128});  ///< rows in memory: tensor cores need multiples
};

namespace detail {

template <GptConfig config>
void base(const Config<config>&);

}  // namespace detail

/// The sizes of a model: anything derived from Config.
template <class C>
concept ModelConfig = requires(const C& sizes) { detail::base(sizes); };

/// GPT-2: 124M parameters.
struct Gpt2 : Config<GptConfig{}> {};
/// GPT-2 medium: 355M parameters.
struct Gpt2Medium : Config<GptConfig{.layers = 24, .heads = 16, .width = 1024}> {};
/// GPT-2 large: 774M parameters.
struct Gpt2Large : Config<GptConfig{.layers = 36, .heads = 20, .width = 1280}> {};
/// GPT-2 xl: 1558M parameters.
struct Gpt2Xl : Config<GptConfig{.layers = 48, .heads = 25, .width = 1600}> {};

/// GPT-2's vocabulary and context on 4 layers of width 128: trains on a laptop, and shows the job whole.
struct Tiny : Config<GptConfig{.layers = 4, .heads = 4, .width = 128}> {};

}  // namespace terse::models
