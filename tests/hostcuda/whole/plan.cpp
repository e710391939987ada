// What training GPT-2 124M takes of a GPU, known to the compiler; and that a run takes so much.
#include <terse/cuda.hpp>
#include <terse/models/activation_checkpointing.hpp>

#include "support/catch.hpp"
#include "support/gpu.hpp"

using namespace terse;

namespace {

using Gpt2 = models::Gpt<models::Gpt2, Fp16Mixed, Cuda>;
constexpr std::size_t GB = 1'000'000'000;
constexpr std::size_t usual = train::plan<Gpt2>(16 * 260, 16).total(), largest = train::plan<Gpt2>(16 * 1024, 16).total();
static_assert(usual <= 5 * GB);
static_assert(largest <= 9 * GB);
static_assert(train::fits<Gpt2, train::gpus::t4>);

// With activation checkpointing a quarter of the activations (docs/memory.md), and the rest as it was.
using CheckpointedGpt2 = models::ActivationCheckpointing<Gpt2>;
constexpr train::MemoryPlan all = train::plan<Gpt2>(16 * 1024, 16), checkpointed = train::plan<CheckpointedGpt2>(16 * 1024, 16);
static_assert(checkpointed.activations * 100 <= all.activations * 26);
static_assert(all.total() - checkpointed.total() == all.activations - checkpointed.activations);
using Gpt2Medium = models::Gpt<models::Gpt2Medium, Fp16Mixed, Cuda>;
static_assert(!train::fits<Gpt2Medium, train::gpus::t4> && train::fits<models::ActivationCheckpointing<Gpt2Medium>, train::gpus::t4>);

struct Small : models::Config<models::GptConfig{.vocabulary = 61, .context = 40, .layers = 2, .heads = 2, .width = 32}> {};

std::size_t free_bytes() {
  std::size_t available = 0, all = 0;
  REQUIRE(cudaMemGetInfo(&available, &all) == cudaSuccess);
  return available;
}

template <class Model>
void check_plan(double ema, float r_drop = 0) {
  std::vector<TokenId> ids;
  for (TokenId i = 0; i < 300; ++i) ids.push_back(i % 59);
  const auto samples = text::windows(ids, 23);
  const auto halves = text::split(samples.size(), 0, 42);
  const train::TrainOptions options{.schedule = {.batch = 3, .accumulate = 2, .ranks = 1, .steps = 1}, .rates = {.decay = 1}, .r_drop = r_drop, .ema = ema};
  cudaSetDevice(0);
  const std::size_t before = free_bytes();
  Cuda cuda(0);
  Model model(cuda);
  dist::Solo solo;
  train::Trainer<Model> trainer(model, solo, {samples, halves.training, samples, halves.validation}, options);
  trainer.run([](const train::StepRecord&) {});
  const std::size_t taken = before - free_bytes();
  const train::PlanOptions sizes{.micro_batches = options.schedule.micro_batches(), .capability = cuda.capability(), .ema = ema > 0};
  const auto plan = train::plan<Model>(trainer.capacity().tokens, trainer.capacity().sequences, sizes);
  if (gpu::is_emulated) CHECK(taken == plan.total());
  else WARN("not compared, as a real GPU gives memory in pages of 2 MiB and keeps its kernels there too: " << plan.total() << " bytes planned, " << taken << " taken");
}

/// Of the GPU, while texts are written.
void check_generator(const decode::Strategy& strategy) {
  using Model = models::Gpt<Small, Fp32, Cuda>;
  Cuda cuda(0);
  Model model(cuda);
  const std::size_t before = free_bytes();
  const decode::GeneratorSize size{.slots = 6, .rows = 20};
  decode::Generator<Model> generator(model, decode::no_end_of_text, size);
  if (gpu::is_emulated) CHECK(before - free_bytes() == decode::generator_bytes<Model>(size));
  const std::vector<std::vector<TokenId>> prompts(9, {1, 2, 3});
  std::size_t texts = 0;
  generator.generate(decode::numbered(prompts), strategy, {.token = {}, .text = [&](std::size_t, const decode::Generation&) {
                                                             ++texts;
                                                             return !gpu::is_emulated || before - free_bytes() == decode::generator_bytes<Model>(size) + decode::strategy_bytes<Model>(strategy, size);
                                                           }});
  CHECK(texts == prompts.size());  // none stopped it
}

}  // namespace

TEST_CASE("GPT-2 124M in fp16, 16 samples: bytes of a GPU") {
  WARN("16 x 260 tokens: " << usual << ", 16 x 1024: " << largest << "; with activation checkpointing " << train::plan<CheckpointedGpt2>(16 * 260, 16).total() << ", "
                            << checkpointed.total());
}

TEST_CASE("the plan is what is allocated, to the byte") {
  for (const double ema : {0.0, 0.9}) {
    check_plan<models::Gpt<Small, Fp32, Cuda>>(ema);
    check_plan<models::Gpt<Small, Fp16Mixed, Cuda>>(ema);
  }
  check_plan<models::ActivationCheckpointing<models::Gpt<Small, Fp16Mixed, Cuda>>>(0);
  check_plan<models::Gpt<Small, Fp16Mixed, Cuda>>(0, 1);
}

TEST_CASE("what a generator takes is known too, whatever the strategy") {
  check_generator({.max_new = 5});
  check_generator({.no_repeat_ngram = {2}, .max_new = 5, .beams = 3});
}
