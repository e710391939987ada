#pragma once
// The models this program is compiled for.
#include <terse/models/config.hpp>

namespace summarize {

using terse::models::Gpt2, terse::models::Gpt2Large, terse::models::Gpt2Medium, terse::models::Gpt2Xl, terse::models::SmolLm2, terse::models::Tiny;

/// Small enough to learn the synthetic dialogues from scratch in minutes on two CPU cores.
struct Demo : terse::models::Config<terse::models::GptConfig{.vocabulary = 1024, .context = 256, .layers = 2, .heads = 4, .width = 128}> {};

}  // namespace summarize
