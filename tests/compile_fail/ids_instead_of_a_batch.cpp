// expect: PackedBatch
// expect: vector<int>
#include <vector>

#include <terse/models/gpt.hpp>

using Model = terse::models::Gpt<terse::models::Tiny, terse::Fp32, terse::Cpu>;

void run(const Model& model, const std::vector<int>& ids, const Model::Saved& saved, const Model::Scratch& scratch) { model.forward(ids, {}, saved, scratch); }
