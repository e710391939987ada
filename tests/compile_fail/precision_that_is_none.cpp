// expect: terse: Gpt: the second argument is a precision policy: Fp32, Fp16Mixed or Bf16Mixed
// expect: float
#include <terse/models/gpt.hpp>

struct Mine : terse::models::Config<terse::models::GptConfig{.layers = 6}> {};

void run(terse::Cpu& cpu) { terse::models::Gpt<Mine, float, terse::Cpu> model(cpu); }
