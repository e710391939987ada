// Logits of the 124M shape, against transformers: TERSE_TEST_GPT2 names the folder that
// `tests/goldens/gpt.py --gpt2-124m FOLDER --tokenizer examples/summarize/gpt2` has written.
#include <terse/io/checkpoint.hpp>
#include <terse/train/plan.hpp>

#include "support/gpt_judge.hpp"

using namespace judge;

TEST_CASE("logits of GPT-2 124M equal transformers' within 2e-5") {
  using M = Model<models::Gpt2>;
  const std::filesystem::path folder = std::getenv("TERSE_TEST_GPT2");
  const auto golden_file = io::SafetensorsFile::open(folder / "golden.safetensors");
  const auto integers = [&](const std::string& name) {
    const auto* info = golden_file.find(name);
    REQUIRE(info != nullptr);
    std::vector<std::int32_t> values(static_cast<std::size_t>(info->elements()));
    std::memcpy(values.data(), info->bytes.data(), info->bytes.size());
    return values;
  };
  Cpu cpu(2);
  M model(cpu);
  REQUIRE(io::read_config(folder / "config.json") == io::ModelSizes::of<models::Gpt2>());
  io::read_weights<M>(folder / "model.safetensors", model.flat());

  text::BatchStorage storage(text::BatchCapacity{});
  std::vector<std::int32_t> rows;
  std::vector<float> expected;
  std::int32_t first = 0;
  for (int d = 0; golden_file.find(concat("ids.", d)) != nullptr; ++d) {
    auto ids = integers(concat("ids.", d));
    const auto asked = integers(concat("rows.", d));
    std::vector<float> logits(asked.size() * M::V);
    golden_file.read<float>(concat("logits.", d), {static_cast<Index>(asked.size()), M::V}, logits);
    for (const auto row : asked) rows.push_back(first + row);
    expected.insert(expected.end(), logits.begin(), logits.end());
    first += static_cast<std::int32_t>(ids.size());
    ids.push_back(0);  // a sample's last id is only a target
    storage.add({d, 0, ids}, 0, 1.0f);
  }
  const PackedBatch batch = storage.batch();
  const Extent extent{batch.tokens(), batch.sequences()};
  typename M::Saved saved;
  typename M::Scratch scratch;
  const auto memory = cpu.allocate(bytes_needed<M::Saved>(extent) + bytes_needed<M::Scratch>(extent));
  Arena arena(memory.data(), memory.bytes());
  carve(arena, saved, extent), carve(arena, scratch, extent);
  cpu.reserve_thread_scratch(train::thread_bytes<M>());
  model.forward(batch, {}, saved, scratch);
  scratch.head_inputs.rows = scratch.logits.rows = static_cast<Index>(rows.size());
  ops::gather(cpu, saved.last, rows, scratch.head_inputs);
  ops::matmul_transposed(cpu, scratch.head_inputs, model.weights().tokens, scratch.logits);

  double worst = 0;
  for (Index n = 0; n < scratch.logits.rows; ++n)
    for (Index v = 0; v < M::V; ++v)
      worst = std::max(worst, std::abs(static_cast<double>(scratch.logits[n][v]) - static_cast<double>(expected[static_cast<std::size_t>(n * M::V + v)])));
  WARN("largest difference of a logit, " << batch.tokens() << " tokens in " << batch.sequences() << " documents: " << worst);
  CHECK(worst < 2e-5);
}
