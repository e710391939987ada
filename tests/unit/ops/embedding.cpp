#include <terse/ops/embedding/cpu.hpp>

#include "support/op_case.hpp"
#include "support/owned_batch.hpp"

using namespace terse;

namespace {

constexpr int vocabulary = 9;

template <Index C>
struct EmbeddingCase {
  static constexpr Index context = 40;
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"y", "dy"}}};
  static constexpr Pairs<2> gradients{{{"tokens", "dtokens"}, {"positions", "dpositions"}}};

  OwnedBatch batch;
  ops::Dropout dropout = {};

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    ops::embed(cpu, batch, Matrix<T, vocabulary, C>{t.input<T>("tokens", vocabulary * C)}, Matrix<T, context, C>{t.input<T>("positions", context * C)},
               dropout, Rows<S, C>{t.output<S>("y", batch.tokens() * C), batch.tokens()});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    using S = Wide<T>;
    const Index count = batch.tokens() * C;
    S* const dsum = t.output<S>("dsum", count);
    std::copy_n(t.input<S>("dy", count), count, dsum);
    ops::embed_backward(cpu, batch, dropout, Rows<S, C>{dsum, batch.tokens()}, Matrix<S, vocabulary, C>{t.accumulated<S>("dtokens", vocabulary * C)},
                        Matrix<S, context, C>{t.accumulated<S>("dpositions", context * C)});
  }
  Values reference(const Tensors& t) const {
    const auto tokens = t.values("tokens"), positions = t.values("positions");
    const auto view = batch.view();
    std::vector<double> y;
    for (std::size_t row = 0; row < view.ids.size(); ++row)
      for (Index c = 0; c < C; ++c) {
        const auto words = dropout.words(view.draws[static_cast<std::size_t>(ops::document_of(view, static_cast<Index>(row)))], 0, view.positions[row], c / 4);
        const double factor = words[static_cast<std::size_t>(c % 4)] < dropout.drop_below ? 0 : static_cast<double>(dropout.scale);
        y.push_back(factor * (tokens[static_cast<std::size_t>(view.ids[row] * C + c)] + positions[static_cast<std::size_t>(view.positions[row] * C + c)]));
      }
    return {{"y", y}};
  }
};

}  // namespace

TEST_CASE("embedding: ids that repeat, several documents, odd widths") {
  const auto dropout = ops::DropoutPlan{.probability = 0.2f, .seed = 3}.at(ops::DropoutSite::embedding);
  check_op(EmbeddingCase<7>{OwnedBatch::of_lengths({1}, vocabulary)});
  check_op(EmbeddingCase<1>{OwnedBatch::of_lengths({5, 3}, vocabulary), dropout});
  check_op(EmbeddingCase<35>{OwnedBatch::of_lengths({33, 1, 12}, vocabulary), dropout});
}
