// The whole job on real dialogues with GPT-2's vocabulary and context, on two emulated GPUs in fp16.
#include <cmath>

#include <terse/text/csv.hpp>

#include "program.hpp"

TEST_CASE("run of `tiny` on DialogSum in fp16 on two GPUs: trains, evaluates, predicts") {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  const auto result = succeed({"run", "--data", (dialogsum() / "dev.csv").string(), "--limit", "2", "--model", "tiny", "--device", "cuda", "--precision", "fp16", "--ranks", "2", "--threads", "1",
                               "--batch", "2", "--accumulate", "2", "--steps", "3", "--warmup", "1", "--evaluate-samples", "2", "--evaluate-every", "3", "--tokenizer", std::string(TERSE_SOURCE_DIR) + "/examples/summarize/gpt2", "--max-new", "8", "--greedy", "--out", out.string()});
  CHECK(result.err.find("DDP training: 2 GPUs") != std::string::npos);
  const auto steps = json_lines_of(content_of(out / "metrics.jsonl"));
  REQUIRE(steps.size() == 3);
  for (const auto& step : steps) CHECK(step["samples"] == 8);
  CHECK(steps[0]["loss"].get<double>() == Approx(std::log(50257.0)).margin(0.3));
  CHECK(steps[2]["loss"].get<double>() < steps[0]["loss"].get<double>());
  CHECK(steps[2].contains("validation_loss"));
  CHECK(json::parse(content_of(out / "evaluation.json"))["samples"] == 2);

  const auto submission = terse::text::read_csv(out / "submission.csv");
  const auto predictions = json_lines_of(content_of(out / "predictions.jsonl"));
  REQUIRE(submission.rows.size() == 2);
  REQUIRE(predictions.size() == 2);
  for (std::size_t i = 0; i < predictions.size(); ++i) CHECK(submission.rows[i].fields[0] == predictions[i]["id"]);
}
