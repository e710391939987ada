#include <terse/nn/parameters.hpp>

#include <array>
#include <string>
#include <vector>

#include <terse/nn/linear.hpp>
#include <terse/nn/norm.hpp>

#include "support/catch.hpp"

using namespace terse;

namespace {

template <Real T>
struct Pair {
  nn::Linear<T, 3, 50> linear;
  nn::LayerNorm<T, 50> norm;
  constexpr void parameters(auto&& visit) { visit("fc", linear), visit("ln", norm); }
};

template <Real T>
struct Tower {
  Matrix<T, 4, 3> table;
  std::array<Pair<T>, 12> floors;
  constexpr void parameters(auto&& visit) { visit("table", table, nn::ParameterTraits{.deviation = 0.5f, .saved_rows = 2}), visit("h", floors); }
};

constexpr auto table = nn::parameter_table<Tower<float>>();

}  // namespace

TEST_CASE("the table lists names, shapes and aligned places, in layer order") {
  REQUIRE(table.size() == 1 + 12 * 4);
  CHECK(table[0].name.view() == "table");
  CHECK(table[1].name.view() == "h.0.fc.weight");
  CHECK(table[4].name.view() == "h.0.ln.bias");
  CHECK(table[48].name.view() == "h.11.ln.bias");
  CHECK(table[0].saved_rows == 2);
  CHECK(table[0].traits.deviation == 0.5f);
  CHECK(table[0].decays());
  CHECK(table[1].rows == 3);
  CHECK(table[1].saved_rows == 3);
  CHECK(table[1].columns == 50);
  CHECK(table[1].size() == 150);
  CHECK(table[2].dimensions == 1);
  CHECK_FALSE(table[2].decays());
  CHECK(table[3].traits.mean == 1);
  CHECK((table[0].traits.block == -1 && table[1].traits.block == 0 && table[4].traits.block == 0 && table[48].traits.block == 11));
  Index end = 0;
  for (const auto& info : table) {
    CHECK(info.offset * static_cast<Index>(sizeof(half)) % static_cast<Index>(alignment_bytes) == 0);
    CHECK(info.offset == end);
    end = info.offset + round_up(info.size(), nn::parameter_alignment);
  }
  CHECK(nn::flat_size<Tower<float>>() == end);
}

TEST_CASE("places are the same for every dtype, and bind points to them") {
  CHECK(nn::flat_size<Tower<half>>() == nn::flat_size<Tower<double>>());
  std::vector<float> flat(static_cast<std::size_t>(nn::flat_size<Tower<float>>()));
  Tower<float> tower;
  nn::bind(tower, flat.data());
  std::size_t i = 0;
  nn::for_each_parameter(tower, [&](const nn::ParameterName& name, auto& view, const nn::ParameterTraits&) {
    CHECK(name.view() == table[i].name.view());
    CHECK(view.data == flat.data() + table[i++].offset);
  });
  CHECK(tower.floors[3].norm.bias.data == flat.data() + table[1 + 3 * 4 + 3].offset);
}
