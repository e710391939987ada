// expect: terse: GptConfig: vocabulary, context, layers, heads and width must be positive
#include <terse/models/config.hpp>

struct Mine : terse::models::Config<terse::models::GptConfig{.layers = 6, .heads = 0}> {};
