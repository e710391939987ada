// Adapters of a model whose matrices have 8 bits against those of the model whose values these bits stand for; and texts by adapters that aren't merged.
#include <terse/models/lora.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <terse/decode/generator.hpp>
#include <terse/io/checkpoint.hpp>
#include <terse/models/activation_checkpointing.hpp>
#include <terse/models/quantized.hpp>
#include <terse/train/plan.hpp>

#include "support/files.hpp"
#include "support/owned_batch.hpp"
#include "unit/decode/small_model.hpp"

using namespace terse;

namespace {

/// Keys and values that heads share, a head of its own, and widths that fill no panel.
struct Untied : models::Config<models::LlamaConfig{.vocabulary = 50, .context = 64, .layers = 2, .heads = 4, .key_value_heads = 2, .width = 32, .hidden = 44, .rope_theta = 100, .tied = false}> {};
using SmallLlama = models::Llama<Untied, Fp32, Cpu>;

template <class Base>
using Lora = models::Lora<Base, 4>;

static_assert(nn::TrainableModel<Lora<models::Quantized<SmallGpt>>> && nn::TrainableModel<Lora<models::Quantized<SmallLlama>>>);
static_assert(decode::CausalLm<Lora<SmallGpt>> && decode::CausalLm<Lora<models::Quantized<SmallGpt>>> && decode::ShowsHidden<Lora<SmallLlama>>);
static_assert(Lora<models::Quantized<SmallLlama>>::flat_size == Lora<SmallLlama>::flat_size);

template <class Model>
struct Adapted {
  explicit Adapted(int threads = 2) : cpu(threads), base(cpu), plain(cpu) {
    randomize(base);
    quantized.emplace(base);
    for (const auto& parameter : Model::table) {
      std::vector<float> room(static_cast<std::size_t>(parameter.size()));
      std::copy_n(quantized->values_of(parameter, room.data()), parameter.size(), plain.flat() + parameter.offset);
    }
  }
  template <class Base>
  static Lora<Base> adapters_of(const Base& of) {
    Lora<Base> lora(of);
    RandomStream random(5, RandomUse::initialize);
    for (Index i = 0; i < lora.flat_size; ++i) lora.flat()[i] = random.uniform() * 0.4f - 0.2f;
    return lora;
  }

  Cpu cpu;
  Model base, plain;  // plain: what `quantized` stands for
  std::optional<models::Quantized<Model>> quantized;
};

/// Loss and gradient of a batch.
template <class Model>
std::pair<double, std::vector<float>> gradient_of(Model model) {
  const auto batch = OwnedBatch::of_lengths({5, 17, 1, 30}, static_cast<int>(Model::V));
  train::reserve(model, batch.tokens());
  dist::Solo solo;
  dist::DistributedDataParallel<Model> ddp(model, solo, batch.extent());
  ddp.clear();
  const double loss = ddp.backward(batch, {.probability = 0.1f, .seed = 3}, 1.0f);
  return {loss, {ddp.gradient(), ddp.gradient() + Model::flat_size}};
}

template <class Model>
std::vector<decode::Generation> texts_of(const Model& model, decode::GeneratorSize size) {
  const auto prompts = random_prompts(9);
  return decode::Generator<Model>(model, end_of_text, size).generate(decode::numbered(prompts), {.greedy = true, .max_new = 20});
}

}  // namespace

TEMPLATE_TEST_CASE("adapters of 8-bit matrices learn as those of the values that these stand for, to the bit", "", SmallGpt, SmallLlama) {
  const Adapted<TestType> models;
  const auto ours = gradient_of(models.adapters_of(*models.quantized)), expected = gradient_of(models.adapters_of(models.plain));
  CHECK(ours.first == expected.first);
  const bool same = ours.second == expected.second, some = std::ranges::any_of(ours.second, [](float g) { return g != 0; });
  CHECK(same);
  CHECK(some);
  CHECK(ours.first != gradient_of(models.adapters_of(models.base)).first);
  using Checkpointed = models::ActivationCheckpointing<Lora<models::Quantized<TestType>>>;
  Checkpointed checkpointed(*models.quantized);
  std::copy_n(models.adapters_of(*models.quantized).flat(), Checkpointed::flat_size, checkpointed.flat());
  const bool as_checkpointed = gradient_of(std::move(checkpointed)) == ours;
  CHECK(as_checkpointed);
}

TEMPLATE_TEST_CASE("adapters are merged one parameter at a time as all at once", "", SmallGpt, SmallLlama) {
  Adapted<TestType> models;
  const auto lora = models.adapters_of(*models.quantized);
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  std::vector<float> room(static_cast<std::size_t>(lora.merged_values()));
  io::write_weights_in_turn<TestType>(path, [&](const nn::ParameterInfo& parameter) { return lora.merged(parameter, lora.flat(), room.data()); }, {{"step", "3"}});
  const std::vector<float> before(models.plain.flat(), models.plain.flat() + TestType::flat_size);
  lora.merge(models.plain);
  const std::vector<float> merged(models.plain.flat(), models.plain.flat() + TestType::flat_size);
  io::write_weights<TestType>(folder.path() / "whole.safetensors", merged.data(), {{"step", "3"}});
  const bool same = io::read_file(path) == io::read_file(folder.path() / "whole.safetensors"), changed = merged != before;
  CHECK(same);
  CHECK(changed);
}

TEMPLATE_TEST_CASE("adapters that aren't merged write what the merged model does, and not by whom they are beside", "", SmallGpt, SmallLlama) {
  Adapted<TestType> models;
  const auto lora = models.adapters_of(models.plain);
  const auto apart = texts_of(lora, {.slots = 3, .rows = 40});
  const auto alone = texts_of(lora, {.slots = 1, .rows = 64});
  const auto of_quantized = texts_of(models.adapters_of(*models.quantized), {.slots = 3, .rows = 40});
  const auto of_quantized_alone = texts_of(models.adapters_of(*models.quantized), {.slots = 1, .rows = 64});
  const auto of_base = texts_of(models.plain, {.slots = 3, .rows = 40});
  models.adapters_of(models.plain).merge(models.plain);
  const auto merged = texts_of(models.plain, {.slots = 3, .rows = 40});
  std::size_t like_base = 0;
  for (std::size_t i = 0; i < merged.size(); ++i) {
    CHECK(apart[i].ids == merged[i].ids);
    CHECK(apart[i].logprob == Approx(merged[i].logprob).epsilon(1e-4));
    CHECK((alone[i].ids == apart[i].ids && alone[i].logprob == apart[i].logprob));
    CHECK((of_quantized_alone[i].ids == of_quantized[i].ids && of_quantized_alone[i].logprob == of_quantized[i].logprob));
    CHECK(of_quantized[i].token_logprobs.front() == Approx(merged[i].token_logprobs.front()).margin(0.1));  // x in 8 bits too
    like_base += of_base[i].ids == merged[i].ids;
  }
  CHECK(like_base < merged.size());
}

TEST_CASE("adapters of 8-bit matrices ask for room for the largest of them as float") {
  const Adapted<SmallGpt> models;
  using OfQuantized = Lora<models::Quantized<SmallGpt>>;
  static_assert(OfQuantized::merged_values() == 24 * 96 && train::workspace_bytes<OfQuantized>(8) == 24 * 96 * 4 && train::workspace_bytes<Lora<SmallGpt>>(8) == 0);
  const auto lora = models.adapters_of(*models.quantized);
  const auto batch = OwnedBatch::of_lengths({3}, 50);
  const TensorGroup<OfQuantized::Saved, Cpu> saved(lora.device(), batch.extent());
  const TensorGroup<OfQuantized::Scratch, Cpu> scratch(lora.device(), batch.extent());
  lora.device().reserve_thread_scratch(OfQuantized::thread_scratch_bytes());
  CHECK_THROWS_WITH(lora.forward(batch, {}, *saved, *scratch), Catch::Contains("a workspace of 0 bytes is too small for a weight of"));
}
