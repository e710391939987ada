#include <terse/ops/embedding/cpu.hpp>
#include <terse/ops/residual/cpu.hpp>

#include <set>

#include "support/op_case.hpp"
#include "support/owned_batch.hpp"

using namespace terse;

namespace {

constexpr ops::DropoutPlan plan{.probability = 0.3f, .seed = 11};

/// The factors that rows of one document get, packed between others: (length, C).
template <Index C>
std::vector<float> factors(const OwnedBatch& batch, int document, Index length, const ops::Dropout& dropout) {
  Cpu cpu(2);
  std::vector<float> ones(static_cast<std::size_t>(batch.tokens() * C), 1.0f), out(ones.size(), NAN);
  ops::apply_dropout(cpu, batch, dropout, Rows<float, C>{ones.data(), batch.tokens()}, Rows<float, C>{out.data(), batch.tokens()});
  const auto begin = out.begin() + batch.first_row(document) * C;
  return {begin, begin + length * C};
}

template <Index C>
struct ResidualCase {
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}};
  static constexpr Pairs<1> gradients{{{"branch", "dbranch"}}};

  OwnedBatch batch;
  ops::Dropout dropout = {};

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const Index rows = batch.tokens();
    ops::residual(cpu, batch, dropout, Rows<const S, C>{t.input<S>("x", rows * C), rows}, Rows<const S, C>{t.input<S>("branch", rows * C), rows},
                  Vector<T, C>{t.input<T>("bias", C)}, Rows<S, C>{t.output<S>("y", rows * C), rows});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const Index rows = batch.tokens();
    ops::apply_dropout(cpu, batch, dropout, Rows<S, C>{t.input<S>("dy", rows * C), rows}, Rows<T, C>{t.output<T>("dbranch", rows * C), rows});
    const Rows<S, C> sum{t.accumulated<S>("sum", rows * C), rows};
    ops::add(cpu, Rows<S, C>{t.get<S>("x"), rows}, sum);
  }
  Values reference(const Tensors& t) const {
    const auto x = t.values("x"), branch = t.values("branch"), bias = t.values("bias");
    std::vector<double> y;
    for (Index row = 0; row < batch.tokens(); ++row)
      for (Index c = 0; c < C; ++c) {
        const auto i = static_cast<std::size_t>(row * C + c);
        y.push_back(x[i] + factor(row, c) * (branch[i] + bias[static_cast<std::size_t>(c)]));
      }
    return {{"y", y}};
  }
  double factor(Index row, Index c) const {
    if (!dropout.active()) return 1;
    const auto view = batch.view();
    const auto draw = view.draws[static_cast<std::size_t>(ops::document_of(view, row))];
    const Index position = view.positions[static_cast<std::size_t>(row)];
    return dropout.words(draw, 0, position, c / 4)[static_cast<std::size_t>(c % 4)] < dropout.drop_below ? 0 : static_cast<double>(dropout.scale);
  }
};

}  // namespace

TEST_CASE("residual: a branch joins the stream, with and without dropout") {
  const auto dropout = plan.at(ops::DropoutSite::mlp_projection, 3);
  check_op(ResidualCase<7>{OwnedBatch::of_lengths({3, 1}, 9)});
  check_op(ResidualCase<1>{OwnedBatch::of_lengths({1}, 9), dropout});
  check_op(ResidualCase<35>{OwnedBatch::of_lengths({3, 1, 5}, 9), dropout});
  check_op(ResidualCase<48>{OwnedBatch::of_lengths({33}, 9), dropout});
}

TEST_CASE("document_of") {
  const auto batch = OwnedBatch::of_lengths({2, 0, 1, 3}, 9);
  std::vector<Index> documents;
  for (Index t = 0; t < batch.tokens(); ++t) documents.push_back(ops::document_of(batch, t));
  CHECK(documents == std::vector<Index>{0, 0, 2, 3, 3, 3});
}

TEST_CASE("dropout: a document's draws don't depend on the packing") {
  const auto dropout = plan.at(ops::DropoutSite::embedding);
  const auto alone = factors<35>(OwnedBatch({{6, 8}}, 9), 0, 6, dropout);
  CHECK(alone == factors<35>(OwnedBatch({{3, 1}, {6, 8}, {9, 2}}, 9), 1, 6, dropout));
  CHECK(alone == factors<35>(OwnedBatch({{9, 2}, {3, 1}, {6, 8}}, 9), 2, 6, dropout));
  // and a longer document begins as a shorter one
  const auto longer = factors<35>(OwnedBatch({{9, 8}}, 9), 0, 9, dropout);
  CHECK(std::equal(alone.begin(), alone.end(), longer.begin()));
}

TEST_CASE("dropout: other samples, sites, layers, seeds and rows draw other numbers") {
  std::set<std::vector<float>> different;
  using enum ops::DropoutSite;
  const OwnedBatch batch({{2, 8}}, 9), other_sample({{2, 9}}, 9);
  const auto add = [&](const OwnedBatch& of, const ops::Dropout& dropout) {
    const auto both = factors<64>(of, 0, 2, dropout);
    different.insert({both.begin(), both.begin() + 64});
    different.insert({both.begin() + 64, both.end()});
  };
  add(batch, plan.at(embedding)), add(batch, plan.at(attention_projection)), add(batch, plan.at(mlp_projection)), add(batch, plan.at(mlp_projection, 1));
  add(batch, ops::DropoutPlan{0.3f, 12}.at(embedding)), add(other_sample, plan.at(embedding));
  CHECK(different.size() == 12);
}

TEST_CASE("dropout: the share dropped and the mean") {
  const auto all = factors<128>(OwnedBatch::of_lengths({100, 60}, 9), 0, 160, plan.at(ops::DropoutSite::embedding));
  const auto dropped = static_cast<double>(std::count(all.begin(), all.end(), 0.0f)) / static_cast<double>(all.size());
  CHECK(std::abs(dropped - 0.3) < 4 * std::sqrt(0.3 * 0.7 / static_cast<double>(all.size())));
  CHECK(*std::max_element(all.begin(), all.end()) == 1 / 0.7f);
  CHECK_FALSE(ops::DropoutPlan{}.at(ops::DropoutSite::embedding).active());
}
