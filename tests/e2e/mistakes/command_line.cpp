// What the program says to mistakes: one line that names the place and the mend, and an exit code that scripts can read.
#include "small_job.hpp"

namespace {

struct Mistake {
  Arguments arguments;
  int code;
  std::vector<std::string> words;  ///< that the message must hold
  std::string input = "";
};

void check(const Mistake& mistake) {
  const auto result = terse_summarize(mistake.arguments, mistake.input);
  CAPTURE(mistake.arguments, result.err);
  CHECK(result.code == mistake.code);
  CHECK(result.out.empty());
  CHECK(result.err.starts_with("terse-summarize: error: "));
  CHECK(lines_of(result.err).size() == 1);
  for (const auto& word : mistake.words) {
    INFO(word);
    CHECK(result.err.find(word) != std::string::npos);
  }
}

const std::vector<std::string> commands{"demo", "train", "run", "evaluate", "predict", "generate", "score", "tokenize", "rouge", "plan", "report"};

}  // namespace

TEST_CASE("without arguments: a short help; --help everywhere") {
  const auto nothing = succeed({});
  CHECK(nothing.out.find("terse-summarize demo") != std::string::npos);
  CHECK(nothing.out.find("terse-summarize run --data") != std::string::npos);
  CHECK(lines_of(nothing.out).size() < 10);
  for (const char* help : {"-h", "--help"}) {
    const auto general = succeed({help});
    CHECK(general.err.empty());
    for (const auto& command : commands) {
      INFO(command);
      CHECK(general.out.find(command) != std::string::npos);
      const auto own = succeed({command, help});
      CHECK(own.err.empty());
      CHECK(own.out.find("--") != std::string::npos);
    }
  }
}

TEST_CASE("mistakes on the command line are exit 2") {
  const SmallJob job;
  const Arguments train{"train", "--data", job.data(), "--model", "demo", "--out", job.file("out")};
  for (const Mistake& mistake : {Mistake{{"frobnicate"}, 2, {"frobnicate", "--help"}},
                                 {{"train"}, 2, {"--data"}},
                                 {train + Arguments{"--stpes", "3"}, 2, {"--stpes", "terse-summarize train --help"}},
                                 {train + Arguments{"--batch", "0"}, 2, {"--batch"}},
                                 {train + Arguments{"--batch", "many"}, 2, {"--batch", "many"}},
                                 {train + Arguments{"--steps", "-1"}, 2, {"--steps"}},
                                 {train + Arguments{"--ranks", "0"}, 2, {"--ranks"}},
                                 {train + Arguments{"--dropout", "1.5"}, 2, {"--dropout"}},
                                 {train + Arguments{"--normalisation", "none"}, 2, {"--normalisation"}},
                                 {train + Arguments{"--precision", "fp8"}, 2, {"--precision"}},
                                 {{"train", "--data", job.data(), "--model", "gpt5"}, 2, {"gpt5"}},
                                 {{"train", "--data", job.data(), "--model", "tiny"}, 2, {"--tokenizer"}},
                                 {train + Arguments{"--validation-split", "0.999"}, 2, {"--validation-split"}},
                                 {train + Arguments{"--resume"}, 2, {"--resume"}}})
    check(mistake);
  CHECK_FALSE(std::filesystem::exists(job.file("out")));
}

TEST_CASE("bad input is exit 3, named by file, row and column") {
  const SmallJob job;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(job.file(name), std::ios::binary) << text;
    return job.file(name);
  };
  const auto training = [&](const std::string& data) { return Arguments{"train", "--data", data, "--model", "demo", "--out", job.file("out")}; };
  const std::string no_column = write("no_column.csv", "id,text,summary\n1,a,b\n");
  const std::string short_row = write("short_row.csv", "id,dialogue,summary\n1,a,b\n2,c\n");
  const std::string twice = write("twice.csv", "id,dialogue\n1,a\n2,b\n1,c\n");
  const std::string empty = write("empty.csv", "id,dialogue,summary\n");
  job.train("trained", {"--steps", "1"});
  const Arguments checkpoint{"--checkpoint", job.file("trained/checkpoint")};

  for (const Mistake& mistake : {Mistake{training(job.file("none.csv")), 3, {"none.csv"}},
                                 {training(no_column), 3, {"no_column.csv:1", "\"dialogue\""}},
                                 {training(short_row), 3, {"short_row.csv:3", "2 fields, 3 expected"}},
                                 {training(empty), 3, {"empty.csv"}},
                                 {training(job.data()) + Arguments{"--tokenizer", job.file("none")}, 3, {"none"}},
                                 {training(job.data()) + Arguments{"--init", job.file("none")}, 3, {"none", "--init"}},
                                 {{"predict", "--data", job.data(), "--checkpoint", job.file("none")}, 3, {"none", "--checkpoint"}},
                                 {{"predict", "--data", job.data(), "--out", job.file("none")}, 3, {"none", "train first"}},
                                 {Arguments{"predict", "--data", twice} + checkpoint, 3, {"twice.csv:4", "line 2"}},
                                 {Arguments{"evaluate", "--data", twice} + checkpoint, 3, {"twice.csv:1", "\"summary\""}},
                                 {Arguments{"generate"} + checkpoint, 3, {"stdin:2", "JSON"}, "{\"prompt\":\"Hi\"}\nHi\n"},
                                 {Arguments{"generate"} + checkpoint, 3, {"stdin:1", "\"dialogue\""}, "{\"text\":\"Hi\"}\n"},
                                 {Arguments{"score"} + checkpoint, 3, {"stdin:1", "\"summary\""}, "{\"dialogue\":\"Hi\"}\n"},
                                 {{"tokenize", "--tokenizer", job.file("none")}, 3, {"none"}},
                                 {{"tokenize", "--decode", "--tokenizer", job.file("trained/checkpoint")}, 3, {"stdin:1", "99999"}, "[99999]\n"},
                                 {{"report", "--out", job.file("none")}, 3, {"none", "--out"}},
                                 {{"report", "--out", job.file("trained/checkpoint")}, 3, {"trained/checkpoint", "metrics.jsonl"}},
                                 {{"rouge"}, 3, {"stdin:1", "\"prediction\""}, "{\"reference\":\"a\"}\n"}})
    check(mistake);
}

TEST_CASE("a damaged checkpoint is exit 3, named by file") {
  const SmallJob job;
  job.train("trained", {"--steps", "1"});
  const auto checkpoint = job.folder() / "trained/checkpoint";
  const Arguments predict{"predict", "--data", job.data(), "--limit", "1", "--output", job.file("submission.csv"), "--checkpoint", checkpoint.string()};
  const auto damaged = [&](const char* name, const std::string& content, std::vector<std::string> words) {
    const std::string whole = content_of(checkpoint / name);
    std::ofstream(checkpoint / name, std::ios::binary) << content;
    check({predict, 3, std::move(words)});
    std::ofstream(checkpoint / name, std::ios::binary) << whole;
  };
  const std::string weights = content_of(checkpoint / "model.safetensors");
  damaged("model.safetensors", weights.substr(0, weights.size() / 2), {"model.safetensors"});
  damaged("config.json", "{", {"config.json", "JSON"});
  damaged("config.json", R"({"model_type":"llama"})", {"config.json", "llama"});
  damaged("vocab.json", "[]", {"vocab.json"});
  const std::string merges = content_of(checkpoint / "merges.txt");
  damaged("merges.txt", merges + "nonsense\n", {"merges.txt"});
  std::filesystem::remove(checkpoint / "model.safetensors");
  check({predict, 3, {"model.safetensors"}});
}

TEST_CASE("no such device is exit 4; nowhere to write is exit 6") {
  const SmallJob job;
  const Arguments train{"train", "--data", job.data(), "--model", "demo"};
  check({train + Arguments{"--device", "cuda", "--out", job.file("out")}, 4, {"cuda"}});
  check({{"plan", "--device", "cuda", "--model", "demo"}, 4, {"cuda"}});
  check({train + Arguments{"--out", job.file("train.csv/out")}, 6, {"train.csv/out", "--out"}});
}
