// tokenize, rouge, score and plan: the filters that other programs read.
#include "small_job.hpp"

TEST_CASE("tokenize and its inverse") {
  const Arguments tokenize{"tokenize", "--tokenizer", (source_dir() / "examples/summarize/gpt2").string()};
  const std::string text = "Hello world\n\n  two spaces, a tab\tand an accent: é\n#Person1#: 12:30?\n日本 🙂\n";
  const auto ids = succeed(tokenize, text);
  const auto arrays = json_lines_of(ids.out);
  REQUIRE(arrays.size() == 5);
  CHECK(arrays[0] == json::array({15496, 995}));
  CHECK(arrays[1] == json::array());
  CHECK(succeed(tokenize + Arguments{"--decode"}, ids.out).out == text);
}

TEST_CASE("rouge prints a line a pair, and the mean as the last where asked") {
  const std::string pairs = R"({"reference":"the cat sat on the mat","prediction":"the cat sat"})"
                            "\n"
                            R"({"reference":"a dog","prediction":"a dog"})"
                            "\n"
                            R"({"reference":"","prediction":"a"})"
                            "\n";
  const auto scores = json_lines_of(succeed({"rouge"}, pairs).out);
  REQUIRE(scores.size() == 3);
  CHECK(scores[0]["rouge1"].get<double>() == Approx(2.0 / 3).epsilon(1e-12));
  CHECK(scores[0]["rouge2"].get<double>() == Approx(4.0 / 7).epsilon(1e-12));
  CHECK(scores[0]["rougeL"].get<double>() == Approx(2.0 / 3).epsilon(1e-12));
  CHECK(scores[1]["rougeLsum"] == 1.0);
  CHECK(scores[2]["rouge1"] == 0.0);

  const auto all = json_lines_of(succeed({"rouge", "--mean"}, pairs).out);
  REQUIRE(all.size() == 4);
  const auto& mean = all.back();
  for (const char* kind : {"rouge1", "rouge2", "rougeL", "rougeLsum"}) {
    double sum = 0;
    for (const auto& score : scores) sum += score[kind].get<double>();
    CHECK(mean[kind].get<double>() == Approx(sum / 3).epsilon(1e-12));
    CHECK(mean["low"][kind].get<double>() <= mean[kind].get<double>());
    CHECK(mean["high"][kind].get<double>() >= mean[kind].get<double>());
  }
  CHECK(mean["pairs"] == 3);
}

TEST_CASE("score gives the losses that training validates by") {
  const SmallJob job;
  const std::string validation = job.file("validation.csv");
  write_dialogues(validation, 9, terse::text::SyntheticPart::validation);
  job.train("trained", {"--validation", validation, "--dropout", "0.1"});
  const double validated = job.metrics("trained").back()["validation_loss"];

  const Arguments score{"score", "--checkpoint", job.file("trained/checkpoint"), "--threads", "1"};
  const auto lines = json_lines_of(succeed(score + Arguments{"--data", validation}).out);
  REQUIRE(lines.size() == 10);  // nine samples, then their mean
  double sum = 0, unweighted = 0, targets = 0;
  std::string input;
  const auto rows = terse::text::read_dialogues(validation).rows;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CHECK(lines[i]["id"] == rows[i].id);
    const double loss = lines[i]["loss"], count = lines[i]["targets"];
    sum += loss * count, targets += count, unweighted += loss;
    input += json{{"id", rows[i].id}, {"dialogue", rows[i].text}, {"summary", rows[i].summary}}.dump() + "\n";
  }
  WARN("validation loss while training " << validated << ", by score " << sum / targets << ": difference " << std::abs(sum / targets - validated));
  CHECK(sum / targets == Approx(validated).margin(1e-5));
  CHECK(lines.back()["mean_loss"].get<double>() == Approx(unweighted / 9).epsilon(1e-12));
  CHECK(json_lines_of(succeed(score, input).out) == lines);
}

TEST_CASE("plan adds up, and its JSON is JSON") {
  const auto plan = json::parse(succeed({"plan", "--model", "tiny", "--precision", "fp32", "--batch", "4", "--accumulate", "2", "--ranks", "2", "--json"}).out);
  CHECK(plan["model"] == "tiny");
  CHECK(plan["effective_batch"] == 16);
  for (const char* which : {"typical_bytes", "largest_bytes"}) {
    INFO(which);
    std::uint64_t sum = 0;
    for (const auto& [name, bytes] : plan[which].items())
      if (name != "total") sum += bytes.get<std::uint64_t>();
    CHECK(plan[which]["total"] == sum);
    CHECK(plan[which]["parameters"].get<std::uint64_t>() >= std::uint64_t{50257} * 128 * 4);
  }
  CHECK(succeed({"plan", "--model", "demo", "--precision", "fp32"}).out.find("memory of each rank") != std::string::npos);
}

TEST_CASE("plan shows activations as they are kept, and as they would be otherwise") {
  const Arguments demo{"plan", "--model", "demo", "--precision", "fp32"};
  const auto all = json::parse(succeed(demo + Arguments{"--json"}).out), checkpointed = json::parse(succeed(demo + Arguments{"--activation-checkpointing", "--json"}).out);
  for (const std::string which : {"typical", "largest"}) {
    INFO(which);
    const auto& bytes = all[which + "_activation_bytes"];
    CHECK(bytes["checkpointed"] < bytes["all"]);
    CHECK(checkpointed[which + "_activation_bytes"] == bytes);
    CHECK(all[which + "_bytes"]["activations"] == bytes["all"]);
    CHECK(checkpointed[which + "_bytes"]["activations"] == bytes["checkpointed"]);
    CHECK(checkpointed[which + "_bytes"]["scratch"] == all[which + "_bytes"]["scratch"]);
  }
  // Of two layers one computes 8 C² of its weights' products again.
  CHECK(checkpointed["recomputed_operations_per_step"] == 256.0 * 240 * 2 * 8 * 128 * 128);
  CHECK(checkpointed["operations_per_step"].get<double>() == Approx(all["operations_per_step"].get<double>() + 256.0 * 240 * 2 * 8 * 128 * 128));
  CHECK(succeed(demo).out.find("(checkpointed") != std::string::npos);
  CHECK(succeed(demo + Arguments{"--activation-checkpointing"}).out.find("(all of them") != std::string::npos);
}
