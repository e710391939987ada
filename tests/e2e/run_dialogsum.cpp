// run on real dialogues with GPT-2's tokenizer: from scratch, on 2 ranks.
#include <cmath>

#include <terse/text/csv.hpp>
#include <terse/text/dialogue.hpp>

#include "program.hpp"

TEST_CASE("run trains, evaluates and predicts on DialogSum") {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  const auto data = dialogsum() / "dev.csv";
  const auto result = succeed({"run", "--model", "tiny", "--precision", "fp32", "--tokenizer", (source_dir() / "examples/summarize/gpt2").string(), "--data", data.string(),
                               "--limit", "4", "--steps", "2", "--batch", "2", "--accumulate", "1", "--evaluate-samples", "4", "--max-new", "20", "--out", out.string()});
  CHECK(result.err.find("vocabulary size: 50257") != std::string::npos);
  const auto steps = json_lines_of(content_of(out / "metrics.jsonl"));
  REQUIRE(steps.size() == 2);
  CHECK(steps[0]["loss"].get<double>() == Approx(std::log(50257.0)).margin(0.2));
  CHECK(steps[0]["samples"] == 4);
  WARN("first loss " << steps[0]["loss"] << ", ln(50257) is " << std::log(50257.0));
  CHECK(json::parse(content_of(out / "evaluation.json"))["samples"] == 4);

  const auto submission = terse::text::read_csv(out / "submission.csv");
  const auto predictions = json_lines_of(content_of(out / "predictions.jsonl"));
  REQUIRE(submission.rows.size() == 4);
  REQUIRE(predictions.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(submission.rows[i].fields[0] == predictions[i]["id"]);
}
