// expect: terse: Gpt: the first argument is a struct derived from models::Config<models::GptConfig{...}>
// expect: Mine
#include <terse/models/gpt.hpp>

struct Mine {
  int layers = 6, heads = 8, width = 512;
};

void run(terse::Cpu& cpu) { terse::models::Gpt<Mine, terse::Fp32, terse::Cpu> model(cpu); }
