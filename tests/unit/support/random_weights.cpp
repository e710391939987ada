// The same weights in C++ and Python: without this, no golden of a model means anything.
#include "support/random_weights.hpp"

#include <array>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "support/catch.hpp"
#include "support/files.hpp"

namespace {

std::string hex(std::uint64_t value) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(value));
  return digits;
}

struct Shape { std::size_t rows, columns; };

/// The shape of a GPT-2 tensor; vectors are (C, 1).
Shape shape_of(const std::string& name, std::size_t vocabulary, std::size_t context, std::size_t width) {
  const bool bias = name.ends_with(".bias");
  if (name == "wte.weight") return {vocabulary, width};
  if (name == "wpe.weight") return {context, width};
  if (name.find("ln_") != name.npos) return {width, 1};
  if (name.find("c_attn") != name.npos) return bias ? Shape{3 * width, 1} : Shape{width, 3 * width};
  if (name.find("c_fc") != name.npos) return bias ? Shape{4 * width, 1} : Shape{width, 4 * width};
  if (bias) return {width, 1};
  return {name.find("mlp") != name.npos ? 4 * width : width, width};
}

}  // namespace

TEST_CASE("fnv1a agrees with its published vectors") {
  CHECK(fnv1a("") == 0xCBF29CE484222325u);
  CHECK(fnv1a("a") == 0xAF63DC4C8601EC8Cu);
  CHECK(fnv1a("foobar") == 0x85944171F73967E8u);
}

TEST_CASE("random_unit fills [-1, 1) evenly and depends on name, seed and index") {
  constexpr int count = 20000;
  std::array<int, 8> histogram{};
  std::set<float> seen;
  for (int i = 0; i < count; ++i) {
    const float value = random_unit(1, "wte.weight", static_cast<std::uint64_t>(i));
    REQUIRE((value >= -1 && value < 1));
    ++histogram[static_cast<std::size_t>((value + 1) * 4)];
    seen.insert(value);
  }
  for (const int share : histogram) CHECK(std::abs(share - count / 8) < 200);  // four standard deviations
  CHECK(seen.size() > count - 50);                                             // 24 bits: about 12 repeats
  CHECK(random_unit(1, "wte.weight", 0) != random_unit(2, "wte.weight", 0));
  CHECK(random_unit(1, "wte.weight", 0) != random_unit(1, "wpe.weight", 0));
}

TEST_CASE("every tensor of the goldens' models is bitwise what Python generates") {
  const auto goldens = nlohmann::json::parse(std::ifstream(golden("gpt.json")));
  for (const std::string label : {"A", "B", "G.spread"}) {
    const auto& model = goldens["models"][label.substr(0, 1)];
    const RandomWeights weights{goldens["seed"], label.ends_with(".spread")};
    REQUIRE(goldens["weights"][label].size() == 4 + 12 * model["layers"].get<std::size_t>());
    for (const auto& [name, expected] : goldens["weights"][label].items()) {
      const auto [rows, columns] = shape_of(name, model["vocabulary"], model["context"], model["width"]);
      INFO(label << " " << name);
      CHECK(hex(checksum(weights(name, rows, columns))) == expected.get<std::string>());
    }
  }
}
