// Gradients that ranks send each other as bfloat16.
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <terse/dist/threads.hpp>
#include <terse/models/gpt.hpp>
#include <terse/nn/initialize.hpp>
#include <terse/train/trainer.hpp>

#include "support/catch.hpp"
#include "support/messages.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 61, .context = 48, .layers = 2, .heads = 2, .width = 32}> {};
using Gpt = models::Gpt<Small, Fp32, Cpu>;

/// Of rank `rank`, so that each has gradients of its own.
text::Sample sample_of(int rank) {
  text::Sample sample{rank, 4, {}};
  for (TokenId i = 0; i < 30; ++i) sample.ids.push_back((i * (rank + 2) + rank) % 60);
  return sample;
}

/// This rank's gradient of its sample, after `reduce`.
std::vector<float> gradient_of(dist::Communicator& communicator, int rank, const dist::ReduceOptions& options) {
  Cpu cpu(1);
  Gpt model(cpu);
  train::reserve(model, 30);
  nn::initialize(model, 3);
  dist::DistributedDataParallel<Gpt> ddp(model, communicator, {30, 1}, options);
  text::BatchStorage storage(text::BatchCapacity{.tokens = 30, .target_rows = 30, .sequences = 1});
  const std::vector samples{sample_of(rank)};
  const std::vector<std::uint32_t> numbers{0};
  double loss = 0;
  ddp.clear();
  ddp.backward(text::pack(samples, numbers, storage), {}, {.is_last = true, .loss = &loss});
  ddp.reduce();
  return {ddp.gradient(), ddp.gradient() + Gpt::flat_size};
}

/// Where a sum of `ranks` in bfloat16 should be: each rank's rounded, added as floats, neighbours first, and rounded once.
std::vector<float> expected_of(int ranks) {
  std::vector<std::vector<float>> own;
  for (int rank = 0; rank < ranks; ++rank) {
    dist::Solo solo;
    own.push_back(gradient_of(solo, rank, {.dtype = Dtype::bf16}));  // one rank sends nothing, so nothing is rounded
  }
  std::vector<float> sums(own[0].size());
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const auto sent = [&](std::size_t rank) { return static_cast<float>(bfloat16(own[rank][i])); };
    const float first = sent(0) + sent(1);
    sums[i] = bfloat16(ranks == 2 ? first : ranks == 3 ? first + sent(2) : first + (sent(2) + sent(3)));
  }
  return sums;
}

std::vector<float> trained(Dtype dtype, bool shards, long steps = 20) {
  std::vector<text::Sample> samples;
  std::vector<std::uint32_t> numbers;
  for (int i = 0; i < 8; ++i) samples.push_back(sample_of(i)), numbers.push_back(static_cast<std::uint32_t>(i));
  std::vector<float> parameters;
  dist::launch(2, [&](dist::Communicator& communicator) {
    Cpu cpu(1);
    Gpt model(cpu);
    train::Trainer<Gpt> trainer(model, communicator, {samples, numbers, {}, {}},
                                {.schedule = {.batch = 2, .accumulate = 2, .ranks = 2, .steps = steps}, .rates = {.lr = 1e-3, .warmup = 2, .decay = steps},
                                 .shard_optimizer = shards, .reduce_dtype = dtype});
    if (communicator.is_first()) trainer.write(train::StateTensor::parameters, [](float* values) { nn::initialize<Gpt>(values, 3); });
    trainer.share_parameters();
    std::vector<double> losses;
    trainer.run([&](const train::StepRecord& step) { losses.push_back(step.loss); });
    // Every rank has the same parameters.
    const std::string here(reinterpret_cast<const char*>(model.flat()), static_cast<std::size_t>(Gpt::flat_size) * sizeof(float));
    for (const auto& theirs : communicator.all_gather(here))
      if (theirs != here) fail(Failure::internal, "ranks have other parameters");
    if (communicator.is_first()) parameters.assign(model.flat(), model.flat() + Gpt::flat_size);
  });
  return parameters;
}

}  // namespace

TEST_CASE("gradients summed in bf16: each rank's rounded, their sum rounded once, whatever the buckets") {
  for (const int ranks : {2, 3, 4}) {
    const auto expected = expected_of(ranks);
    for (const std::size_t bucket_bytes : {std::size_t{1}, std::size_t{20'000}, std::size_t{0}}) {
      CAPTURE(ranks, bucket_bytes);
      dist::launch(ranks, [&](dist::Communicator& communicator) {
        const auto sums = gradient_of(communicator, communicator.rank(), {.bucket_bytes = bucket_bytes, .dtype = Dtype::bf16});
        if (std::memcmp(sums.data(), expected.data(), sums.size() * sizeof(float)) != 0) fail(Failure::internal, "rank ", communicator.rank(), " has other sums");
      });
    }
  }
}

TEST_CASE("bf16 sums train: near fp32's, the same on all ranks, in shards too") {
  const auto whole = trained(Dtype::f32, false), narrow = trained(Dtype::bf16, false);
  CHECK(trained(Dtype::bf16, true) == narrow);
  CHECK(whole != narrow);
  double difference = 0, size = 0;
  const auto initial = trained(Dtype::f32, false, 1);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    difference += std::pow(whole[i] - narrow[i], 2);
    size += std::pow(whole[i] - initial[i], 2);
  }
  CHECK(std::sqrt(difference / size) < 0.02);  // of the way that the parameters went
}

TEST_CASE("what the sums can't be in is said") {
  const auto message = [](const dist::ReduceOptions& options) {
    return message_of([&] {
      dist::Solo solo;
      gradient_of(solo, 0, options);
    });
  };
  CHECK(contains(message({.dtype = Dtype::f16}), "summed over ranks in fp32 or bf16, not in fp16"));
  CHECK(contains(message({.tree_leaves = 1, .dtype = Dtype::bf16}), "reproducible sums are in fp32"));
}

TEST_CASE("the plan has the memory of what is sent") {
  using Ddp = dist::DistributedDataParallel<Gpt>;
  CHECK(Ddp::gradient_bytes(0, true) == Ddp::gradient_bytes() + round_up(static_cast<std::size_t>(Gpt::flat_size) * 2, alignment_bytes));
  CHECK(train::plan<Gpt>(30, 1, {.sends_bfloat16 = true}).total() == train::plan<Gpt>(30, 1).total() + Ddp::gradient_bytes(0, true) - Ddp::gradient_bytes());
}
