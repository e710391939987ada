// evaluate that is interrupted or killed, and goes on: the result is that of a run that nothing stopped.
#include <chrono>
#include <thread>

#include "small_job.hpp"

namespace {

std::size_t lines_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
}

}  // namespace

TEST_CASE("texts of an interrupted evaluation are kept, and --resume writes the others") {
  const SmallJob job;
  job.train("out");
  const auto rows = job.folder() / "rows.csv";
  write_dialogues(rows, 1500);
  const auto arguments = [&](const char* folder, const Arguments& more = {}) {
    return Arguments{"evaluate", "--checkpoint", job.file("out/checkpoint"), "--data", rows.string(), "--output", job.file(std::string(folder) + "/evaluation.json"), "--max-new", "20",
                     "--threads", "1", "--ranks", "2"} +
           more;
  };
  succeed(arguments("whole", {"--beams", "2"}));

  const auto journal = job.folder() / "parts" / "unfinished-evaluation-0.jsonl";
  for (const bool kills : {false, true}) {
    const auto before = lines_in(journal);
    Running evaluation(TERSE_SUMMARIZE, arguments("parts", {"--beams", "2", "--resume"}));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (lines_in(journal) < before + 20 && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (kills) {
      CHECK(evaluation.kill());
    } else {
      evaluation.interrupt();
      const auto result = evaluation.wait();
      CHECK(result.code == 130);
      CHECK(result.err.find("with --resume to go on") != std::string::npos);
    }
    CHECK(lines_in(journal) > 20);
    CHECK_FALSE(std::filesystem::exists(job.folder() / "parts" / "evaluation.json"));
  }
  std::ofstream(journal, std::ios::app) << "{\"number\":";  // a line that broke off
  const auto other = terse_summarize(arguments("parts", {"--beams", "3", "--resume"}));
  CHECK(other.code == 2);
  CHECK(other.err.find("begun from another checkpoint, data or options") != std::string::npos);

  job.train("another", {"--seed", "7"});  // as many steps, other weights
  auto another = arguments("parts", {"--beams", "2", "--resume"});
  another[2] = job.file("another/checkpoint");
  const auto mixed = terse_summarize(another);
  CHECK(mixed.code == 2);
  CHECK(mixed.err.find("begun from another checkpoint, data or options") != std::string::npos);

  const auto rest = succeed(arguments("parts", {"--beams", "2", "--resume", "--decode-batch", "5"}));
  CHECK(rest.err.find("texts are there already") != std::string::npos);
  CHECK(content_of(job.folder() / "parts" / "predictions.jsonl") == content_of(job.folder() / "whole" / "predictions.jsonl"));
  CHECK_FALSE(std::filesystem::exists(journal));
}
