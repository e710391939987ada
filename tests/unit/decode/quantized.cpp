#include "support/catch.hpp"

#include <cmath>
#include <numeric>

#include <terse/decode/generator.hpp>
#include <terse/io/checkpoint.hpp>
#include <terse/models/llama.hpp>
#include <terse/models/quantized.hpp>

#include "small_model.hpp"
#include "support/files.hpp"

using namespace terse;

namespace {

/// With keys and values that heads share, and a head of its own.
struct SmallUntied : models::Config<models::LlamaConfig{.vocabulary = 50, .context = 64, .layers = 2, .heads = 4, .key_value_heads = 2, .width = 32, .hidden = 40, .rope_theta = 100, .tied = false}> {};
using SmallLlama = models::Llama<SmallUntied, Fp32, Cpu>;

static_assert(decode::CausalLm<models::Quantized<SmallGpt>> && decode::CausalLm<models::Quantized<SmallLlama>>);

template <class Model>
struct Random {
  explicit Random(int threads = 1) : cpu(threads), model(cpu) { randomize(model); }
  Cpu cpu;
  Model model;
};

/// The logarithms of what the model expects after `ids`.
template <class Model>
std::vector<double> log_probabilities(const Model& model, const std::vector<TokenId>& ids) {
  Cpu& cpu = model.device();
  const auto rows = static_cast<Index>(ids.size());
  const std::vector<std::int32_t> slots(ids.size(), 0), ask{static_cast<std::int32_t>(rows - 1)};
  std::vector<std::int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  cpu.reserve_thread_scratch(decode::generator_thread_bytes<Model>());
  const typename Model::Cache cache(cpu, 1);
  const TensorGroup<typename Model::InferenceScratch, Cpu> scratch(cpu, {.tokens = rows, .sequences = 1});
  model.infer({ids, slots, positions}, ask, cache, *scratch);
  std::vector<double> result(scratch->logits.data, scratch->logits.data + Model::Config::vocabulary);
  double sum = 0;
  for (const double logit : result) sum += std::exp(logit);
  for (double& logit : result) logit -= std::log(sum);
  return result;
}

double divergence(const std::vector<double>& p, const std::vector<double>& q) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  return sum;
}

}  // namespace

TEMPLATE_TEST_CASE("quantized: expects what the original does", "", SmallGpt, SmallLlama) {
  const Random<TestType> original;
  const models::Quantized quantized(original.model);
  double worst = 0, unlike = 0;
  const auto prompts = random_prompts(20);
  const auto other = log_probabilities(original.model, {1});
  for (const auto& prompt : prompts) {
    const auto expected = log_probabilities(original.model, prompt);
    worst = std::max(worst, divergence(expected, log_probabilities(quantized, prompt)));
    unlike = std::max(unlike, divergence(expected, other));
  }
  INFO("divergence " << worst << ", between texts " << unlike);
  CHECK(worst < 0.02);
  CHECK(unlike > 0.5);
}

TEMPLATE_TEST_CASE("quantized: a text doesn't depend on slots, rows or threads", "", SmallGpt, SmallLlama) {
  const auto prompts = random_prompts(12);
  const auto numbered = decode::numbered(prompts);
  const decode::Strategy strategy{.temperature = 1.5f, .top_k = 20, .max_new = 24, .seed = 3};
  const auto texts = [&](int threads, decode::GeneratorSize size) {
    Random<TestType> original(threads);
    const models::Quantized quantized(original.model);
    randomize(original.model, 0);  // which isn't needed any more
    return decode::Generator(quantized, end_of_text, size).generate(numbered, strategy);
  };
  const auto expected = texts(1, {.slots = 1, .rows = 64});
  for (const auto& [threads, size] : {std::pair{1, decode::GeneratorSize{12, 100}}, {2, {5, 9}}, {3, {3, 40}}}) {
    const auto others = texts(threads, size);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO("text " << i << ", " << threads << " threads, " << size.slots << " slots");
      CHECK(others[i].ids == expected[i].ids);
      CHECK(others[i].logprob == expected[i].logprob);
    }
  }
}

TEMPLATE_TEST_CASE("quantized: from a file, one matrix at a time, it is the one that is made from the whole model", "", SmallGpt, SmallLlama) {
  Random<TestType> original;
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  io::write_weights<TestType>(path, original.model.flat());
  const models::Quantized from_model(original.model);
  const models::Quantized<TestType> from_file(original.cpu, [&](auto& take) { io::read_weights_in_turn<TestType>(io::SafetensorsFile::open(path), take); });
  for (const auto& prompt : random_prompts(5)) CHECK(log_probabilities(from_file, prompt) == log_probabilities(from_model, prompt));
  static_assert(models::Quantized<models::Gpt<models::Gpt2, Fp32, Cpu>>::largest_matrix_bytes() == std::size_t{4} * 768 * 768 * 4);
  static_assert(models::Quantized<models::Llama<models::SmolLm2, Fp32, Cpu>>::largest_matrix_bytes() == std::size_t{576} * 2 * 1536 * 4);  // gate and up
}
