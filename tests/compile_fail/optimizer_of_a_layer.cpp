// expect: terse: AdamW: this is no model
// expect: Linear
#include <terse/nn/linear.hpp>
#include <terse/optim/adamw.hpp>

void run(terse::nn::Linear<float, 4, 16>& layer) { terse::optim::AdamW adamw(layer); }
