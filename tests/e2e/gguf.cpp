// A model in one GGUF file, as --checkpoint and --init take it.
#include <terse/io/gguf.hpp>
#include <terse/models/gpt.hpp>

#include "configs.hpp"
#include "small_job.hpp"

using namespace terse;

namespace {

using Model = models::Gpt<summarize::Demo, Fp32, Cpu>;

/// The checkpoint of a folder, weights and tokenizer, as one file.
void write_gguf(const std::filesystem::path& checkpoint, const std::filesystem::path& file) {
  std::vector<float> flat(static_cast<std::size_t>(Model::flat_size));
  io::read_weights<Model>(checkpoint / "model.safetensors", flat.data());
  auto metadata = io::gguf_metadata(io::ModelSizes::of<summarize::Demo>(), "demo");
  for (auto& entry : io::gguf_tokenizer(text::Bpe::load(checkpoint))) metadata.push_back(std::move(entry));
  io::write_gguf_weights<Model>(file, flat.data(), metadata, io::GgmlType::f32);
}

}  // namespace

TEST_CASE("--checkpoint takes a GGUF file, or a folder of one: the texts of the folder it was made from") {
  const SmallJob job;
  job.train("out");
  std::filesystem::create_directory(job.folder() / "model");
  const auto file = job.folder() / "model/demo.gguf";
  write_gguf(job.folder() / "out/checkpoint", file);
  const auto texts_of = [&](const std::string& checkpoint, const char* precision) {
    return succeed({"generate", "--data", job.data(), "--limit", "3", "--checkpoint", checkpoint, "--precision", precision, "--greedy", "--max-new", "8", "--threads", "1"}).out;
  };
  for (const char* precision : {"fp32", "int8"}) {
    const auto expected = texts_of(job.file("out/checkpoint"), precision);
    CHECK(json_lines_of(expected).size() == 3);
    CHECK(texts_of(file.string(), precision) == expected);
    CHECK(texts_of(job.file("model"), precision) == expected);
  }
  succeed({"evaluate", "--data", job.data(), "--limit", "2", "--checkpoint", file.string(), "--precision", "fp32", "--greedy", "--max-new", "4", "--threads", "1", "--out", job.file("judged")});
  CHECK(json::parse(content_of(job.folder() / "judged/evaluation.json"))["samples"] == 2);

  const auto generate = [&](const std::string& checkpoint) { return terse_summarize({"generate", "--prompt", "hello", "--checkpoint", checkpoint, "--threads", "1"}); };
  check_error(generate(job.file("nowhere.gguf")), 3, {"nowhere.gguf: not found", "--checkpoint"});
  const auto whole = content_of(file);
  std::ofstream(job.folder() / "cut.gguf", std::ios::binary) << whole.substr(0, whole.size() / 2);
  check_error(generate(job.file("cut.gguf")), 3, {"cut.gguf"});
}
