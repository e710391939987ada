#include <terse/ops/attention/cpu.hpp>

#include "support/messages.hpp"
#include "support/op_case.hpp"
#include "support/owned_batch.hpp"

using namespace terse;

namespace {

template <Index heads, Index D, Index key_value_heads = heads>
struct AttentionCase {
  using Op = ops::Attention<heads, key_value_heads>;
  static constexpr Index C = heads * D, columns = Op::qkv_columns(D);
  static constexpr bool any_threads = true;
  static constexpr Pairs<1> outputs{{{"out", "dout"}}}, gradients{{{"qkv", "dqkv"}}};

  OwnedBatch batch;
  ops::Dropout dropout = {};

  template <Real T>
  using Saved = typename Op::template Saved<Wide<T>>;

  template <Real T>
  void forward(Cpu& cpu, Tensors& t) const {
    const Index rows = batch.tokens();
    ops::forward(cpu, Op{}, batch, dropout, Rows<T, columns>{t.input<T>("qkv", rows * columns), rows},
                 Rows<T, C>{t.output<T>("out", rows * C), rows}, Saved<T>{{t.output<Wide<T>>("log_sums", rows * heads), rows}});
  }
  template <Real T>
  void backward(Cpu& cpu, Tensors& t) const {
    const Index rows = batch.tokens();
    ops::backward(cpu, Op{}, batch, dropout, Rows<T, columns>{t.get<T>("qkv"), rows}, Rows<T, C>{t.get<T>("out"), rows},
                  Saved<T>{{t.get<Wide<T>>("log_sums"), rows}}, Rows<T, C>{t.input<T>("dout", rows * C), rows},
                  Rows<T, columns>{t.output<T>("dqkv", rows * columns), rows});
  }
  Values reference(const Tensors& t) const {
    const auto qkv = t.values("qkv");
    const auto query = [&](Index row, Index head, Index d) { return qkv[static_cast<std::size_t>(row * columns + head * D + d)]; };
    const auto key = [&](Index row, Index head, Index d) { return query(row, heads + head / (heads / key_value_heads), d); };
    const auto value = [&](Index row, Index head, Index d) { return query(row, heads + key_value_heads + head / (heads / key_value_heads), d); };
    std::vector<double> out(static_cast<std::size_t>(batch.tokens() * C)), log_sums;
    for (Index row = 0; row < batch.tokens(); ++row)
      for (Index head = 0; head < heads; ++head) {
        const Index position = batch.positions()[static_cast<std::size_t>(row)], first = row - position;
        std::vector<double> weights;
        double sum = 0;
        for (Index j = 0; j <= position; ++j) {
          double score = 0;
          for (Index d = 0; d < D; ++d) score += query(row, head, d) * key(first + j, head, d);
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(D))));
          sum += weights.back();
        }
        log_sums.push_back(std::log(sum));
        for (Index j = 0; j <= position; ++j)
          for (Index d = 0; d < D; ++d)
            out[static_cast<std::size_t>(row * C + head * D + d)] += weights[static_cast<std::size_t>(j)] / sum * factor(row, head, position, j) * value(first + j, head, d);
      }
    return {{"out", out}, {"log_sums", log_sums}};
  }
  double factor(Index row, Index head, Index position, Index j) const {
    if (!dropout.active()) return 1;
    const auto draw = batch.view().draws[static_cast<std::size_t>(ops::document_of(batch, row))];
    return dropout.words(draw, head, position, j / 4)[static_cast<std::size_t>(j % 4)] < dropout.drop_below ? 0 : static_cast<double>(dropout.scale);
  }
};

}  // namespace

TEST_CASE("attention: several documents of lengths around the tile") {
  check_op(AttentionCase<2, 12>{OwnedBatch::of_lengths({1, 31, 32, 33, 70}, 9)});
}

TEST_CASE("attention: one token, one head, odd widths") {
  check_op(AttentionCase<1, 1>{OwnedBatch::of_lengths({1}, 9)});
  check_op(AttentionCase<5, 7>{OwnedBatch::of_lengths({7, 1, 33}, 9)});
  check_op(AttentionCase<1, 64>{OwnedBatch::of_lengths({5, 9}, 9)});
}

TEST_CASE("attention: heads of queries that share keys and values") {
  const auto dropout = ops::DropoutPlan{.probability = 0.3f, .seed = 5}.at(ops::DropoutSite::attention_probabilities, 2);
  check_op(AttentionCase<6, 12, 2>{OwnedBatch::of_lengths({1, 33, 70}, 9), dropout});
  check_op(AttentionCase<3, 7, 1>{OwnedBatch::of_lengths({7, 32}, 9)});
}

TEST_CASE("attention with dropout") {
  const auto dropout = ops::DropoutPlan{.probability = 0.3f, .seed = 5}.at(ops::DropoutSite::attention_probabilities, 2);
  check_op(AttentionCase<2, 12>{OwnedBatch::of_lengths({33, 2, 9}, 9), dropout});
}

TEST_CASE("attention: a document's rows don't depend on the packing") {
  constexpr Index heads = 2, D = 12, C = heads * D;
  const auto dropout = ops::DropoutPlan{.probability = 0.3f, .seed = 5}.at(ops::DropoutSite::attention_probabilities, 2);
  Cpu cpu(2);
  cpu.reserve_thread_scratch(ops::attention_scratch<float, D>(40));
  const auto run = [&](const OwnedBatch& batch, int document, Index length) {
    Tensors t;
    const Index rows = batch.tokens(), first = batch.first_row(document);
    const Rows<float, 3 * C> qkv{t.output<float>("qkv", rows * 3 * C), rows}, dqkv{t.output<float>("dqkv", rows * 3 * C), rows};
    const Rows<float, C> out{t.output<float>("out", rows * C), rows}, dout{t.output<float>("dout", rows * C), rows};
    const ops::Attention<heads>::Saved<float> saved{{t.output<float>("log_sums", rows * heads), rows}};
    std::fill_n(qkv.data, qkv.size(), 0.5f);
    std::fill_n(dout.data, dout.size(), 0.25f);
    std::copy_n(t.input<float>("this document's qkv", length * 3 * C), length * 3 * C, qkv[first].data);
    std::copy_n(t.input<float>("this document's dout", length * C), length * C, dout[first].data);
    ops::forward(cpu, ops::Attention<heads>{}, batch, dropout, qkv, out, saved);
    ops::backward(cpu, ops::Attention<heads>{}, batch, dropout, qkv, out, saved, dout, dqkv);
    std::vector<float> result(out[first].data, out[first + length].data);
    result.insert(result.end(), dqkv[first].data, dqkv[first + length].data);
    return result;
  };
  const auto alone = run(OwnedBatch({{37, 8}}, 9), 0, 37);
  CHECK(alone == run(OwnedBatch({{5, 1}, {37, 8}, {40, 3}}, 9), 1, 37));
  CHECK(alone == run(OwnedBatch({{40, 3}, {1, 2}, {5, 1}, {37, 8}}, 9), 3, 37));
  CHECK(alone != run(OwnedBatch({{37, 9}}, 9), 0, 37));  // other draws
}

TEST_CASE("attention says when its scratch wasn't reserved") {
  Cpu cpu(1);
  const AttentionCase<1, 4> op{OwnedBatch::of_lengths({3}, 9)};
  Tensors t;
  CHECK(contains(message_of([&] { op.forward<float>(cpu, t); }), "a document of 3 tokens"));
}
