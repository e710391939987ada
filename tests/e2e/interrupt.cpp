// ctrl-C while it trains: the state is saved, the exit code is a shell's, nothing half-written stays.
#include <chrono>
#include <thread>

#include "small_job.hpp"

TEST_CASE("ctrl-C ends a training after its step, saved") {
  const SmallJob job;
  const auto out = job.folder() / "out";
  Running training(TERSE_SUMMARIZE, job.training("out", {"--steps", "100000", "--evaluate-every", "0"}));
  const auto lines = [&] {
    std::ifstream file(out / "metrics.jsonl");
    return std::count(std::istreambuf_iterator<char>(file), {}, '\n');
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (lines() < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  training.interrupt();
  const auto result = training.wait();
  INFO(result.err);
  CHECK(result.code == 130);
  CHECK(job.metrics("out").size() >= 3);
  CHECK(temporary_files(out).empty());
  CHECK_FALSE(std::filesystem::exists(out / "best"));
  for (const char* name : {"model.safetensors", "config.json", "vocab.json", "merges.txt"}) CHECK(std::filesystem::exists(out / "checkpoint" / name));

  const auto text = succeed({"generate", "--checkpoint", (out / "checkpoint").string(), "--prompt", "Anna: Hi", "--max-new", "4", "--threads", "1"});
  CHECK_FALSE(text.out.empty());
}
