// expect: terse: GptConfig: vocabulary, context, layers, heads and width must be positive
#include <terse/models/gpt.hpp>

struct Mine : terse::models::Config<terse::models::GptConfig{.layers = 6, .heads = 0}> {};
using Model = terse::models::Gpt<Mine, terse::Fp32, terse::Cpu>;

void run(const Model& model, const terse::PackedBatch& batch, const Model::Saved& saved, const Model::Scratch& scratch) { model.forward(batch, {}, saved, scratch); }
