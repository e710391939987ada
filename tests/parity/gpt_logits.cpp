// Logits of several documents in one packed batch, against transformers' GPT2LMHeadModel.
#include "support/gpt_judge.hpp"

using namespace judge;

namespace {

template <class Config>
double worst_difference(const std::string& golden_name, const std::string& weights) {
  using M = Model<Config>;
  Cpu cpu(2);
  M model(cpu);
  fill_weights(model, weights);
  std::vector<text::Sample> documents;
  text::BatchStorage storage(text::BatchCapacity{});
  for (const auto& ids : goldens()["documents"][golden_name]["ids"]) {
    auto document = ids.get<std::vector<TokenId>>();
    document.push_back(0);  // a sample's last id is only a target
    storage.add({0, 0, document}, 0, 1.0f);
  }
  const PackedBatch batch = storage.batch();
  const Extent extent{batch.tokens(), batch.sequences()};
  typename M::Saved saved;
  typename M::Scratch scratch;
  const auto memory = cpu.allocate(bytes_needed<typename M::Saved>(extent) + bytes_needed<typename M::Scratch>(extent));
  Arena arena(memory.data(), memory.bytes());
  carve(arena, saved, extent), carve(arena, scratch, extent);
  cpu.reserve_thread_scratch(ops::attention_scratch<float, M::C / Config::heads>(Config::context));
  model.forward(batch, {}, saved, scratch);
  scratch.logits.rows = batch.tokens();
  REQUIRE(scratch.logits.rows <= M::head_rows);
  ops::matmul_transposed(cpu, saved.last, model.weights().tokens, scratch.logits);

  std::vector<float> expected(static_cast<std::size_t>(batch.tokens() * Config::vocabulary));
  io::SafetensorsFile::open(golden("gpt_logits.safetensors")).read<float>(golden_name, {batch.tokens(), Config::vocabulary}, expected);
  double worst = 0;
  for (Index t = 0; t < batch.tokens(); ++t)
    for (Index v = 0; v < Config::vocabulary; ++v)
      worst = std::max(worst, std::abs(static_cast<double>(scratch.logits[t][v]) - static_cast<double>(expected[static_cast<std::size_t>(t * Config::vocabulary + v)])));
  return worst;
}

}  // namespace

TEST_CASE("logits equal transformers' within 2e-5") {
  const double a = worst_difference<A>("A", "A"), b = worst_difference<B>("B", "B"), exact = worst_difference<AExact>("A.gelu", "A");
  WARN("largest difference of a logit: A " << a << ", B (odd sizes) " << b << ", exact GELU " << exact);
  CHECK(a < 2e-5);
  CHECK(b < 2e-5);
  CHECK(exact < 2e-5);
}
