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

/// A GptConfig as a type. Derive a named struct from it, so that symbols and error messages stay short.
template <GptConfig config>
struct Config {
  static constexpr int vocabulary = config.vocabulary, context = config.context, layers = config.layers, heads = config.heads, width = config.width;
  static constexpr ops::Gelu gelu = config.gelu;
  static constexpr Index padded_vocabulary = round_up(Index{vocabulary}, Index{128});  ///< rows in memory: tensor cores need multiples

  static_assert(SizesArePositive<vocabulary, context, layers, heads, width>::value);
  static_assert(WidthDivisibleByHeads<width, heads>::value);
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
