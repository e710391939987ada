// Logits of several documents in one packed batch, against transformers' GPT2LMHeadModel.
#include "support/gpt_judge.hpp"
#include "support/logits.hpp"

using namespace judge;

namespace {

template <class Config>
double worst_difference(const std::string& golden_name, const std::string& weights) {
  using M = Model<Config>;
  Cpu cpu(2);
  M model(cpu);
  fill_weights(model, weights);
  const auto ours = logits_of(model, goldens()["documents"][golden_name]["ids"].get<std::vector<std::vector<TokenId>>>());
  std::vector<float> theirs(ours.size());
  io::SafetensorsFile::open(golden("gpt_logits.safetensors")).read<float>(golden_name, {static_cast<Index>(ours.size()) / Config::vocabulary, Config::vocabulary}, theirs);
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(ours[i]) - static_cast<double>(theirs[i])));
  return worst;
}

}  // namespace

TEST_CASE("logits equal transformers' within 2e-5") {
  const double a = worst_difference<A>("A", "A"), b = worst_difference<B>("B", "B"), exact = worst_difference<AExact>("A.gelu", "A");
  WARN("largest difference of a logit: A " << a << ", B (odd sizes) " << b << ", exact GELU " << exact);
  CHECK(a < 2e-5);
  CHECK(b < 2e-5);
  CHECK(exact < 2e-5);
}
