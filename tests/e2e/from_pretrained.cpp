// A checkpoint that terse-summarize wrote, read by transformers: from_pretrained and AutoTokenizer.
#include <cstdlib>

#include <terse/io/checkpoint.hpp>
#include <terse/models/gpt.hpp>
#include <terse/text/bpe.hpp>

#include "configs.hpp"
#include "small_job.hpp"
#include "support/logits.hpp"

using namespace terse;

namespace {

/// What transformers must find in the checkpoint: the logits of some documents, and the ids of a text.
template <class Config>
json reference(const std::filesystem::path& checkpoint, const std::string& text) {
  using Model = models::Gpt<Config, Fp32, Cpu>;
  REQUIRE(io::read_config(checkpoint / "config.json") == io::ModelSizes::of<Config>());
  Cpu cpu(2);
  Model model(cpu);
  io::read_weights<Model>(checkpoint / "model.safetensors", model.flat());
  const auto tokenizer = text::Bpe::load(checkpoint);
  const std::vector<std::vector<TokenId>> documents{tokenizer.encode(text), {0}, {tokenizer.end_of_text(), 7, 7}};
  const auto logits = logits_of(model, documents);
  json expected{{"documents", documents}, {"logits", json::array()}, {"text", text}, {"ids", documents[0]}};
  auto next = logits.begin();
  for (const auto& document : documents) {
    json rows = json::array();
    for (std::size_t t = 0; t < document.size(); ++t, next += Config::vocabulary) rows.push_back(std::vector<float>(next, next + Config::vocabulary));
    expected["logits"].push_back(rows);
  }
  return expected;
}

void check(const std::filesystem::path& checkpoint, const json& expected) {
  const auto file = checkpoint.parent_path() / "reference.json";
  std::ofstream(file) << expected;
  const auto result = Running(std::getenv("TERSE_PYTHON"), {(source_dir() / "tests/goldens/gpt.py").string(), "--read", checkpoint.string(), file.string()}).wait();
  INFO(result.err);
  WARN(result.out);
  CHECK(result.code == 0);
  for (const char* complaint : {"newly initialized", "not initialized", "were not used", "MISSING", "UNEXPECTED", "MISMATCH", "arning"}) {
    INFO(complaint);
    CHECK(result.err.find(complaint) == std::string::npos);
  }
}

constexpr const char* sentence = "Anna: Shall we meet at 7:30?\nTom: No, I can't; let's say 8.\n\n  It's settled then, and I'll bring the café's cakes.";

}  // namespace

TEST_CASE("from_pretrained reads the demo's checkpoint, its tokenizer too") {
  const SmallJob job;
  job.train("trained");
  const auto checkpoint = job.folder() / "trained/checkpoint";
  check(checkpoint, reference<summarize::Demo>(checkpoint, sentence));
}

TEST_CASE("from_pretrained reads a checkpoint with GPT-2's vocabulary") {
  const SmallJob job;
  job.train("trained", {"--model", "tiny", "--steps", "1", "--tokenizer", (source_dir() / "examples/summarize/gpt2").string()});
  const auto checkpoint = job.folder() / "trained/checkpoint";
  check(checkpoint, reference<summarize::Tiny>(checkpoint, sentence));
}
