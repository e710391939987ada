// The same job in other layouts: ranks, accumulation, threads, decode batches.
#include "small_job.hpp"

namespace {

/// submission.csv of the checkpoint `out`/checkpoint, for 12 dialogues it hasn't seen.
std::string submission(const SmallJob& job, const std::string& data, const Arguments& layout) {
  const std::string output = job.file("submission.csv");
  succeed(Arguments{"predict", "--checkpoint", job.file("trained/checkpoint"), "--data", data, "--output", output, "--max-new", "24", "--temperature", "1"} + layout);
  return content_of(output);
}

}  // namespace

TEST_CASE("texts don't depend on decode batch, ranks and threads") {
  const SmallJob job;
  job.train("trained");
  const std::string data = job.file("test.csv");
  write_dialogues(data, 12, terse::text::SyntheticPart::test);
  const std::string expected = submission(job, data, {"--decode-batch", "32", "--ranks", "1", "--threads", "1"});
  CHECK(lines_of(expected).size() >= 13);
  for (const char* ranks : {"1", "2"}) {
    for (const char* batch : {"1", "3", "7", "32"}) {
      CAPTURE(batch, ranks);
      CHECK(submission(job, data, {"--decode-batch", batch, "--ranks", ranks, "--threads", "1"}) == expected);
    }
    CAPTURE(ranks);
    CHECK(submission(job, data, {"--decode-batch", "7", "--ranks", ranks, "--threads", "2"}) == expected);
  }
  CHECK(submission(job, data, {"--seed", "43", "--threads", "1"}) != expected);
}

TEST_CASE("a prompt alone gets the text it gets in a batch") {
  const SmallJob job;
  job.train("trained");
  std::string input;
  std::vector<std::string> prompts;
  for (const auto& row : terse::text::synthesize(6, 7, terse::text::SyntheticPart::test)) {
    prompts.push_back(row.text);
    input += json{{"id", row.id}, {"prompt", row.text}}.dump() + "\n";
  }
  const Arguments generate{"generate", "--checkpoint", job.file("trained/checkpoint"), "--max-new", "20", "--threads", "1", "--greedy"};
  const auto batch = json_lines_of(succeed(generate, input).out);
  REQUIRE(batch.size() == prompts.size());
  const auto lines = lines_of(input);
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    CAPTURE(i);
    CHECK(batch[i]["id"] == "synthetic_" + std::to_string(i));
    CHECK(json_lines_of(succeed(generate, lines[i] + "\n").out) == std::vector<json>{batch[i]});
    CHECK(succeed(generate + Arguments{"--prompt", prompts[i]}).out == batch[i]["text"].get<std::string>() + "\n");
  }
}

TEST_CASE("the same job on one rank and on two learns the same") {
  const SmallJob job;
  const Arguments six_steps{"--steps", "6", "--dropout", "0.1"};
  job.train("one", six_steps + Arguments{"--ranks", "1", "--accumulate", "4"});
  job.train("two", six_steps + Arguments{"--ranks", "2", "--accumulate", "2"});
  const auto one = job.metrics("one"), two = job.metrics("two");
  REQUIRE(one.size() == 6);
  REQUIRE(two.size() == 6);
  double worst = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    worst = std::max(worst, std::abs(one[i]["loss"].get<double>() - two[i]["loss"].get<double>()));
    for (const char* field : {"step", "samples", "tokens", "targets", "lr"}) CHECK(one[i][field] == two[i][field]);
  }
  WARN("1 rank x 4 against 2 ranks x 2, 6 steps: largest difference of a loss " << worst);
  CHECK(worst < 1e-5);
}

TEST_CASE("the same command twice writes the same bytes") {
  const SmallJob job;
  for (const char* name : {"first", "second"}) job.train(name, {"--dropout", "0.1", "--accumulate", "2"});
  for (const char* file : {"checkpoint/model.safetensors", "checkpoint/config.json", "checkpoint/merges.txt", "best/model.safetensors"}) {
    INFO(file);
    CHECK(content_of(job.folder() / "first" / file) == content_of(job.folder() / "second" / file));
  }
  job.train("other", {"--dropout", "0.1", "--accumulate", "2", "--seed", "7"});
  CHECK(content_of(job.folder() / "first/checkpoint/model.safetensors") != content_of(job.folder() / "other/checkpoint/model.safetensors"));
}

TEST_CASE("--activation-checkpointing: the bytes of a run without, which can go on with it, in less memory") {
  const SmallJob job;
  const auto weights = [&](const std::string& name) { return content_of(job.folder() / name / "checkpoint/model.safetensors"); };
  const auto planned = [&](const std::string& name) { return json::parse(content_of(job.folder() / name / "run.json"))["memory_plan"]["activations"].get<std::uint64_t>(); };
  job.train("all"), job.train("checkpointed", {"--activation-checkpointing"});
  CHECK(weights("checkpointed") == weights("all"));
  CHECK(planned("checkpointed") < planned("all"));

  for (const std::string name : {"all", "checkpointed"}) {
    INFO(name);
    succeed({"train", "--resume", "--out", job.file(name), "--steps", "6", name == "all" ? "--activation-checkpointing" : "--activation-checkpointing=false"});
  }
  CHECK(weights("checkpointed") == weights("all"));
  CHECK(planned("checkpointed") > planned("all"));
}
