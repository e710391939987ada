// expect: terse: Trainer: this is no model that can be trained
// expect: Linear
#include <terse/nn/linear.hpp>
#include <terse/train/trainer.hpp>

using namespace terse;

void run(nn::Linear<float, 4, 16>& layer, dist::Communicator& rank, const train::TrainData& data) { train::Trainer trainer(layer, rank, data, {}); }
