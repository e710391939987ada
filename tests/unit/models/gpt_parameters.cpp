#include <terse/models/gpt.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace terse;

namespace {

using Gpt2 = models::Gpt<models::Gpt2, Fp32, Cpu>;

template <class Model>
constexpr Index saved_values() {
  Index total = 0;
  for (const auto& parameter : Model::table) total += parameter.saved_rows * parameter.columns;
  return total;
}

// The counts transformers reports for gpt2, gpt2-medium, gpt2-large and gpt2-xl.
static_assert(saved_values<Gpt2>() == 124439808);
static_assert(saved_values<models::Gpt<models::Gpt2Medium, Fp32, Cpu>>() == 354823168);
static_assert(saved_values<models::Gpt<models::Gpt2Large, Fp32, Cpu>>() == 774030080);
static_assert(saved_values<models::Gpt<models::Gpt2Xl, Fp32, Cpu>>() == 1557611200);

}  // namespace

TEST_CASE("GPT-2's parameters: names and order of its checkpoint") {
  std::vector<std::string> expected{"wte.weight", "wpe.weight"};
  for (int layer = 0; layer < 12; ++layer)
    for (const char* part : {"ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"})
      for (const char* kind : {".weight", ".bias"}) expected.push_back("h." + std::to_string(layer) + "." + part + kind);
  expected.insert(expected.end(), {"ln_f.weight", "ln_f.bias"});
  std::vector<std::string> names;
  for (const auto& parameter : Gpt2::table) names.emplace_back(parameter.name.view());
  CHECK(names == expected);
}

TEST_CASE("GPT-2's parameters: shapes, padding, alignment") {
  const auto find = [](std::string_view name) {
    for (const auto& parameter : Gpt2::table)
      if (parameter.name.view() == name) return parameter;
    throw std::runtime_error("no such parameter");
  };
  const auto tokens = find("wte.weight"), attention = find("h.3.attn.c_attn.weight"), projection = find("h.3.mlp.c_proj.weight");
  CHECK(tokens.rows == 50304);
  CHECK(tokens.saved_rows == 50257);
  CHECK(tokens.columns == 768);
  CHECK(attention.rows == 768);
  CHECK(attention.columns == 3 * 768);
  CHECK(projection.rows == 4 * 768);
  CHECK(projection.columns == 768);
  for (const auto& parameter : Gpt2::table) {
    CHECK(parameter.offset % nn::parameter_alignment == 0);
    CHECK(parameter.decays() == (parameter.dimensions == 2));
    CHECK(parameter.offset + parameter.size() <= Gpt2::flat_size);
  }
}
