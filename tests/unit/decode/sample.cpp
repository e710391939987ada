#include "support/catch.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <terse/core/philox.hpp>
#include <terse/ops/sample/cpu.hpp>
#include <terse/tensor/tensor.hpp>

using namespace terse;

namespace {

/// Logits in [-range/2, range/2); `step` > 0 rounds them to multiples of it, so that many are equal.
std::vector<float> random_logits(std::size_t count, std::uint64_t index, float range, float step = 0) {
  RandomStream random(5, RandomUse::synthesize, index);
  std::vector<float> logits(count);
  for (float& logit : logits) {
    logit = (random.uniform() - 0.5f) * range;
    if (step > 0) logit = std::round(logit / step) * step;
  }
  return logits;
}

// Written from transformers 5.23's warpers (temperature, top-k, top-p, min-p, typical), in double but for the scores.
constexpr float dropped = -std::numeric_limits<float>::infinity();

std::vector<double> softmax(const std::vector<float>& scores) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  std::vector<double> probabilities;
  for (const float score : scores) probabilities.push_back(std::exp(static_cast<double>(score) - static_cast<double>(largest)));
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

std::vector<double> reference_distribution(const ops::Sample& op, std::vector<float> scores) {
  for (float& score : scores) score /= op.temperature;
  if (op.top_k > 0) {
    auto sorted = scores;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const float kth = sorted[std::min(static_cast<std::size_t>(op.top_k), sorted.size()) - 1];
    for (float& score : scores)
      if (score < kth) score = dropped;
  }
  if (op.top_p < 1) {
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] < scores[b] || (scores[a] == scores[b] && a > b); });
    const auto probabilities = softmax(scores);
    double cumulative = 0;
    for (std::size_t i = 0; i + 1 < order.size(); ++i) {
      cumulative += probabilities[order[i]];
      if (cumulative <= 1 - static_cast<double>(op.top_p)) scores[order[i]] = dropped;
    }
  }
  if (op.min_p > 0) {
    const auto probabilities = softmax(scores);
    const double least = static_cast<double>(op.min_p) * *std::max_element(probabilities.begin(), probabilities.end());
    for (std::size_t v = 0; v < scores.size(); ++v)
      if (probabilities[v] < least) scores[v] = dropped;
  }
  if (op.typical < 1) {
    const auto probabilities = softmax(scores);
    double entropy = 0;
    for (const double p : probabilities) entropy -= p > 0 ? p * std::log(p) : 0;
    std::vector<double> distances(scores.size());
    std::transform(probabilities.begin(), probabilities.end(), distances.begin(), [&](double p) { return std::abs(-std::log(p) - entropy); });
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return distances[a] < distances[b]; });
    double cumulative = 0;
    std::size_t below = 0;
    for (const std::size_t v : order) below += (cumulative += probabilities[v]) < static_cast<double>(op.typical) ? 1u : 0u;
    const double cut = distances[order[std::min(below, order.size() - 1)]];
    for (std::size_t v = 0; v < scores.size(); ++v)
      if (distances[v] > cut) scores[v] = dropped;
  }
  return softmax(scores);
}

template <Index V, Index P>
std::vector<ops::Choice<float>> choose(const ops::Sample& op, std::uint64_t seed, const std::vector<float>& logits, std::size_t rows, int threads = 1) {
  Cpu cpu(threads);
  cpu.reserve_thread_scratch(ops::sample_scratch<float>(V));
  Tensor<Rows<float, P>, Cpu> all(cpu, static_cast<Index>(rows));
  std::vector<ops::Draw> draws(rows);
  for (std::size_t b = 0; b < rows; ++b) {
    const auto row = all[static_cast<Index>(b)];
    std::copy_n(logits.data() + logits.size() / rows * b, V, row.data);
    std::fill(row.data + V, row.data + P, 1e9f);  // padding never counts
    draws[b] = {seed, b / 7, static_cast<std::uint32_t>(b % 7)};
  }
  std::vector<ops::Choice<float>> choices(rows);
  ops::sample<V>(cpu, op, all.view(), draws, choices);
  return choices;
}

std::vector<int> kept(const ops::Sample& op, const std::vector<float>& logits) {
  std::vector<int> ids;
  const auto probabilities = ops::sample_distribution<float>(op, logits);
  for (std::size_t v = 0; v < logits.size(); ++v)
    if (probabilities[v] > 0) ids.push_back(static_cast<int>(v));
  return ids;
}

}  // namespace

TEST_CASE("temperature, top-k, top-p, min-p and typical leave the distribution that transformers leaves") {
  constexpr std::array<std::array<float, 2>, 7> last_rules{{{0.05f, 1}, {0, 0.9f}, {0, 0.2f}, {0.3f, 0.6f}, {1, 1}, {0.001f, 0.5f}, {0, 0.001f}}};
  std::size_t others = 0;
  for (std::uint64_t n = 0; n < 24; ++n) {
    const auto vocabulary = std::vector<std::size_t>{1, 2, 50, 257, 1031, 50257}[n % 6];
    const auto logits = random_logits(vocabulary, n, n % 3 == 0 ? 2.0f : 16.0f, n % 4 == 3 ? 0.25f : 0.0f);
    for (const float temperature : {0.7f, 1.0f, 1.9f})
      for (const int top_k : {0, 1, 5, 50, 100000})
        for (const float top_p : {1.0f, 0.9f, 0.3f, 0.0f}) {
          const auto [min_p, typical] = last_rules[others++ % last_rules.size()];
          const ops::Sample first{.temperature = temperature, .top_k = top_k, .top_p = top_p};
          for (const ops::Sample& op : {first, {.temperature = temperature, .top_k = top_k, .top_p = top_p, .min_p = min_p, .typical = typical}}) {
            CAPTURE(n, op.temperature, op.top_k, op.top_p, op.min_p, op.typical);
            const auto expected = reference_distribution(op, logits);
            const auto actual = ops::sample_distribution<float>(op, logits);
            std::size_t far = 0;
            for (std::size_t v = 0; v < vocabulary; ++v) far += (actual[v] > 0) != (expected[v] > 0) || std::abs(static_cast<double>(actual[v]) - expected[v]) > 1e-6;
            // Where hundreds of tokens share the mass, rounding may decide on which side of a sum the last one falls.
            CHECK(far <= (vocabulary > 1000 && (op.top_p < 1 || op.typical < 1) ? 1u : 0u));
          }
        }
  }
}

TEST_CASE("top-k keeps those equal to the k-th, of the scores after temperature") {
  const std::vector<float> logits{1, 3, 2, 3, 2, 0, 2};
  CHECK(kept({.top_k = 1}, logits) == std::vector{1, 3});
  CHECK(kept({.top_k = 3}, logits) == std::vector{1, 2, 3, 4, 6});
  CHECK(kept({.top_k = 6}, logits) == std::vector{0, 1, 2, 3, 4, 6});
  CHECK(kept({.top_p = 0.1f}, logits) == std::vector{1});
  CHECK(kept({.top_k = 1, .top_p = 0.6f}, logits) == std::vector{1, 3});

  float smaller = 1.9f, larger = std::nextafter(smaller, 2.0f);
  while (smaller / 1.8f != larger / 1.8f) smaller = larger, larger = std::nextafter(larger, 2.0f);  // two logits, one score
  CHECK(kept({.temperature = 1.8f, .top_k = 1}, {smaller, larger}) == std::vector{0, 1});
}

TEST_CASE("min-p keeps those at least p times as likely as the likeliest") {
  const std::vector<float> logits{std::log(0.25f), 0, std::log(0.5f), 0, std::log(0.125f)};
  CHECK(kept({.min_p = 1}, logits) == std::vector{1, 3});
  CHECK(kept({.min_p = 0.5f}, logits) == std::vector{1, 2, 3});
  CHECK(kept({.min_p = 0.51f}, logits) == std::vector{1, 3});
  CHECK(kept({.temperature = 0.5f, .min_p = 0.25f}, logits) == std::vector{1, 2, 3});  // squares
  CHECK(kept({.top_p = 0.3f, .min_p = 0.1f}, logits) == std::vector{1});               // of all five 1 has 0.35: top-p knows nothing of min-p
}

TEST_CASE("typical drops what is too likely as well as what is too unlikely, and keeps equals of the last") {
  std::vector<float> logits(12, std::log(0.05f));  // surprise 3.0, entropy 2.0
  logits[4] = std::log(0.45f);                     // surprise 0.8
  const std::vector rest{0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11};
  for (const float typical : {0.001f, 0.3f, 0.54f}) CHECK(kept({.typical = typical}, logits) == rest);
  CHECK(kept({.typical = 0.56f}, logits).size() == 12);
  CHECK(kept({.top_k = 1, .typical = 0.001f}, logits) == std::vector{4});
  CHECK(kept({.min_p = 0.5f, .typical = 0.1f}, logits) == std::vector{4});

  logits.push_back(-std::numeric_limits<float>::infinity());
  CHECK(kept({.typical = 0.3f}, logits) == rest);
  CHECK(kept({.typical = 0.9999999f}, logits).size() == 12);
}

TEST_CASE("the greedy choice is the lowest of the likeliest tokens; its log-probability is the full softmax's") {
  std::vector<float> logits(50, -1.0f);
  logits[13] = logits[17] = logits[44] = 2.5f;
  const auto choice = choose<50, 128>({.greedy = true, .temperature = 0.1f, .top_k = 1}, 0, logits, 1)[0];
  CHECK(choice.id == 13);
  CHECK(choice.log_probability == Approx(-std::log(3 + 47 * std::exp(-3.5))).epsilon(1e-6));

  logits[3] = std::numeric_limits<float>::quiet_NaN();
  for (const bool greedy : {true, false}) CHECK(std::isnan(choose<50, 128>({.greedy = greedy, .top_k = 5}, 0, logits, 1)[0].log_probability));
  logits[3] = std::numeric_limits<float>::infinity();
  CHECK(std::isnan(choose<50, 128>({}, 0, logits, 1)[0].log_probability));
}

TEST_CASE("tokens are drawn as often as the distribution says") {
  constexpr std::size_t count = 20000;
  const auto row = random_logits(50, 99, 4);
  std::vector<float> logits;
  for (std::size_t b = 0; b < count; ++b) logits.insert(logits.end(), row.begin(), row.end());
  std::uint64_t seed = 1;
  for (const ops::Sample op : {ops::Sample{}, {.temperature = 0.7f, .top_k = 10}, {.temperature = 1.3f, .top_p = 0.8f}, {.min_p = 0.1f}, {.typical = 0.5f}}) {
    const auto choices = choose<50, 64>(op, seed++, logits, count);
    const auto probabilities = ops::sample_distribution<float>(op, row);
    const auto raw = softmax(row);
    std::vector<double> drawn(50);
    for (const auto& choice : choices) {
      drawn[static_cast<std::size_t>(choice.id)] += 1;
      CHECK(std::abs(static_cast<double>(choice.log_probability) - std::log(raw[static_cast<std::size_t>(choice.id)])) < 1e-5);
    }
    double chi_square = 0;
    int kept = 0;
    for (std::size_t v = 0; v < 50; ++v) {
      const double expected = static_cast<double>(probabilities[v]) * count;
      if (expected == 0) CHECK(drawn[v] == 0);
      else chi_square += (drawn[v] - expected) * (drawn[v] - expected) / expected, ++kept;
    }
    const double freedom = kept - 1;  // mean of chi-square; its deviation is sqrt(2 * freedom)
    CHECK(chi_square < freedom + 3.5 * std::sqrt(2 * freedom));
  }
}

TEST_CASE("each seed, text, step and member has its own number; the first member's is that of the text") {
  constexpr ops::Draw draw{.seed = 7, .text = 1ull << 40 | 3, .step = 5};
  const auto words = Philox{7}({5, 3, 1u << 8, static_cast<std::uint32_t>(RandomUse::sample) << 28});
  CHECK(draw.uniform() == std::ldexp(static_cast<double>(std::uint64_t{words[0]} << 21 ^ words[1] >> 11), -53));
  std::vector<double> numbers{draw.uniform()};
  for (const ops::Draw other : {ops::Draw{8, draw.text, 5}, {7, 3, 5}, {7, draw.text, 6}, {7, draw.text, 5, 1}, {7, draw.text, 5, (1u << 28) - 1}}) numbers.push_back(other.uniform());
  std::sort(numbers.begin(), numbers.end());
  CHECK(std::adjacent_find(numbers.begin(), numbers.end()) == numbers.end());
}

TEST_CASE("a choice depends on its logits and its draw alone") {
  const auto logits = random_logits(50 * 21, 123, 4);
  const ops::Sample op{.temperature = 0.9f, .top_k = 30};
  const auto expected = choose<50, 64>(op, 8, logits, 21);
  for (const int threads : {2, 3}) {
    const auto choices = choose<50, 64>(op, 8, logits, 21, threads);
    for (std::size_t b = 0; b < 21; ++b) CHECK((choices[b].id == expected[b].id && choices[b].log_probability == expected[b].log_probability));
  }
}
