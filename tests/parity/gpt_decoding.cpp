// Greedy texts, and the distributions that sampling draws from, against transformers' `generate`.
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

}  // namespace

TEST_CASE("temperature, top-k and top-p leave the distributions of transformers' warpers") {
  constexpr std::size_t vocabulary = 211, vectors = 40;
  const auto file = io::SafetensorsFile::open(golden("gpt_filters.safetensors"));
  const auto logits = values_of<float>(file, "logits"), settings = values_of<float>(file, "settings"), probabilities = values_of<float>(file, "probabilities");
  const auto starts = values_of<std::int32_t>(file, "starts");
  const auto ids = values_of<std::uint8_t>(file, "ids");
  REQUIRE(logits.size() == vectors * vocabulary);
  REQUIRE(starts.size() == settings.size() / 3 * vectors + 1);
  REQUIRE(starts.size() == 401);

  double worst = 0;
  std::size_t other_ids = 0;
  for (std::size_t distribution = 0; distribution + 1 < starts.size(); ++distribution) {
    const float* const setting = settings.data() + distribution / vectors * 3;
    const ops::Sample op{.temperature = setting[0], .top_k = static_cast<int>(setting[1]), .top_p = setting[2]};
    const auto ours = ops::sample_distribution<float>(op, std::span<const float>(logits.data() + distribution % vectors * vocabulary, vocabulary));
    std::vector<double> theirs(vocabulary);
    for (auto i = static_cast<std::size_t>(starts[distribution]); i < static_cast<std::size_t>(starts[distribution + 1]); ++i)
      theirs[ids[i]] = static_cast<double>(probabilities[i]);
    for (std::size_t id = 0; id < vocabulary; ++id) {
      if ((ours[id] > 0) != (theirs[id] > 0)) ++other_ids;
      worst = std::max(worst, std::abs(static_cast<double>(ours[id]) - theirs[id]));
    }
  }
  WARN("400 filtered distributions: largest difference of a probability " << worst);
  CHECK(other_ids == 0);
  CHECK(worst < 1e-5);
}
