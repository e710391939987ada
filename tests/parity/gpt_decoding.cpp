// Greedy texts, and the distributions that sampling draws from, against transformers' `generate`.
#include <array>
#include <cmath>
#include <cstring>

#include <terse/decode/generator.hpp>

#include "support/gpt_judge.hpp"

using namespace judge;

TEST_CASE("greedy continuations have the ids of transformers' generate") {
  const auto& golden = goldens()["greedy"];
  Cpu cpu(2);
  Model<G> model(cpu);
  fill_weights(model, "G.spread", true);
  std::vector<std::vector<TokenId>> prompts;
  for (const auto& entry : golden["prompts"]) prompts.push_back(entry["prompt"].get<std::vector<TokenId>>());
  REQUIRE(prompts.size() == 20);
  const int new_tokens = golden["new_tokens"];
  REQUIRE(new_tokens == 64);

  decode::Generator generator(model, golden["end_of_text"].get<TokenId>(), {.slots = 8});
  const auto texts = generator.generate(decode::numbered(prompts), {.greedy = true, .max_new = new_tokens});
  REQUIRE(texts.size() == prompts.size());
  std::size_t ended = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(i, golden["prompts"][i]["gap"].get<double>());
    CHECK(texts[i].ids == golden["prompts"][i]["ids"].get<std::vector<TokenId>>());
    const bool at_limit = texts[i].ids.size() == static_cast<std::size_t>(new_tokens);
    CHECK(texts[i].stop == (texts[i].ids.back() == golden["end_of_text"] ? decode::Stop::end_of_text : decode::Stop::length));
    CHECK((at_limit || texts[i].stop == decode::Stop::end_of_text));
    ended += texts[i].stop == decode::Stop::end_of_text ? 1u : 0u;
  }
  CHECK(ended == 6);
}

namespace {

template <class T>
std::vector<T> values_of(const io::SafetensorsFile& file, const std::string& name) {
  const io::TensorInfo* info = file.find(name);
  REQUIRE(info != nullptr);
  REQUIRE(io::bytes_of(info->dtype) == sizeof(T));
  std::vector<T> values(static_cast<std::size_t>(info->elements()));
  std::memcpy(values.data(), info->bytes.data(), info->bytes.size());
  return values;
}

/// Vectors of logits, and under each setting what transformers' warpers make of them (tests/goldens/README.md).
struct Filters {
  static constexpr std::size_t vocabulary = 211, vectors = 40, columns = 5;
  io::SafetensorsFile file = io::SafetensorsFile::open(golden("gpt_filters.safetensors"));
  std::vector<float> logits = values_of<float>(file, "logits"), settings = values_of<float>(file, "settings"), kept = values_of<float>(file, "probabilities");
  std::vector<std::int32_t> starts = values_of<std::int32_t>(file, "starts");
  std::vector<std::uint8_t> ids = values_of<std::uint8_t>(file, "ids");

  std::span<const float> vector(std::size_t v) const { return {logits.data() + v * vocabulary, vocabulary}; }
  ops::Sample rule(std::size_t setting) const {
    const float* const x = settings.data() + setting * columns;
    return {.temperature = x[0], .top_k = static_cast<int>(x[1]), .top_p = x[2], .min_p = x[3], .typical = x[4]};
  }
  std::vector<double> probabilities(std::size_t setting, std::size_t v) const {
    std::vector<double> result(vocabulary);
    const std::size_t at = setting * vectors + v;
    for (auto i = static_cast<std::size_t>(starts[at]); i < static_cast<std::size_t>(starts[at + 1]); ++i) result[ids[i]] = static_cast<double>(kept[i]);
    return result;
  }
};

/// How often at least this chi-square comes by chance: exact for an even number of degrees of freedom, where it is a sum of Poisson's; one more where odd.
double chance_of(double chi_square, std::size_t freedom) {
  double term = std::exp(-chi_square / 2), sum = 0;
  for (std::size_t i = 0; i < (freedom + 1) / 2; ++i) sum += term, term *= chi_square / 2 / static_cast<double>(i + 1);
  return sum;
}

}  // namespace

TEST_CASE("temperature, top-k, top-p, min-p and typical leave the distributions of transformers' warpers") {
  const Filters filters;
  const std::size_t settings = filters.settings.size() / Filters::columns;
  REQUIRE(settings == 20);
  REQUIRE(filters.logits.size() == Filters::vectors * Filters::vocabulary);
  REQUIRE(filters.starts.size() == settings * Filters::vectors + 1);

  double worst = 0;
  std::size_t other_ids = 0;
  for (std::size_t setting = 0; setting < settings; ++setting)
    for (std::size_t v = 0; v < Filters::vectors; ++v) {
      const auto ours = ops::sample_distribution<float>(filters.rule(setting), filters.vector(v));
      const auto theirs = filters.probabilities(setting, v);
      for (std::size_t id = 0; id < Filters::vocabulary; ++id) {
        if ((ours[id] > 0) != (theirs[id] > 0)) ++other_ids;
        worst = std::max(worst, std::abs(static_cast<double>(ours[id]) - theirs[id]));
      }
    }
  WARN("800 filtered distributions: largest difference of a probability " << worst);
  CHECK(other_ids == 0);
  CHECK(worst < 1e-5);
}

TEST_CASE("100,000 draws follow the distributions of transformers' warpers") {
  constexpr Index rows = 1000, columns = 256;
  constexpr std::size_t vocabulary = Filters::vocabulary, draws = 100000;
  constexpr double false_alarm = 1e-6, rare = 10;  // by chance in any of the tests; tokens expected less often than this are counted as one
  const Filters filters;
  Cpu cpu(2);
  cpu.reserve_thread_scratch(ops::sample_scratch<float>(vocabulary));
  Tensor<Rows<float, columns>, Cpu> logits(cpu, rows);
  std::vector<ops::Draw> which(rows);
  std::vector<ops::Choice<float>> choices(rows);

  // Setting and vector: none but temperature, on ties; then each rule, and all of them.
  const std::vector<std::array<std::size_t, 2>> pairs{{0, 3}, {8, 1}, {10, 2}, {13, 6}, {19, 1}};
  for (const auto [setting, v] : pairs) {
    CAPTURE(setting, v);
    for (Index b = 0; b < rows; ++b) std::copy_n(filters.vector(v).data(), vocabulary, logits[b].data);
    std::vector<double> drawn(vocabulary);
    for (std::size_t first = 0; first < draws; first += rows) {
      for (std::size_t b = 0; b < rows; ++b) which[b] = {.seed = 17, .text = first + b, .step = static_cast<std::uint32_t>(setting)};
      ops::sample<static_cast<Index>(vocabulary)>(cpu, filters.rule(setting), logits.view(), which, choices);
      for (const auto& choice : choices) drawn[static_cast<std::size_t>(choice.id)] += 1;
    }
    const auto probabilities = filters.probabilities(setting, v);
    double chi_square = 0, rare_expected = 0, rare_drawn = 0;
    std::size_t cells = 0;
    const auto count = [&](double expected, double counted) { chi_square += (counted - expected) * (counted - expected) / expected, ++cells; };
    for (std::size_t id = 0; id < vocabulary; ++id) {
      const double expected = probabilities[id] * static_cast<double>(draws);
      if (expected == 0) CHECK(drawn[id] == 0);
      else if (expected < rare) rare_expected += expected, rare_drawn += drawn[id];
      else count(expected, drawn[id]);
    }
    if (rare_expected >= rare) count(rare_expected, rare_drawn);
    CAPTURE(chi_square, cells);
    REQUIRE(cells > 1);
    CHECK(chance_of(chi_square, cells - 1) > false_alarm / static_cast<double>(pairs.size()));
  }
}
