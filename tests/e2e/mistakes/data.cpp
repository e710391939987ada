#include "mistake.hpp"

TEST_CASE("a CSV with a mistake is exit 3, named by file, row and column; nothing is begun") {
  const SmallJob job;
  const std::string header = "id,dialogue,summary\n";
  std::string utf16;
  for (const char c : header) utf16 += c, utf16 += '\0';
  std::filesystem::create_directory(job.file("folder.csv"));
  int number = 0;
  for (const auto& [text, words] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"", {"is empty", "name the columns"}},
           {header, {"no rows after the header"}},
           {"1,a,b\n", {":1: no column \"id\"; the columns are: 1, a, b"}},
           {"id,text,summary\n1,a,b\n", {":1: no column \"dialogue\"; the columns are: id, text, summary"}},
           {"id,dialogue,summary,summary\n1,a,b,c\n", {":1: column \"summary\" is there twice"}},
           {header + "1,\"a\nb\",\"c\"\n2,\"d\ne,f\n3,g,h\n", {":4: the quote opened at byte 3 is never closed"}},
           {header + "1,\"a,b\n2,\"c\",d\n", {":3: byte 4: text after a closing quote, which was opened at line 2"}},
           {"id;dialogue;summary\n1;\"a\";\"b\"\n", {":1: fields are separated by semicolons; save the file with commas"}},
           {header + "1,a,b\n2,c\n", {":3: \"summary\" is missing: 2 fields, 3 expected"}},
           {header + "1,a, b, c\n", {":2: 4 fields, 3 expected"}},
           {header + "1,a,b\n2,c,d\n1,e,f\n", {":4: id \"1\" is already at line 2"}},
           {header + std::string("1,a\0b,c\n", 8), {":2: byte 4: a NUL byte"}},
           {header + "1,caf\xE9,b\n", {":2: byte 6: not UTF-8", "iconv"}},
           {"\xFF\xFE" + utf16, {"is UTF-16"}},
           {header + "1,,\n2,a,\n", {"2 of 2 rows skipped", "none is left"}}}) {
    const auto file = write(job, terse::concat(++number, ".csv"), text);
    auto all = words;
    all.push_back(file);
    check({{"train", "--data", file, "--model", "demo", "--out", job.file("out")}, 3, all});
  }
  check({{"train", "--data", job.file("none.csv"), "--model", "demo", "--out", job.file("out")}, 3, {"none.csv: cannot be read: No such file"}});
  check({{"train", "--data", job.file("folder.csv"), "--model", "demo", "--out", job.file("out")}, 3, {"folder.csv: cannot be read: Is a directory"}});
  check({{"train", "--data", std::string(5000, 'a'), "--model", "demo", "--out", job.file("out")}, 3, {"File name too long"}});
  CHECK_FALSE(std::filesystem::exists(job.file("out")));
}

TEST_CASE("a byte order mark and line ends of CR are no mistakes") {
  const SmallJob job;
  const std::string rows = "id,dialogue,summary\na,Hello there,Hi\nb,What now,Next\nc,Well well,Good\nd,Yes please,Thanks\n";
  std::string old_mac = rows;
  std::replace(old_mac.begin(), old_mac.end(), '\n', '\r');
  int number = 0;
  for (const auto& text : {"\xEF\xBB\xBF" + rows, old_mac}) {
    const auto file = write(job, terse::concat(++number, ".csv"), text);
    const auto result = job.train(terse::concat("out", number), {"--steps", "1", "--data", file, "--ranks", "1", "--validation-split", "0.25"});
    CHECK(result.err.find("samples: 3 to train on, 1 to validate with") != std::string::npos);
  }
}

TEST_CASE("rows without text: a warning; an error with --strict, before anything is begun; a prediction keeps them") {
  const SmallJob job;
  const auto blank = write(job, "blank.csv", content_of(job.data()) + "x1,,a\nx2,b,\nx3, ,c\n");
  const Arguments with_blank = job.training("out", {"--steps", "1", "--ranks", "1", "--data", blank});
  const auto end = static_cast<long>(lines_of(content_of(job.data())).size());
  check({with_blank + Arguments{"--strict"}, 3, {"3 of 43 rows skipped", terse::concat("the first is at line ", end + 1), "--strict"}});
  CHECK_FALSE(std::filesystem::exists(job.file("out")));
  CHECK(succeed(with_blank).err.find("warning: " + blank + ": 3 of 43 rows skipped") != std::string::npos);
  const Arguments checkpoint{"--checkpoint", job.file("out/checkpoint"), "--max-new", "3", "--ranks", "1"};

  const auto test = write(job, "test.csv", "id,dialogue\n1,a\n2,\n3,b\n");
  const Arguments predict = Arguments{"predict", "--data", test, "--output", job.file("submission.csv")} + checkpoint;
  check({predict + Arguments{"--strict"}, 3, {test, "1 of 3 rows have an empty dialogue", "line 3"}});
  CHECK_FALSE(std::filesystem::exists(job.file("submission.csv")));
  CHECK(succeed(predict).err.find("warning: " + test) != std::string::npos);
  const auto submission = lines_of(content_of(job.file("submission.csv")));
  REQUIRE(submission.size() == 4);
  CHECK(submission[2] == "2,");

  const auto judged = write(job, "judged.csv", "id,dialogue,summary\n1,a,b\n2,c,\n3,d,e\n");
  const Arguments evaluate = Arguments{"evaluate", "--data", judged, "--output", job.file("evaluation.json")} + checkpoint;
  check({evaluate + Arguments{"--strict"}, 3, {judged, "1 of 3 rows skipped", "line 3"}});
  CHECK(succeed(evaluate).err.find("warning: " + judged) != std::string::npos);
  CHECK(json::parse(content_of(job.file("evaluation.json")))["samples"] == 2);

  const auto twice = write(job, "twice.csv", "id,dialogue,summary\n1,a,b\n1,c,d\n");
  const auto empty = write(job, "empty.csv", "id,dialogue,summary\n");
  for (const char* command : {"predict", "evaluate", "score", "generate"}) {
    check({Arguments{command, "--data", twice, "--output", job.file("none")} + checkpoint, 3, {twice + ":3: id \"1\" is already at line 2"}});
    check({Arguments{command, "--data", empty, "--output", job.file("none")} + checkpoint, 3, {empty + ": no rows after the header"}});
  }
  CHECK_FALSE(std::filesystem::exists(job.file("none")));
}

TEST_CASE("lines of stdin that aren't what they should be are exit 3, named by their number") {
  const SmallJob job;
  job.train("trained", {"--steps", "1", "--ranks", "1"});
  const Arguments checkpoint{"--checkpoint", job.file("trained/checkpoint"), "--max-new", "2"};
  const Arguments generate = Arguments{"generate"} + checkpoint, score = Arguments{"score"} + checkpoint;
  const Arguments decode{"tokenize", "--decode", "--tokenizer", job.file("trained/checkpoint")};
  const std::string deep = std::string(1'000'000, '[');
  for (const Mistake& mistake : {Mistake{generate, 3, {"stdin:2: not JSON (byte 1)"}, "{\"prompt\":\"Hi\"}\nHi\n"},
                                 {generate, 3, {"stdin:1: a list, a JSON object expected"}, "[\"Hi\"]\n"},
                                 {generate, 3, {"stdin:1: \"dialogue\" is missing"}, "{\"text\":\"Hi\"}\n"},
                                 {generate, 3, {"stdin:1: \"prompt\" is 7, a string expected"}, "{\"prompt\":7}"},
                                 {generate, 3, {"stdin:1: \"prompt\" stands twice"}, "{\"prompt\":\"a\",\"prompt\":\"b\"}\n"},
                                 {generate, 3, {"stdin:1: \"id\" is 1.23", "a string or a whole number"}, "{\"id\":123456789012345678901234567890,\"prompt\":\"a\"}\n"},
                                 {generate, 3, {"stdin:1: \"id\" is a list"}, "{\"id\":[1],\"prompt\":\"a\"}\n"},
                                 {generate, 3, {"stdin:1: not JSON"}, std::string("{\"prompt\":\"a\0b\"}\n", 17)},
                                 {generate, 3, {"stdin:1: not JSON"}, "{\"prompt\":\"\xFF\"}\n"},
                                 {generate, 3, {"stdin:1: nested more than 16 deep"}, "{\"id\":" + deep + "\n"},
                                 {generate, 3, {"stdin:1: holds a number too large"}, "{\"id\":1e999,\"prompt\":\"a\"}\n"},
                                 {generate, 3, {"stdin:1: \"prompt\" has ", "fit before --max-new 2"}, "{\"prompt\":\"" + std::string(5000, 'x') + "\"}\n"},
                                 {score, 3, {"stdin:1: \"summary\" is missing"}, "{\"dialogue\":\"Hi\"}\n"},
                                 {{"rouge"}, 3, {"stdin:1: \"prediction\" is missing"}, "{\"reference\":\"a\"}\n"},
                                 {{"rouge"}, 3, {"stdin:1: not JSON"}, "{\"reference\":\"a\"\n"},
                                 {{"rouge", "--mean"}, 3, {"stdin: no pairs"}, ""},
                                 {decode, 3, {"stdin:1: not JSON"}, "[1,\n"},
                                 {decode, 3, {"stdin:1: an object, a JSON array of ids expected"}, "{}\n"},
                                 {decode, 3, {"stdin:1: 99999 isn't an id"}, "[99999]\n"},
                                 {decode, 3, {"stdin:1: 9223372036854775808 isn't an id"}, "[9223372036854775808]\n"},
                                 {decode, 3, {"stdin:1: 1.5 isn't an id"}, "[1.5]\n"},
                                 {decode, 3, {"stdin:1: nested more than 16 deep"}, deep}})
    check(mistake);
  CHECK(succeed(generate, "").out.empty());
  CHECK(json_lines_of(succeed(generate, "{\"id\":7,\"prompt\":\"Hi\"}").out).at(0)["id"] == "7");
}
