// A user's program: a model of its own sizes, trained for one step.
#include <terse/terse.hpp>

#include "mine.hpp"

using namespace terse;

int main() {
  const std::vector<text::Sample> samples{{0, 3, {1, 2, 3, 4, 5}}, {1, 2, {7, 8, 9, 10}}};
  const std::vector<std::uint32_t> numbers{0, 1};
  Cpu cpu(1);
  models::Gpt<Mine, Fp32, Cpu> model(cpu);
  nn::initialize<decltype(model)>(model.flat(), 42);
  dist::Solo rank;
  train::Trainer trainer(model, rank, {samples, numbers, {}, {}}, {.schedule = {.batch = 2, .accumulate = 1, .ranks = 1, .steps = 1}});
  struct : train::TrainObserver {
    bool on_step(const train::StepRecord& step) override { return loss = step.loss, true; }
    double loss = 0;
  } observer;
  trainer.run(observer);
  std::printf("loss %.4f\n", observer.loss);  // about ln(300) = 5.70
  return observer.loss > 5.6 && observer.loss < 5.8 ? 0 : 1;
}
