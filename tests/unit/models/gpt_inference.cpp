// Rows against a cache.
#include <cmath>

#include "support/catch.hpp"
#include "support/training_model.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 37, .context = 40, .layers = 2, .heads = 3, .width = 21}> {};

/// A model, a cache of three slots, and the scratch for steps of up to 40 rows.
template <class P>
class Decoder {
 public:
  using Gpt = models::Gpt<Small, P, Cpu>;
  static constexpr Extent extent{.tokens = 40, .sequences = 40};

  explicit Decoder(int threads) : model_(extent, threads), cache_(model_.cpu(), 3), memory_(model_.cpu().allocate(bytes_needed<typename Gpt::InferenceScratch>(extent))) {
    Arena arena(memory_.data(), memory_.bytes());
    carve(arena, scratch_, extent);
  }

  TrainingModel<Small, P>& model() { return model_; }

  void add(TokenId id, std::int32_t slot, std::int32_t position) { ids_.push_back(id), slots_.push_back(slot), positions_.push_back(position); }
  /// Runs the rows added since the last step; the logits of row `row` follow.
  void step() {
    ask_.clear();
    for (std::size_t r = 0; r < ids_.size(); ++r) ask_.push_back(static_cast<std::int32_t>(r));
    model_.gpt().infer({ids_, slots_, positions_}, ask_, cache_, scratch_);
    ids_.clear(), slots_.clear(), positions_.clear();
  }
  auto logits(Index row) const {
    const auto* first = scratch_.logits.data + row * Gpt::padded_V;
    return std::vector<typename P::Stream>(first, first + Gpt::V);
  }

 private:
  TrainingModel<Small, P> model_;
  typename Gpt::Cache cache_;
  CpuMemory memory_;
  typename Gpt::InferenceScratch scratch_;
  std::vector<std::int32_t> ids_, slots_, positions_, ask_;
};

/// The logits after each token of a text, read `piece` tokens a step, with rows of other texts around them.
template <class P>
auto read(const OwnedBatch& text, int piece, bool neighbours, int threads = 1) {
  Decoder<P> decoder(threads);
  const int length = static_cast<int>(text.tokens());
  std::vector<std::vector<typename P::Stream>> result;
  for (int first = 0; first < length; first += piece) {
    const int end = std::min(length, first + piece);
    if (neighbours) decoder.add(first % 37, 2, first);
    for (int i = first; i < end; ++i) decoder.add(text.ids()[static_cast<std::size_t>(i)], 1, i);
    if (neighbours) decoder.add(5, 0, first), decoder.add(6, 0, first + 1);
    decoder.step();
    for (int i = first; i < end; ++i) result.push_back(decoder.logits(i - first + (neighbours ? 1 : 0)));
  }
  return result;
}

template <class P>
void check_independent() {
  INFO(P::name);
  const auto text = OwnedBatch::of_lengths({33}, 37);
  const auto whole = read<P>(text, 33, false);
  for (const int piece : {1, 2, 7, 32}) {
    INFO("pieces of " << piece);
    CHECK(whole == read<P>(text, piece, false));
    CHECK(whole == read<P>(text, piece, true));
  }
  CHECK(whole == read<P>(text, 33, true, 2));
  CHECK(whole == read<P>(text, 33, true, 3));
}

/// The largest difference between infer's logits and training's, for two documents.
template <class P>
double difference_from_training() {
  Decoder<P> decoder(2);
  const auto batch = OwnedBatch::of_lengths({21, 13}, 37);
  for (Index t = 0; t < batch.tokens(); ++t)
    decoder.add(batch.ids()[static_cast<std::size_t>(t)], static_cast<std::int32_t>(ops::document_of(batch, t)), batch.positions()[static_cast<std::size_t>(t)]);
  decoder.step();
  decoder.model().loss(batch);
  const auto& last = decoder.model().saved().last;
  const auto& tokens = decoder.model().gpt().weights().tokens;
  double worst = 0;
  for (Index t = 0; t < batch.tokens(); ++t) {
    const auto logits = decoder.logits(t);
    for (Index v = 0; v < Small::vocabulary; ++v) {
      double sum = 0;
      for (Index c = 0; c < Small::width; ++c) sum += static_cast<double>(last[t][c]) * static_cast<double>(tokens[v][c]);
      const double difference = std::abs(sum - static_cast<double>(logits[static_cast<std::size_t>(v)]));
      if (!(difference <= worst)) worst = difference;
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("inference against a cache gives training's logits") {
  CHECK(difference_from_training<Fp64>() < 1e-13);
  CHECK(difference_from_training<Fp32>() < 1e-5);
  CHECK(difference_from_training<Fp16Mixed>() < 0.02);
  CHECK(difference_from_training<Bf16Mixed>() < 0.1);
}

TEST_CASE("inference: a text's logits don't depend on pieces, neighbours or threads") {
  check_independent<Fp32>();
  check_independent<Bf16Mixed>();
  check_independent<Fp16Mixed>();
}
