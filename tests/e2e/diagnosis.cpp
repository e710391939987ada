// explain and doctor: what a sample, the build and the machine are, for people and for programs.
#include <chrono>
#include <thread>

#include "small_job.hpp"

TEST_CASE("explain shows a sample's tokens, and that its summary carries the loss") {
  const SmallJob job;
  job.train("trained", {"--steps", "1"});
  const Arguments explain{"explain", "--model", "demo", "--data", job.data(), "--tokenizer", job.file("trained/checkpoint"), "--sample", "3"};
  const auto row = terse::text::read_dialogues(job.data()).rows[3];
  const auto sample = json::parse(succeed(explain + Arguments{"--json"}).out);
  CHECK(sample["sample"] == 3);
  CHECK(sample["id"] == row.id);
  CHECK(sample["line"] == row.line);
  CHECK(sample["cut"] == false);
  REQUIRE(sample["rows"].size() == sample["tokens"]);
  std::string text, predicted;
  std::size_t targets = 0;
  for (std::size_t t = 0; t < sample["rows"].size(); ++t) {
    const auto& token = sample["rows"][t];
    CHECK(token["position"] == t);
    text += token["token"].get<std::string>();
    if (token["loss"] == true) predicted += token["predicts"]["token"].get<std::string>(), ++targets;
  }
  const std::string prompt = "\n\n### DIALOGUE:\n\n" + row.text + "\n\n### SUMMARY:\n\n";
  CHECK(text == prompt + row.summary);
  CHECK(predicted == row.summary + "<|endoftext|>");
  CHECK(targets == sample["targets"]);

  const auto table = succeed(explain).out;
  CHECK(table.find('\033') == std::string::npos);  // no colours off a terminal
  CHECK(table.find("predicts") != std::string::npos);
  CHECK(lines_of(table).size() == 4 + sample["rows"].size());
  const auto outside = terse_summarize({"explain", "--model", "demo", "--data", job.data(), "--tokenizer", job.file("trained/checkpoint"), "--sample", "40"});
  CHECK(outside.code == 2);
  CHECK(outside.err.find("has 40 rows, numbers 0 to 39") != std::string::npos);
}

TEST_CASE("explain says why a sample isn't trained on") {
  const SmallJob job;
  std::ofstream(job.file("empty.csv"), std::ios::binary) << "id,dialogue,summary\n1,a,b\n2,,c\n";
  const auto result = terse_summarize({"explain", "--model", "demo", "--data", job.file("empty.csv"), "--tokenizer", (source_dir() / "tests/data/transformers_checkpoint").string(), "--sample", "1"});
  CHECK(result.code == 3);
  const auto trained = terse_summarize({"explain", "--model", "demo", "--data", job.file("empty.csv"), "--sample", "1"});
  INFO(trained.err);
  CHECK(trained.code == 3);
  CHECK(trained.err.find("empty.csv:3: sample 1 is skipped") != std::string::npos);
}

TEST_CASE("doctor: facts, problems with a mend, and an exit code that tells") {
  const SmallJob job;
  const auto result = terse_summarize({"doctor", "--json", "--out", job.file("new/folder")});
  const auto found = json::parse(result.out);
  bool problem = false;
  for (const auto& finding : found["findings"]) problem = problem || finding["problem"] == true;
  CHECK((result.code != 0) == problem);
  CHECK(found["build"]["cuda"].is_boolean());
  CHECK(found["build"]["models"].size() >= 1);
  CHECK(found["machine"]["usable_cores"].get<int>() >= 1);
  CHECK(found["machine"]["memory"].get<double>() > 1e8);
  CHECK(found["disk"]["folder"] == std::filesystem::canonical(job.folder()).string());
  CHECK(found["known_problems"].size() == 4);

  const auto nowhere = terse_summarize({"doctor", "--out", "/proc/nowhere"});
  CHECK(nowhere.code != 0);
  CHECK(nowhere.out.find("problem: /proc: cannot be written; name another folder with --out") != std::string::npos);
  for (const char* words : {"CUDA: ", "oneDNN", "known problems", "only one GPU", "address already in use", "NCCL", "out of memory", "docs/troubleshooting.md"}) {
    INFO(words);
    CHECK((nowhere.out.find(words) != std::string::npos || (std::string(words) == "oneDNN" && nowhere.out.find("OpenBLAS") != std::string::npos)));
  }
}

TEST_CASE("doctor finds what a launcher left out") {
  ::setenv("TORCHELASTIC_RUN_ID", "none", 1);
  const auto result = terse_summarize({"doctor"});
  ::unsetenv("TORCHELASTIC_RUN_ID");
  CHECK(result.code != 0);
  CHECK(result.out.find("problem: torchrun started this process, but WORLD_SIZE is missing") != std::string::npos);
}

TEST_CASE("doctor --watch goes on until ctrl-C") {
  Running watching(TERSE_SUMMARIZE, {"doctor", "--watch", "--json"});
  std::this_thread::sleep_for(std::chrono::milliseconds(1600));
  watching.interrupt();
  const auto result = watching.wait();
  CHECK(result.code == 0);
  const auto looks = json_lines_of(result.out);
  REQUIRE(looks.size() >= 1);
  CHECK(looks[0]["cpu"].get<double>() >= 0);
  CHECK(looks[0]["memory_used"].get<double>() > 0);
}
