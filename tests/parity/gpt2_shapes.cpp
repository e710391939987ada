// Logits at the shapes of GPT-2 medium, large and xl (two layers of each, a small vocabulary), against transformers' GPT2LMHeadModel.
#include "support/gpt_judge.hpp"
#include "support/logits.hpp"

using namespace judge;

namespace {

// The real model's width, heads and context.
template <class Real>
struct TwoLayers : models::Config<models::GptConfig{.vocabulary = 97, .context = Real::context, .layers = 2, .heads = Real::heads, .width = Real::width}> {};

template <class M>
void fill_weights(M& model) {
  const RandomWeights random{1};
  for (const auto& parameter : M::table) {
    const auto values = random(parameter.name.view(), static_cast<std::size_t>(parameter.saved_rows), static_cast<std::size_t>(parameter.columns));
    const float scale = parameter.dimensions == 2 ? 0.25f : 1.0f;  // random weights are for widths of 32 to 64
    for (std::size_t i = 0; i < values.size(); ++i) model.flat()[parameter.offset + static_cast<Index>(i)] = values[i] * scale;
  }
}

template <class Real>
double worst_difference(const std::string& name) {
  using M = Model<TwoLayers<Real>>;
  const auto documents = nlohmann::json::parse(std::ifstream(golden("gpt2_shapes.json")))["documents"].get<std::vector<std::vector<TokenId>>>();
  Cpu cpu(2);
  M model(cpu);
  fill_weights(model);
  const auto ours = logits_of(model, documents);
  std::vector<float> theirs(ours.size());
  io::SafetensorsFile::open(golden("gpt2_shapes.safetensors")).read<float>(name, {static_cast<Index>(ours.size()) / M::V, M::V}, theirs);
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(ours[i]) - static_cast<double>(theirs[i])));
  return worst;
}

}  // namespace

TEST_CASE("logits of medium's, large's and xl's shapes equal transformers' within 2e-5") {
  const double medium = worst_difference<models::Gpt2Medium>("medium"), large = worst_difference<models::Gpt2Large>("large"), xl = worst_difference<models::Gpt2Xl>("xl");
  WARN("largest difference of a logit: medium " << medium << ", large " << large << ", xl " << xl);
  CHECK(medium < 2e-5);
  CHECK(large < 2e-5);
  CHECK(xl < 2e-5);
}
