// Activation checkpointing: the same bits, in fewer bytes.
#include <cmath>
#include <vector>

#include <terse/dist/ddp.hpp>
#include <terse/models/activation_checkpointing.hpp>
#include <terse/models/gpt.hpp>
#include <terse/models/lora.hpp>
#include <terse/nn/initialize.hpp>
#include <terse/train/plan.hpp>

#include "support/catch.hpp"
#include "support/owned_batch.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 61, .context = 40, .layers = 4, .heads = 2, .width = 32}> {};
struct OneBlock : models::Config<models::GptConfig{.vocabulary = 61, .context = 40, .layers = 1, .heads = 2, .width = 32}> {};
struct SmallLlama : models::Config<models::LlamaConfig{.vocabulary = 61, .context = 40, .layers = 4, .heads = 4, .key_value_heads = 2, .width = 64, .hidden = 96}> {};

template <class Base, int kept = 1>
using Checkpointed = models::ActivationCheckpointing<Base, kept>;
using Llama = models::Llama<SmallLlama, Fp32, Cpu>;
using Adapters = models::Lora<Llama, 8>;

static_assert(nn::TrainableModel<Checkpointed<models::Gpt<Small, Fp32, Cpu>>>);
static_assert(nn::TrainableModel<Checkpointed<Adapters>>);

/// Of GPT-2 124M, bytes from forward to backward: in fp16 a block saves 4 (T, C) rows in float and 8 C + statistics in half; see models/activation_checkpointing.hpp.
template <class P>
constexpr bool plan_is_as_stated(Index tokens, int kept_blocks, std::size_t bytes) {
  constexpr Index C = 768, L = 12, A = sizeof(typename P::Activation), statistics = 2 * 2 * 4 + 12 * 4;  // two norms' mean and rstd, and a log-sum of each head
  return bytes == static_cast<std::size_t>(tokens * (4 * (L + 1) * C + kept_blocks * ((4 + 8 * A) * C + statistics) + A * C + 2 * 4));
}
template <class P>
using Gpt2 = models::Gpt<models::Gpt2, P, Cpu>;
static_assert(plan_is_as_stated<Fp16Mixed>(16 * 1024, 12, train::plan<Gpt2<Fp16Mixed>>(16 * 1024, 16).activations));
static_assert(plan_is_as_stated<Fp16Mixed>(16 * 1024, 1, train::plan<Checkpointed<Gpt2<Fp16Mixed>>>(16 * 1024, 16).activations));
static_assert(plan_is_as_stated<Fp32>(16 * 1024, 6, train::plan<Checkpointed<Gpt2<Fp32>, 6>>(16 * 1024, 16).activations));

/// Losses of two batches, the second of which is smaller, with dropout, and of the first without; and the gradient.
template <class Model>
auto gradient_of(Model& model) {
  RandomStream random(3, RandomUse::synthesize);
  for (Index i = 0; i < Model::flat_size; ++i) model.flat()[i] = static_cast<typename Model::Parameter>(random.uniform() * 0.4f - 0.2f);
  const auto large = OwnedBatch::of_lengths({33, 1, 17, 40}, 61), small = OwnedBatch::of_lengths({5, 12}, 61);
  const ops::DropoutPlan dropout{.probability = 0.2f, .seed = 7};
  dist::Solo solo;
  train::reserve(model, large.tokens());
  dist::DistributedDataParallel<Model> ddp(model, solo, large.extent());
  ddp.clear();
  std::vector<double> losses{ddp.backward(large, dropout, 8), ddp.backward(small, dropout, 8)};
  std::vector<typename Model::Stream> gradient(ddp.gradient(), ddp.gradient() + Model::flat_size);
  losses.push_back(ddp.evaluate(large));
  return std::pair(losses, gradient);
}

template <class Model>
void check_same_bits() {
  Cpu cpu(2);
  Model all(cpu);
  Checkpointed<Model> one(cpu);
  Checkpointed<Model, 3> three(cpu);
  const auto expected = gradient_of(all);
  CHECK(expected.first[0] != expected.first[2]);
  CHECK(gradient_of(one) == expected);
  CHECK(gradient_of(three) == expected);
}

/// What is carved is what is planned, to the byte, and each row has a place of its own.
template <class Model>
void check_bytes() {
  const Extent extent{.tokens = 37, .sequences = 3};
  const CpuMemory memory = Cpu(1).allocate(bytes_needed<typename Model::Saved>(extent));
  Arena arena(memory.data(), memory.bytes());
  typename Model::Saved saved;
  carve(arena, saved, extent);
  CHECK(arena.used() == bytes_needed<typename Model::Saved>(extent));
  CHECK(arena.used() == train::plan<Model>(extent.tokens, extent.sequences).activations);
  for (int l = 0; l < Model::Config::layers; ++l) CHECK(saved.stream(l).data != saved.stream(l + 1).data);
}

}  // namespace

TEST_CASE("activation checkpointing: the gradient has the same bits, with dropout, however many blocks are kept") {
  check_same_bits<models::Gpt<Small, Fp32, Cpu>>();
  check_same_bits<models::Gpt<Small, Fp16Mixed, Cpu>>();
  check_same_bits<models::Llama<SmallLlama, Fp32, Cpu>>();
  check_same_bits<models::Llama<SmallLlama, Bf16Mixed, Cpu>>();
}

TEST_CASE("activation checkpointing: of adapters too") {
  Cpu cpu(2);
  Llama base(cpu);
  nn::initialize(base, 42);
  Adapters all(base);
  Checkpointed<Adapters> one(base);
  CHECK(gradient_of(one) == gradient_of(all));
}

TEST_CASE("activation checkpointing: bytes as planned, and the fewer the fewer blocks are kept") {
  using Gpt = models::Gpt<Small, Fp16Mixed, Cpu>;
  check_bytes<Gpt>(), check_bytes<Checkpointed<Gpt, 3>>(), check_bytes<Checkpointed<Gpt>>(), check_bytes<Checkpointed<models::Gpt<OneBlock, Fp32, Cpu>>>();
  const auto bytes = [](auto saved) { return bytes_needed<decltype(saved)>({.tokens = 64, .sequences = 2}); };
  const std::size_t block = bytes(Gpt::BlockLayer::Saved{});
  CHECK(bytes(Gpt::Saved{}) - bytes(Checkpointed<Gpt, 3>::Saved{}) == block);
  CHECK(bytes(Gpt::Saved{}) - bytes(Checkpointed<Gpt>::Saved{}) == 3 * block);
  CHECK(std::is_same_v<Checkpointed<Gpt, 4>::Saved, Gpt::Saved>);
}
