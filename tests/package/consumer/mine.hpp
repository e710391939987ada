#pragma once
#include <terse/models/config.hpp>

struct Mine : terse::models::Config<terse::models::GptConfig{.vocabulary = 300, .context = 32, .layers = 1, .heads = 2, .width = 16}> {};
