#pragma once
#include <terse/terse.hpp>

struct Small : terse::models::Config<terse::models::GptConfig{.vocabulary = 64, .context = 16, .layers = 1, .heads = 2, .width = 16}> {};

void initialize_elsewhere(terse::models::Gpt<Small, terse::Fp32, terse::Cpu>& model);
void fail_elsewhere();
