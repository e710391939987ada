// expect: GptConfig
// expect: contxt
#include <terse/models/config.hpp>

struct Mine : terse::models::Config<terse::models::GptConfig{.contxt = 512}> {};
