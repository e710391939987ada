// expect: terse: GptConfig: width must be divisible by heads
// expect: WidthDivisibleByHeads<200, 6>
#include <terse/models/gpt.hpp>

struct Mine : terse::models::Config<terse::models::GptConfig{.heads = 6, .width = 200}> {};
using Model = terse::models::Gpt<Mine, terse::Fp32, terse::Cpu>;

void run(const Model& model, const terse::PackedBatch& batch, const Model::Saved& saved, const Model::Scratch& scratch) { model.forward(batch, {}, saved, scratch); }
