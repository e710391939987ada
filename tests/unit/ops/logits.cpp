#include <terse/ops/logits/cpu.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "support/op_case.hpp"

using namespace terse;

namespace {

using Kind = ops::LogitEdit::Kind;
constexpr float never = -std::numeric_limits<float>::infinity(), infinite = std::numeric_limits<float>::infinity(), no_number = std::numeric_limits<float>::quiet_NaN();

/// V tokens in P columns: what stands in the padding neither counts nor changes.
template <Index V, Index P>
struct LogSoftmaxCase {
  static constexpr bool any_threads = true;

  Index rows;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    S* const out = t.output<S>("out", rows * P);
    std::copy_n(t.input<S>("logits", rows * P, 8), rows * P, out);
    ops::log_softmax<V>(cpu, Rows<S, P>{out, rows});
  }
  Values reference(const Tensors& t) const {
    auto out = t.values("logits");
    for (auto row = out.begin(); row != out.end(); row += P) {
      const double largest = *std::max_element(row, row + V);
      const double sum = std::accumulate(row, row + V, 0.0, [&](double before, double logit) { return before + std::exp(logit - largest); });
      std::for_each(row, row + V, [&](double& logit) { logit -= largest + std::log(sum); });
    }
    return {{"out", out}};
  }
};

}  // namespace

TEST_CASE("log-softmax") {
  for (const Index rows : {1, 3, 65}) {
    check_op(LogSoftmaxCase<1, 1>{rows}), check_op(LogSoftmaxCase<1, 8>{rows});
    check_op(LogSoftmaxCase<31, 32>{rows}), check_op(LogSoftmaxCase<211, 256>{rows});
  }
  check_op(LogSoftmaxCase<5003, 5120>{3});
}

TEST_CASE("log-softmax of what isn't finite") {
  constexpr Index V = 5, P = 8;
  Cpu cpu(1);
  std::vector<float> rows{1, never, 1, never, never, 9, 9, 9,                  //
                          1, no_number, 1, 1, 1, 9, 9, 9,                            //
                          1, infinite, 1, 1, 1, 9, 9, 9,                       //
                          never, never, never, never, never, 9, 9, 9,          //
                          3e38f, 1, 1, 1, 1, no_number, infinite, never};
  ops::log_softmax<V>(cpu, Rows<float, P>{rows.data(), 5});
  CHECK(rows[0] == Approx(-std::log(2.0f)));
  CHECK(rows[1] == never);
  for (std::size_t b = 1; b < 4; ++b)
    for (std::size_t v = 0; v < V; ++v) CHECK(std::isnan(rows[b * P + v]));
  CHECK(rows[4 * P] == 0);
  CHECK(rows[4 * P + 1] == -3e38f);
  CHECK((rows[4 * P + 6] == infinite && rows[3 * P + 5] == 9));
  ops::log_softmax<V>(cpu, Rows<float, P>{nullptr, 0});
}

namespace {

constexpr Index V = 5, P = 8;
constexpr float untouched = 77;

/// A row of 5 tokens and 3 columns of padding, edited.
std::vector<float> edited(std::vector<float> row, const std::vector<ops::LogitEdit>& edits) {
  row.resize(P, untouched);
  const std::vector<std::int32_t> starts{0, static_cast<std::int32_t>(edits.size())};
  ops::edit<V>(Cpu(1), {starts, edits.data()}, Rows<float, P>{row.data(), 1});
  CHECK(std::vector<float>(row.begin() + V, row.end()) == std::vector<float>(P - V, untouched));
  row.resize(V);
  return row;
}

}  // namespace

TEST_CASE("edits of logits: each kind, at both ends") {
  const std::vector<float> row{2, -3, 0, 0.5f, -1};
  CHECK(edited(row, {}) == row);
  CHECK(edited(row, {{0, Kind::ban}, {4, Kind::ban}}) == std::vector<float>{never, -3, 0, 0.5f, never});
  CHECK(edited(row, {{0, Kind::only}}) == std::vector<float>{2, never, never, never, never});
  CHECK(edited(row, {{4, Kind::only}}) == std::vector<float>{never, never, never, never, -1});
  CHECK(edited(row, {{1, Kind::add, 2.5f}, {4, Kind::add, -1}}) == std::vector<float>{2, -0.5f, 0, 0.5f, -2});
  CHECK(edited(row, {{0, Kind::penalize, 2}, {1, Kind::penalize, 2}, {2, Kind::penalize, 2}, {4, Kind::penalize, 0.5f}}) == std::vector<float>{1, -6, 0, 0.5f, -0.5f});
}

TEST_CASE("edits of logits act in their order, several on one token too") {
  const std::vector<float> row{2, -3, 0, 0.5f, -1};
  CHECK(edited(row, {{1, Kind::add, 5}, {1, Kind::penalize, 4}})[1] == 0.5f);
  CHECK(edited(row, {{1, Kind::penalize, 4}, {1, Kind::add, 5}})[1] == -7);
  CHECK(edited(row, {{0, Kind::penalize, 2}, {0, Kind::penalize, 2}})[0] == 0.5f);
  // What is banned stays banned, but where it is the only one.
  CHECK(edited(row, {{3, Kind::ban}, {3, Kind::add, 9}, {3, Kind::penalize, 2}})[3] == never);
  CHECK(edited(row, {{3, Kind::ban}, {3, Kind::only}}) == std::vector<float>{never, never, never, 0, never});
  CHECK(edited(row, {{3, Kind::only}, {3, Kind::ban}}) == std::vector<float>(V, never));
  CHECK(edited(row, {{3, Kind::only}, {0, Kind::only}}) == std::vector<float>{0, never, never, never, never});
  CHECK(edited(row, {{3, Kind::only}, {3, Kind::only}})[3] == 0.5f);
  CHECK(edited({no_number, 1, no_number, 1, 1}, {{1, Kind::only}}) == std::vector<float>{never, 1, never, never, never});
  CHECK(std::isnan(edited({no_number, 1, 1, 1, 1}, {{0, Kind::only}})[0]));
}

TEST_CASE("edits of logits: each row has its own, or none") {
  constexpr Index rows = 4;
  const std::vector<std::int32_t> starts{0, 2, 2, 2, 3};
  const std::vector<ops::LogitEdit> edits{{0, Kind::ban}, {1, Kind::add, 1}, {4, Kind::only}};
  for (const int threads : {1, 2, 3}) {
    std::vector<double> logits(rows * V, 1.0);
    ops::edit<V>(Cpu(threads), {starts, edits.data()}, Rows<double, V>{logits.data(), rows});
    constexpr double banned = -std::numeric_limits<double>::infinity();
    CHECK(logits == std::vector<double>{banned, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, banned, banned, banned, banned, 1});
  }
  ops::edit<V>(Cpu(1), {std::span(starts).first(1), nullptr}, Rows<float, P>{nullptr, 0});
}

namespace {

/// Rows of many equal values, of one, rising, falling; with banned tokens, with NaN among the first and the last; nothing but the one or the other.
template <Index V, Real S>
std::vector<std::vector<S>> rows_to_search() {
  const auto made = [](auto&& value) {
    std::vector<S> row;
    for (Index v = 0; v < V; ++v) row.push_back(static_cast<S>(value(v)));
    return row;
  };
  RandomStream random(3, RandomUse::synthesize);
  return {made([&](Index) { return static_cast<float>(random.below(9)); }), made([&](Index) { return random.uniform(); }), made([](Index) { return 1.0f; }),
          made([](Index v) { return static_cast<float>(v); }), made([](Index v) { return static_cast<float>(-v); }), made([](Index v) { return v % 3 == 0 ? never : static_cast<float>(v % 5); }),
          made([](Index v) { return v < 3 || v >= V - 2 ? no_number : static_cast<float>(v % 7); }), made([](Index v) { return v % 2 == 0 ? no_number : never; }), made([](Index) { return never; }),
          made([](Index) { return no_number; }), made([](Index v) { return v % 2 == 0 ? 0.0f : -0.0f; })};
}

template <Real S>
bool same(const ops::Candidate<S>& a, const ops::Candidate<S>& b) {
  return a.id == b.id && (a.score == b.score || (std::isnan(a.score) && std::isnan(b.score)));
}

template <Index V, Index P, Real S>
void check_best() {
  const auto rows = rows_to_search<V, S>();
  const auto count = static_cast<Index>(rows.size());
  std::vector<S> logits(static_cast<std::size_t>(count * P), S{1000});  // no tokens': whoever counted one would choose it
  for (std::size_t b = 0; b < rows.size(); ++b) std::ranges::copy(rows[b], logits.begin() + static_cast<Index>(b) * P);
  for (const Index n : {Index{1}, Index{2}, Index{7}, V - 1, V}) {
    if (n < 1 || n > V) continue;
    for (const int threads : {1, 2, 3}) {
      CAPTURE(V, n, threads);
      Cpu cpu(threads);
      cpu.reserve_thread_scratch(ops::best_scratch<S>(n));
      std::vector<ops::Candidate<S>> found(static_cast<std::size_t>(count * n));
      ops::best<V>(cpu, Rows<const S, P>{logits.data(), count}, n, found);
      for (std::size_t b = 0; b < rows.size(); ++b) {
        CAPTURE(b);
        std::vector<ops::Candidate<S>> want;
        for (Index v = 0; v < V; ++v)
          if (const S score = rows[b][static_cast<std::size_t>(v)]; !std::isnan(score)) want.push_back({score, static_cast<TokenId>(v)});
        std::ranges::stable_sort(want, [](const auto& x, const auto& y) { return x.score > y.score; });
        want.resize(static_cast<std::size_t>(n), {std::numeric_limits<S>::quiet_NaN(), 0});
        CHECK(std::equal(want.begin(), want.end(), found.begin() + static_cast<Index>(b) * n, same<S>));
      }
    }
  }
}

}  // namespace

TEST_CASE("the best of a row: the largest first, of equals the lower id; NaN is none of them") {
  check_best<1, 1, float>(), check_best<1, 8, float>(), check_best<31, 32, float>(), check_best<211, 216, float>(), check_best<1003, 1024, float>();
  check_best<31, 32, double>(), check_best<1003, 1024, double>();
}
