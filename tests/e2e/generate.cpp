// generate: what its answers say.
#include <numeric>

#include "small_job.hpp"

TEST_CASE("generate says each token's log-probability where asked, of one rank and of several") {
  const SmallJob job;
  const auto rows = job.file("rows.csv");
  write_dialogues(rows, 9, terse::text::SyntheticPart::validation);
  job.train("out");
  const Arguments generate{"generate", "--checkpoint", job.file("out/checkpoint"), "--data", rows, "--threads", "1", "--max-new", "12"};
  for (const Arguments& how : {Arguments{"--temperature", "1.3", "--repetition-penalty", "1.2"}, Arguments{"--beams", "3", "--n-best", "2"}, Arguments{"--samples", "3"}, Arguments{"--penalty-alpha", "0.6", "--top-k", "4"}}) {
    CAPTURE(how.front());
    const auto plain = json_lines_of(succeed(generate + how).out), said = json_lines_of(succeed(generate + how + Arguments{"--logprobs"}).out);
    REQUIRE(said.size() >= 9);
    REQUIRE(plain.size() == said.size());
    for (std::size_t i = 0; i < said.size(); ++i) {
      CHECK_FALSE(plain[i].contains("token_logprobs"));
      CHECK(said[i]["tokens"] == plain[i]["tokens"]);
      const auto logprobs = said[i]["token_logprobs"].get<std::vector<double>>();
      CHECK(logprobs.size() == said[i]["tokens"].size());
      CHECK(std::accumulate(logprobs.begin(), logprobs.end(), 0.0) == Approx(said[i]["logprob"].get<double>()).epsilon(1e-5));
    }
    CHECK(json_lines_of(succeed(generate + how + Arguments{"--logprobs", "--ranks", "2"}).out) == said);
  }
  const auto without_top_k = terse_summarize(generate + Arguments{"--penalty-alpha", "0.6"});
  CHECK(without_top_k.code == 2);
  CHECK(without_top_k.err.find("--top-k") != std::string::npos);
  const auto one = json_lines_of(succeed({"generate", "--checkpoint", job.file("out/checkpoint"), "--prompt", "Anna: Hi", "--threads", "1", "--max-new", "3", "--logprobs"}).out);
  REQUIRE(one.size() == 1);
  CHECK(one[0]["token_logprobs"].size() == one[0]["tokens"].size());
}
