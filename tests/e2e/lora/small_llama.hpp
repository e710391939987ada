#pragma once
// The model of llama-summarize, which the tests of --lora run.
#include <terse/models/config.hpp>

struct SmallLlama : terse::models::Config<terse::models::LlamaConfig{.vocabulary = 512, .context = 256, .layers = 2, .heads = 4, .key_value_heads = 2, .width = 32, .hidden = 64}> {};
