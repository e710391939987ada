// expect: terse: GptConfig: width must be divisible by heads
// expect: WidthDivisibleByHeads<770, 12>
#include <terse/models/config.hpp>

struct Mine : terse::models::Config<terse::models::GptConfig{.heads = 12, .width = 770}> {};
