// Ranks as threads: four micro-batches a step, read by one rank in turn or by four ranks at once. What is learnt is the same, to the bit.
#include <terse/terse.hpp>

#include <cstdio>

using namespace terse;

struct Small : models::Config<models::GptConfig{.vocabulary = 64, .context = 32, .layers = 2, .heads = 2, .width = 32}> {};
using Model = models::Gpt<Small, Fp32, Cpu>;

// Trains from the same beginning; returns the parameters.
std::vector<float> train_on(std::int64_t ranks, std::int64_t accumulate, const std::vector<text::Sample>& samples) {
  const auto halves = text::split(samples.size(), 0, 42);
  const text::StepSchedule schedule{.batch = 4, .accumulate = accumulate, .ranks = ranks, .steps = 40};
  std::vector<float> result;
  dist::launch(static_cast<int>(ranks), [&](dist::Communicator& rank) {  // runs on each rank, in a thread of its own
    Cpu cpu(1);
    Model model(cpu);
    nn::initialize(model, 42);
    text::Sampler sampler(samples, halves.training, schedule);  // deals the samples to steps, ranks and micro-batches
    const auto largest = sampler.capacity();
    text::BatchStorage storage(largest);
    train::reserve(model, largest.tokens);
    dist::DistributedDataParallel ddp(model, rank, {largest.tokens, largest.sequences}, {.tree_leaves = accumulate});  // sums in one tree over all micro-batches
    optim::AdamW adamw(model);

    for (long step = 0; step < schedule.steps; ++step) {
      double loss = 0;
      ddp.clear();
      for (long micro = 0; micro < accumulate; ++micro) loss += ddp.backward(sampler.fill(step, micro, rank.rank(), storage), {}, 1);
      ddp.reduce();  // gradients become their sum over ranks, the same bits on each
      rank.all_reduce(std::span(&loss, 1));
      adamw.step(ddp.gradient(), optim::clip_factor(ddp.gradient_norm(), 1.0), {.lr = 3e-3});
      if (rank.is_first() && (step + 1) % 10 == 0) std::printf("%ld x %ld, step %ld: loss %.4f\n", ranks, accumulate, step + 1, loss);
    }
    if (rank.is_first()) result.assign(model.flat(), model.flat() + Model::flat_size);
  });
  return result;
}

int main() {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 2000; ++i) ids.push_back(i * i % 61);
  const auto samples = text::windows(ids, 24);

  const auto alone = train_on(1, 4, samples), together = train_on(4, 1, samples);
  std::printf("%zu parameters, %s\n", alone.size(), alone == together ? "the same bits in all" : "not all the same");
}
