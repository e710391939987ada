#include <tuple>

#include "mistake.hpp"

namespace {

const std::vector<std::string> commands{"demo", "train", "run", "evaluate", "predict", "generate", "score", "tokenize", "rouge", "plan", "report", "explain", "doctor", "compare"};

}  // namespace

TEST_CASE("without arguments: a short help; --help everywhere") {
  const auto nothing = succeed({});
  CHECK(nothing.out.find("terse-summarize demo") != std::string::npos);
  CHECK(nothing.out.find("terse-summarize run --data") != std::string::npos);
  CHECK(lines_of(nothing.out).size() < 10);
  for (const char* help : {"-h", "--help"}) {
    const auto general = succeed({help});
    CHECK(general.err.empty());
    CHECK(general.out.find("Models compiled in: ") != std::string::npos);
    for (const auto& command : commands) {
      INFO(command);
      CHECK(general.out.find(command) != std::string::npos);
      const auto own = succeed({command, help});
      CHECK(own.err.empty());
      CHECK(own.out.find("--") != std::string::npos);
      CHECK(own.out.find("Usage: terse-summarize " + command) != std::string::npos);
    }
  }
}

TEST_CASE("a program of another name says its own") {
  const TemporaryFolder folder;
  const auto program = (folder.path() / "my-summarizer").string();
  std::filesystem::create_symlink(TERSE_SUMMARIZE, program);
  const auto mistaken = Running(program, {"evalaute"}).wait();
  CHECK(mistaken.code == 2);
  CHECK(mistaken.err == "my-summarizer: error: no command \"evalaute\"; did you mean evaluate? my-summarizer --help lists all\n");
  CHECK(Running(program, {}).wait().out.find("  my-summarizer run --data") != std::string::npos);
  CHECK(Running(program, {"plan", "--help"}).wait().out.find("Usage: my-summarizer plan") != std::string::npos);
}

TEST_CASE("settings that fit the data badly: epochs are said, and a warmup that takes all steps is a warning") {
  const SmallJob job;
  const auto good = job.train("good", {"--steps", "4", "--ranks", "2", "--warmup", "2"}).err;
  CHECK(good.find("iterations: 4 (0.4 epochs)") != std::string::npos);  // 4 steps of 4 samples, of 38
  CHECK(good.find(" (the model has room for 1024)") != std::string::npos);
  CHECK(good.find("--warmup") == std::string::npos);
  const auto slow = job.train("slow", {"--steps", "1", "--ranks", "1", "--warmup", "100"}).err;
  CHECK(slow.find("terse-summarize: warning: --warmup 100 of --steps 1: the learning rate never reaches 0.002; give --warmup 0\n") != std::string::npos);
}

TEST_CASE("what was meant is suggested, and where an option belongs is said") {
  const Arguments train{"train", "--data", "train.csv"};
  for (const Mistake& mistake : {Mistake{{"frobnicate"}, 2, {"no command \"frobnicate\"; try terse-summarize --help"}},
                                 {{"evalaute"}, 2, {"no command \"evalaute\"; did you mean evaluate?"}},
                                 {{""}, 2, {"no command \"\"; try"}},
                                 {train + Arguments{"--stpes", "3"}, 2, {"train has no option --stpes; did you mean --steps? terse-summarize train --help lists all"}},
                                 {train + Arguments{"--acumulate=3"}, 2, {"no option --acumulate; did you mean --accumulate?"}},
                                 {train + Arguments{"--evaluate-s", "3"}, 2, {"did you mean --evaluate-samples?"}},
                                 {train + Arguments{"--frobnicate", "3"}, 2, {"train has no option --frobnicate; try terse-summarize train --help"}},
                                 {train + Arguments{"-steps", "3"}, 2, {"-steps is written with two dashes: --steps"}},
                                 {{"predict", "--data", "a.csv", "--accumulate", "3"}, 2, {"--accumulate isn't an option of predict but of train, run and plan"}},
                                 {{"--data", "train.csv", "train"}, 2, {"\"--data\" stands before a command"}},
                                 {train + Arguments{"--steps", "3", "--steps", "4"}, 2, {"--steps is given twice"}},
                                 {train + Arguments{"--strict", "--strict"}, 2, {"--strict is given twice"}},
                                 {train + Arguments{"out"}, 2, {"\"out\" belongs to no option"}},
                                 {{"train", "--data"}, 2, {"--data lacks its value"}},
                                 {{"train", "--data", ""}, 2, {"--data lacks its value: it is empty"}},
                                 {{"train", "--data="}, 2, {"--data lacks its value: it is empty"}},
                                 {{"train", "--data", "--steps", "3"}, 2, {"--data lacks its value: --steps follows"}},
                                 {{"train"}, 2, {"--data is required", "terse-summarize train --help"}}})
    check(mistake);
}

TEST_CASE("numbers out of range are exit 2, and nothing is begun") {
  const SmallJob job;
  const Arguments train{"train", "--data", job.data(), "--model", "demo", "--out", job.file("out")};
  for (const auto& value : {"0", "-1", "nan", "inf", "1e400", "1.5", "0x10", "65537", "many", "99999999999999999999"})
    check({train + Arguments{"--batch", value}, 2, {"--batch: \"" + std::string(value) + "\" isn't a whole number from 1 to 65536"}});
  for (const auto& option : {"--lr", "--min-lr", "--weight-decay", "--beta1", "--beta2", "--clip", "--dropout", "--label-smoothing", "--r-drop", "--ema", "--validation-split"})
    for (const auto& value : {"nan", "-0.1", "1e400"}) check({train + Arguments{terse::concat(option, "=", value)}, 2, {terse::concat(option, ": \"", value, "\" isn't a number from 0 to ")}});
  const std::string whole = "isn't a whole number from";
  for (const Mistake& mistake : {Mistake{train + Arguments{"--steps", "4611686018427387904"}, 2, {"--steps", whole}},
                                 {train + Arguments{"--steps", "1000000000"}, 2, {"--steps 1000000000 x --batch 16", "more than 4294967296 samples"}},
                                 {train + Arguments{"--ranks", "0"}, 2, {"--ranks", whole}},
                                 {train + Arguments{"--threads", "-1"}, 2, {"--threads", whole}},
                                 {train + Arguments{"--ranks", "1024", "--threads", "4096"}, 2, {"more than 4096 threads"}},
                                 {train + Arguments{"--accumulate", "0"}, 2, {"--accumulate", whole}},
                                 {train + Arguments{"--warmup", "-1"}, 2, {"--warmup", whole}},
                                 {train + Arguments{"--evaluate-every", "-1"}, 2, {"--evaluate-every", whole}},
                                 {train + Arguments{"--log-every", "0"}, 2, {"--log-every", whole}},
                                 {train + Arguments{"--seed", "18446744073709551616"}, 2, {"--seed", whole}},
                                 {train + Arguments{"--shuffle", "maybe"}, 2, {"--shuffle", "maybe"}},
                                 {train + Arguments{"--dropout", "1"}, 2, {"--dropout"}},
                                 {train + Arguments{"--layer-decay", "0"}, 2, {"--layer-decay: \"0\" isn't a number from 1e-06 to 1"}},
                                 {train + Arguments{"--layer-decay", "1.1"}, 2, {"--layer-decay: \"1.1\" isn't a number from 1e-06 to 1"}},
                                 {train + Arguments{"--ema", "1"}, 2, {"--ema: \"1\" isn't a number from 0 to 0.999999"}},
                                 {train + Arguments{"--r-drop", "1", "--dropout", "0"}, 2, {"--r-drop 1: without --dropout", "leave out --r-drop"}},
                                 {train + Arguments{"--label-smoothing", "1"}, 2, {"--label-smoothing: \"1\" isn't a number from 0 to 0.999999"}},
                                 {train + Arguments{"--normalisation", "none"}, 2, {"--normalisation"}},
                                 {train + Arguments{"--precision", "fp8"}, 2, {"--precision"}},
                                 {train + Arguments{"--validation-split", "0.999"}, 2, {"--validation-split 0.999 leaves no sample"}},
                                 {{"train", "--data", job.data(), "--model", "gpt5"}, 2, {"--model gpt5 ", " isn't compiled in, only ", "(fp32", "; choose one of these"}},
                                 {{"train", "--data", job.data(), "--model", "tiny"}, 2, {"tiny"}}})
    check(mistake);
  const Arguments predict{"predict", "--data", job.data(), "--out", job.file("out")};
  for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{{"--temperature", "nan"}, {"--temperature", "0"}, {"--temperature", "inf"}, {"--top-k", "-1"}, {"--top-p", "1.1"},
                                                                                     {"--top-p", "nan"}, {"--max-new", "0"}, {"--decode-batch", "0"}, {"--limit", "-1"}})
    check({predict + Arguments{option, value}, 2, {option.substr(2)}});
  CHECK_FALSE(std::filesystem::exists(job.file("out")));
}

TEST_CASE("a --config is read as strictly as the command line") {
  const SmallJob job;
  for (const auto& [text, code, words] : std::vector<std::tuple<std::string, int, std::string>>{
           {"{\"steps\": 3", 3, "not JSON"},
           {"[3]", 3, "not a JSON object of options"},
           {"{\"a\":" + std::string(1'000'000, '['), 3, "nested more than 16 deep"},
           {"{\"steps\": 1e999}", 3, "a number too large"},
           {"{\"steps\": 3, \"steps\": 4}", 3, "\"steps\" stands twice"},
           {"{\"stpes\": 3}", 2, "no option \"stpes\" of terse-summarize train; did you mean \"steps\"?"},
           {"{\"config\": \"other.json\"}", 2, "no option \"config\""},
           {"{\"steps\": 0}", 2, "--steps: \"0\" isn't a whole number from 1 to 1000000000"},
           {"{\"steps\": 1.5}", 2, "--steps: \"1.5\""},
           {"{\"lr\": \"nan\"}", 2, "--lr: \"nan\" isn't a number from 0 to"},
           {"{\"batch\": [2]}", 2, "\"batch\" must be a string, a number, true or false"},
           {"{\"steps\": 1000000000, \"batch\": 65536}", 2, "are more than 4294967296 samples"}}) {
    const auto file = write(job, "config.json", text);
    check({{"train", "--config", file, "--data", job.data(), "--model", "demo", "--out", job.file("out")}, code, {words}});
  }
  check({{"train", "--config", job.file("none.json"), "--data", job.data()}, 3, {"none.json: cannot be read: No such file"}});
  CHECK_FALSE(std::filesystem::exists(job.file("out")));
}

TEST_CASE("8-bit weights only write texts") {
  const SmallJob job;
  const Arguments int8{"--precision", "int8"};
  for (const std::string command : {"train", "run"})
    check({Arguments{command, "--data", job.data(), "--model", "demo", "--out", job.file("out")} + int8, 2, {"--precision int8: ", "trained beside them (--lora); give " + command + " another precision"}});
  check({Arguments{"score", "--data", job.data()} + int8, 2, {"give score another precision"}});
  check({Arguments{"plan", "--model", "demo"} + int8, 2, {"give plan another precision"}});
  check({Arguments{"predict", "--data", job.data(), "--device", "cuda"} + int8, 2, {"use --device cpu"}});
  check({{"train", "--config", write(job, "config.json", "{\"precision\": \"int8\"}"), "--data", job.data(), "--model", "demo"}, 2, {"give train another precision"}});
  CHECK_FALSE(std::filesystem::exists(job.file("out")));
}

TEST_CASE("no such device is exit 4") {
  const SmallJob job;
  check({{"train", "--data", job.data(), "--model", "demo", "--device", "cuda", "--out", job.file("out")}, 4, {"cuda", "--device cpu"}});
  check({{"plan", "--device", "cuda", "--model", "demo"}, 4, {"cuda"}});
  CHECK_FALSE(std::filesystem::exists(job.file("out")));
}
