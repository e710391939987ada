// R-Drop's loss and gradient against PyTorch's autograd, in double.
#include <fstream>

#include <nlohmann/json.hpp>

#include <terse/ops/r_drop/cpu.hpp>

#include "support/gpt_judge.hpp"

using namespace judge;

namespace {

template <class S>
void check(const nlohmann::json& golden, double tolerance) {
  constexpr Index V = 19;
  REQUIRE(golden["vocabulary"] == V);
  for (const auto& wanted : golden["cases"]) {
    const std::vector<S> logits = wanted["logits"];
    const std::vector<double> gradient = wanted["gradient"];
    const auto rows = static_cast<Index>(logits.size()) / V;
    std::vector<TokenId> targets;
    for (const TokenId target : wanted["targets"]) targets.insert(targets.end(), 2, target);
    const std::vector<float> weights(static_cast<std::size_t>(rows), 1.0f / static_cast<float>(rows));  // half of a sample's
    std::vector<S> slopes(logits.size()), losses(weights.size());
    Cpu cpu(1);
    ops::r_drop_with_gradient<V>(cpu, Rows<const S, V>{logits.data(), rows}, targets, weights, Column<S>{losses.data(), rows}, Rows<S, V>{slopes.data(), rows}, nullptr,
                                 {wanted["label_smoothing"], wanted["r_drop"]});
    CHECK(ops::weighted_sum(weights, Column<S>{losses.data(), rows}) == Approx(wanted["loss"].get<double>()).epsilon(tolerance));
    double worst = 0;
    for (std::size_t i = 0; i < slopes.size(); ++i) worst = std::max(worst, std::abs(static_cast<double>(slopes[i]) - gradient[i]));
    CHECK(worst < tolerance);
  }
}

}  // namespace

TEST_CASE("R-Drop's loss and gradient are PyTorch's") {
  const auto golden_values = nlohmann::json::parse(std::ifstream(golden("r_drop.json")));
  check<double>(golden_values, 1e-7);  // weights are floats
  check<float>(golden_values, 1e-6);
}
