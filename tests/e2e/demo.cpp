// demo, as the README's first command runs it, with a few steps.
#include <cmath>

#include <terse/text/dialogue.hpp>

#include "program.hpp"
#include "support/html.hpp"

TEST_CASE("demo does the whole job and leaves every file") {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  const auto result = succeed({"demo", "--steps", "20", "--out", out.string(), "--threads", "1"});

  for (const char* line : {"DDP training: 2 CPU ranks", "vocabulary size: ", "init: scratch", "iterations: 20", "batch size: ", "gradient accumulation: ", "effective batch size: ", "memory plan",
                           "evaluation 200/200", "prediction 200/200"}) {
    INFO(line);
    CHECK(result.err.find(line) != std::string::npos);
  }
  CHECK(result.out.find("terse-summarize run ") != std::string::npos);  // the command for one's own CSV
  CHECK(result.out.find("ynthetic") != std::string::npos);
  CHECK(temporary_files(out).empty());

  for (const char* checkpoint : {"checkpoint", "best"})
    for (const char* name : {"model.safetensors", "config.json", "generation_config.json", "vocab.json", "merges.txt"}) {
      CAPTURE(checkpoint, name);
      CHECK(std::filesystem::file_size(out / checkpoint / name) > 0);
    }

  const auto steps = json_lines_of(content_of(out / "metrics.jsonl"));
  REQUIRE(steps.size() == 20);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& step = steps[i];
    INFO(step.dump());
    CHECK(step["step"] == i + 1);
    for (const char* field : {"loss", "grad_norm", "lr", "scale", "samples", "tokens", "targets", "ms", "tokens_per_second"}) {
      INFO(field);
      CHECK(step[field].is_number());
    }
    CHECK(step["skipped"] == false);
    CHECK(step.contains("mfu"));
    CHECK(step.contains("validation_loss") == (i + 1 == steps.size()));
  }
  CHECK(steps.front()["loss"].get<double>() == Approx(std::log(1024.0)).margin(0.2));
  CHECK(steps.back()["loss"].get<double>() < steps.front()["loss"].get<double>() - 1);

  const auto evaluation = json::parse(content_of(out / "evaluation.json"));
  for (const char* kind : {"rouge1", "rouge2", "rougeL", "rougeLsum"}) {
    INFO(kind);
    const double mean = evaluation[kind], low = evaluation["low"][kind], high = evaluation["high"][kind], lead = evaluation["lead1"][kind];
    CHECK((0 <= low && low <= mean && mean <= high && high <= 1));
    CHECK((0 <= lead && lead <= 1));
  }
  CHECK(evaluation["samples"] == 200);
  CHECK(evaluation["seconds"].get<double>() > 0);
  CHECK(evaluation["new_tokens_per_second"].get<double>() > 0);

  const auto predictions = json_lines_of(content_of(out / "predictions.jsonl"));
  const auto validation = terse::text::read_dialogues(out / "validation.csv").rows;
  REQUIRE(predictions.size() == validation.size());
  for (std::size_t i = 0; i < predictions.size(); ++i) {
    CHECK(predictions[i]["id"] == validation[i].id);
    CHECK(predictions[i]["dialogue"] == validation[i].text);
    CHECK(predictions[i]["reference"] == validation[i].summary);
    CHECK(predictions[i]["summary"].is_string());
    CHECK(predictions[i]["tokens"].is_array());
  }

  const auto test = terse::text::read_dialogues(out / "test.csv", {.summary = false}).rows;
  const auto submission = terse::text::read_csv(out / "submission.csv");
  CHECK(submission.columns == std::vector<std::string>{"id", "summary"});
  REQUIRE(submission.rows.size() == test.size());
  for (std::size_t i = 0; i < test.size(); ++i) CHECK(submission.rows[i].fields[0] == test[i].id);

  const auto page = content_of(out / "report.html");
  const auto html = parse_html(page);
  CHECK(html.mistake == "");
  CHECK(asks_outside(page) == "");
  for (const char* part : {"Training", "Learning rate", "validation loss", "ROUGE-Lsum", "lead-1", "Dialogues and summaries", "6 of 200"}) {
    INFO(part);
    CHECK(html.text.find(part) != std::string::npos);
  }
  std::filesystem::remove(out / "report.html");
  succeed({"report", "--out", out.string()});
  CHECK(content_of(out / "report.html") == page);
}
