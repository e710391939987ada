#include <numeric>
#include <vector>

#include <terse/dist/communicator.hpp>
#include <terse/models/gpt.hpp>
#include <terse/nn/initialize.hpp>
#include <terse/train/trainer.hpp>

#include "counted_new.hpp"
#include "support/catch.hpp"

using namespace terse;

namespace {

struct Config : models::Config<models::GptConfig{.vocabulary = 37, .context = 40, .layers = 2, .heads = 3, .width = 12}> {};

/// Remembers how much had been allocated when each step ended.
struct CountingObserver : train::TrainObserver {
  std::vector<std::size_t> counts;
  bool on_step(const train::StepRecord&) override {
    counts.push_back(allocations());
    return true;
  }
};

}  // namespace

// In double, whose products are our own: what a BLAS library does inside isn't counted against us.
TEST_CASE("a training's steps and validations allocate nothing, with or without averaged weights, smoothed labels, R-Drop and rates by layer") {
  std::vector<text::Sample> samples;
  for (std::int64_t i = 0; i < 10; ++i) {
    text::Sample sample{i, 3, std::vector<TokenId>(static_cast<std::size_t>(5 + 3 * i))};
    std::iota(sample.ids.begin(), sample.ids.end(), static_cast<TokenId>(i));
    for (auto& id : sample.ids) id %= 37;
    samples.push_back(std::move(sample));
  }
  std::vector<std::uint32_t> numbers(samples.size());
  std::iota(numbers.begin(), numbers.end(), 0u);

  using Model = models::Gpt<Config, Fp64, Cpu>;
  train::TrainOptions options{.schedule = {.batch = 3, .accumulate = 2, .ranks = 1, .steps = 12}, .rates = {}, .dropout = 0.1f, .evaluate_every = 3};
  for (const bool all : {false, true}) {
    if (all) options.ema = 0.9, options.label_smoothing = 0.1f, options.r_drop = 0.5f, options.layer_decay = 0.8;
    Cpu cpu(2);
    Model model(cpu);
    dist::Solo solo;
    train::Trainer<Model> trainer(model, solo, {samples, numbers, samples, std::span(numbers).first(5)}, options);
    nn::initialize<Model>(trainer.parameters(), 1);
    trainer.share_parameters();
    CountingObserver observer;
    observer.counts.reserve(12);
    trainer.run(observer);
    REQUIRE(observer.counts.size() == 12);
    for (const std::size_t count : observer.counts) CHECK(count == observer.counts[0]);  // the first step starts OpenMP's threads
  }
}
