// --precision int8, and compare, which says what it costs.
#include "small_job.hpp"

TEST_CASE("8-bit weights write texts, and compare finds them near those in 32 bits") {
  const SmallJob job;
  const auto rows = job.file("rows.csv");
  write_dialogues(rows, 12, terse::text::SyntheticPart::validation);
  job.train("out", {"--steps", "30"});
  const Arguments common{"--checkpoint", job.file("out/checkpoint"), "--data", rows, "--threads", "1", "--max-new", "20"};

  SECTION("evaluate, predict and generate take them") {
    const Arguments int8 = common + Arguments{"--precision", "int8", "--greedy"};
    const auto evaluation = json::parse(succeed(Arguments{"evaluate", "--output", job.file("int8/evaluation.json"), "--json"} + int8).out);
    CHECK(evaluation["samples"] == 12);
    succeed(Arguments{"predict", "--output", job.file("int8/submission.csv")} + int8);
    CHECK(terse::text::read_csv(job.file("int8/submission.csv")).rows.size() == 12);
    const auto two = succeed(Arguments{"generate", "--ranks", "2"} + int8).out;
    CHECK(json_lines_of(two).size() == 12);
    CHECK(succeed(Arguments{"generate", "--ranks", "1", "--decode-batch", "3"} + int8).out == two);
    CHECK(succeed(Arguments{"generate"} + common + Arguments{"--greedy"}).out != two);  // other log-probabilities at least
  }
  SECTION("compare") {
    const Arguments compare = Arguments{"compare", "--precision", "int8", "--limit", "10"} + common;
    const auto result = json::parse(succeed(compare + Arguments{"--json"}).out);
    CHECK(result["samples"] == 10);
    REQUIRE(result["compared"].size() == 1);
    const auto& int8 = result["compared"][0];
    CHECK(int8["precision"] == "int8");
    CHECK(int8["divergence"].get<double>() > 0);
    CHECK(int8["divergence"].get<double>() < 0.01);
    CHECK(int8["same_best"].get<double>() > 0.9);
    for (const char* kind : {"rouge1", "rouge2", "rougeL", "rougeLsum"})
      CHECK(int8[kind].get<double>() - result["fp32"][kind].get<double>() == Approx(int8["difference"][kind].get<double>()).margin(1e-12));

    const auto scored = succeed({"score", "--checkpoint", job.file("out/checkpoint"), "--data", rows, "--limit", "10", "--threads", "1"});
    CHECK(result["targets"] == json_lines_of(scored.out).back()["targets"]);
    CHECK(succeed(compare).out.find("int8 beside fp32, on 10 dialogues") != std::string::npos);
    const auto itself = terse_summarize(Arguments{"compare", "--precision", "fp32"} + common);
    CHECK(itself.code == 2);
    CHECK(itself.err.find("nothing to hold against fp32") != std::string::npos);
  }
}

TEST_CASE("plan says what 8-bit weights take") {
  const auto plan = json::parse(succeed({"plan", "--model", "tiny", "--precision", "fp32", "--decode-batch", "1", "--json"}).out);
  CHECK(plan["int8_generation_bytes"].get<std::uint64_t>() > std::uint64_t{50257} * 128 * (4 + 1));  // the embedding, and in 8 bits as the head
  CHECK(plan["int8_generation_bytes"].get<std::uint64_t>() < std::uint64_t{50257} * 128 * (4 + 1) * 4 / 3);
}
