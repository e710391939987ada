// What rules and searches do to logits: on the GPU what the CPU does.
#include <terse/ops/logits/cpu.hpp>
#include <terse/ops/logits/cuda.cuh>
#include <terse/ops/sample/cpu.hpp>
#include <terse/ops/sample/cuda.cuh>

#include <array>

#include "op_test.hpp"

using namespace terse;

namespace {

using Kind = ops::LogitEdit::Kind;
constexpr float banned = -std::numeric_limits<float>::infinity();

/// P columns, as CUDA wants them.
template <Index V>
constexpr Index padded = (V + 7) / 8 * 8;

template <class Check>
void for_each_vocabulary(Check&& check) {
  check(Width<211>{});
  if constexpr (!is_sanitized) check(Width<1>{}), check(Width<31>{}), check(Width<1000>{}), check(Width<1003>{});
}

/// A row for each of: spread logits, equal ones, few that aren't banned, one that isn't, none, NaN, infinity. Behind a row stands what who read it would choose.
template <Index V>
std::vector<float> rows_of_logits(OpRun& run) {
  constexpr Index P = padded<V>;
  auto values = run.input<float>(8 * P, 6).from_gpu();
  const auto row = [&](Index b) { return values.begin() + b * P; };
  std::fill_n(row(1), P, 1.5f);
  for (Index v = 0; v < V; ++v) row(2)[v] = v % 9 == 0 ? row(2)[v] : banned;
  for (Index b = 3; b < 5; ++b) std::fill_n(row(b), P, banned);
  row(3)[V / 2] = 2;
  row(5)[V - 1] = std::nanf(""), row(6)[0] = -banned;
  for (Index v = 0; v < V; v += 3) row(7)[v] = std::nanf("");
  for (Index b = 0; b < 8; ++b) std::fill(row(b) + V, row(b) + P, 1000.0f);
  return values;
}

template <Index V>
void check_log_softmax() {
  on_both_devices([](OpRun& run) {
    constexpr Index P = padded<V>;
    const auto logits = run.values(rows_of_logits<V>(run));
    run([&](auto& device, auto at) { ops::log_softmax<V>(device, Rows<float, P>{at(logits), 8}); });
    run.agrees("log_softmax", logits, P);
    ops::log_softmax<V>(run.cuda, Rows<float, P>{nullptr, 0});
  });
}

/// Edits of all kinds, often of one token, also of the first and the last; three rows of eight have none.
template <Index V>
void check_edits() {
  on_both_devices([](OpRun& run) {
    constexpr Index P = padded<V>;
    RandomStream random(2, RandomUse::synthesize);
    std::vector<std::int32_t> starts{0};
    std::vector<ops::LogitEdit> edits;
    for (const Index count : {0, 1, 40, 0, 300, 2, 40, 0}) {
      for (Index e = 0; e < count; ++e) {
        const Index among = random.below(4) == 0 ? std::min(Index{3}, V) : V, id = random.below(16) == 0 ? V - 1 : static_cast<Index>(random.below(static_cast<std::uint32_t>(among)));
        const Kind kind = count == 1 || e % 60 == 59 ? Kind::only : std::array{Kind::ban, Kind::add, Kind::penalize, Kind::add}[random.below(4)];
        edits.push_back({static_cast<TokenId>(id), kind, kind == Kind::penalize ? 0.7f + random.uniform() : random.uniform() * 4 - 2});
      }
      starts.push_back(static_cast<std::int32_t>(edits.size()));
    }
    const auto logits = run.values(rows_of_logits<V>(run));
    const auto begins = run.values(starts);
    const auto all = run.values(edits);
    run([&](auto& device, auto at) { ops::edit<V>(device, {std::span<const std::int32_t>(at(begins), begins.size()), at(all)}, Rows<float, P>{at(logits), 8}); });
    run.equals("edited", logits);
    ops::edit<V>(run.cuda, {std::span<const std::int32_t>(begins.gpu(), 1), nullptr}, Rows<float, P>{nullptr, 0});
  });
}

template <Index V>
void check_best(Index n) {
  INFO("vocabulary " << V << ", the best " << n);
  on_both_devices([n](OpRun& run) {
    constexpr Index P = padded<V>;
    const auto logits = run.values(rows_of_logits<V>(run));
    const auto found = run.values(std::vector<ops::Candidate<float>>(static_cast<std::size_t>(8 * n), {7, 7}));
    run([&](auto& device, auto at) { ops::best<V>(device, Rows<const float, P>{at(logits), 8}, n, std::span<ops::Candidate<float>>(at(found), found.size())); });
    std::size_t different = 0;
    const auto got = found.from_gpu();
    for (std::size_t i = 0; i < got.size(); ++i) {
      const auto& want = found.cpu()[i];
      different += got[i].id != want.id || !(got[i].score == want.score || (std::isnan(got[i].score) && std::isnan(want.score))) ? 1u : 0u;
    }
    CHECK(different == 0);
    CHECK(found.fences_intact());
  });
}

}  // namespace

TEST_CASE("log-softmax on CUDA, banned tokens and rows that aren't finite among them") {
  for_each_vocabulary([]<Index V>(Width<V>) { check_log_softmax<V>(); });
}

TEST_CASE("edits of logits on CUDA have the CPU's bits") {
  for_each_vocabulary([]<Index V>(Width<V>) { check_edits<V>(); });
}

TEST_CASE("the best of a row on CUDA are the CPU's, equal ones by their ids") {
  for_each_vocabulary([]<Index V>(Width<V>) {
    for (const Index n : {1, 8, 31})
      if (n <= V) check_best<V>(n);
    if (V <= 31) check_best<V>(V);
  });
}

TEST_CASE("sampling on CUDA where rules leave few tokens: those of the CPU") {
  on_both_devices([](OpRun& run) {
    constexpr Index V = 1003, P = padded<V>, rows = 4;
    const auto logits = run.values(rows_of_logits<V>(run));  // the first four: one of them has a single token left
    const std::vector<ops::LogitEdit> edits{{V - 1, Kind::only}, {V - 2, Kind::ban}, {V - 3, Kind::ban}, {0, Kind::ban}};
    const auto all = run.values(edits);
    const auto begins = run.values(std::vector<std::int32_t>{0, 1, 4, 4, 4});
    std::vector<ops::Draw> which;
    for (std::uint32_t b = 0; b < rows; ++b) which.push_back({5, b, 3 * b});
    const auto draws = run.values(which);
    const auto choices = run.values(std::vector<ops::Choice<float>>(rows));
    for (const ops::Sample& op : {ops::Sample{.greedy = true}, ops::Sample{.temperature = 0.7f, .top_k = 50}, ops::Sample{.temperature = 1.3f, .top_k = 0, .top_p = 0.9f, .min_p = 0.01f, .typical = 0.9f}}) {
      run([&](auto& device, auto at) {
        ops::edit<V>(device, {std::span<const std::int32_t>(at(begins), begins.size()), at(all)}, Rows<float, P>{at(logits), rows});
        ops::sample<V>(device, op, Rows<const float, P>{at(logits), rows}, std::span<const ops::Draw>(at(draws), rows), std::span<ops::Choice<float>>(at(choices), rows));
      });
      const auto got = choices.from_gpu();
      for (std::size_t b = 0; b < rows; ++b) {
        CHECK(got[b].id == choices.cpu()[b].id);
        CHECK(got[b].log_probability == Approx(choices.cpu()[b].log_probability).margin(1e-6));
      }
      CHECK(got[0].id == V - 1);
      CHECK(got[3].id == V / 2);
    }
  });
}
