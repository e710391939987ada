// report.html: the page as a whole, of ordinary runs and of damaged ones.
#include <terse/train/report.hpp>

#include <algorithm>
#include <set>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/html.hpp"
#include "support/messages.hpp"

using namespace terse;
using namespace terse::train;
using Json = nlohmann::ordered_json;

namespace {

const Json evaluation{{"rouge1", 0.42}, {"rouge2", 0.17}, {"rougeL", 0.34}, {"rougeLsum", 0.35}, {"low", {{"rouge1", 0.40}, {"rouge2", 0.15}, {"rougeL", 0.32}, {"rougeLsum", 0.33}}},
                      {"high", {{"rouge1", 0.44}, {"rouge2", 0.19}, {"rougeL", 0.36}, {"rougeLsum", 0.37}}}, {"lead1", {{"rouge1", 0.25}, {"rouge2", 0.06}, {"rougeL", 0.20}, {"rougeLsum", 0.21}}}, {"samples", 500}};

Json step(long number, Json loss) {
  return {{"step", number}, {"loss", loss}, {"grad_norm", 1.5}, {"lr", 3e-4}, {"scale", 1}, {"skipped", loss.is_null()}, {"samples", 4}, {"tokens", 1000}, {"targets", 90}, {"ms", 100.0},
          {"parts", {{"data", 1.0}, {"forward_backward", 80.0}, {"reduce", 4.0}, {"optimizer", 5.0}}}};
}

class Run {
 public:
  void write(const char* name, const std::string& content) const { io::write_file(folder_.path() / name, content); }
  void write_steps(long count) const {
    std::string lines;
    for (long s = 1; s <= count; ++s) lines += step(s, 10.0 / static_cast<double>(s) + 2).dump() + "\n";
    write("metrics.jsonl", lines);
  }
  std::string report() const {
    REQUIRE(write_report(folder_.path()));
    return io::read_file(folder_.path() / "report.html");
  }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

ParsedHtml parsed(const std::string& page) {
  auto html = parse_html(page);
  CHECK(html.mistake == "");
  CHECK(std::set<std::string>(html.ids.begin(), html.ids.end()).size() == html.ids.size());
  CHECK(asks_outside(page) == "");
  return html;
}

}  // namespace

TEST_CASE("a whole run: every part, in words too") {
  const Run run;
  run.write_steps(200);
  run.write("evaluation.json", evaluation.dump());
  run.write("predictions.jsonl", Json{{"id", "a"}, {"dialogue", "#Person1#: Hi.\n#Person2#: Ho."}, {"reference", "They greet."}, {"summary", "They meet."}}.dump() + "\n");
  run.write("run.json", Json{{"model", "demo"}, {"precision", "fp32"}, {"sizes", "2 layers, width 128"}, {"settings", {{"data", "some/train.csv"}, {"steps", 200}}},
                             {"memory_plan", {{"parameters", 1 << 20}, {"gradients", 2 << 20}, {"workspace", 0}, {"total", 3 << 20}}}, {"token_capacity", 2048}, {"finished", true}}.dump());
  const auto html = parsed(run.report());
  for (const char* words : {"2 layers, width 128 \xC2\xB7 fp32", "data: train.csv", "Learning rate", "Gradient norm", "Loss", "mean of 5 steps", "ROUGE-Lsum", "0.3300 \xE2\x80\x93 0.3700", "They greet.", "#Person2#:",
                            "1.00 MiB", "33.3%", "3.00 MiB planned before the first step, for micro-batches of up to 2048 tokens", "forward and backward", "80.0 ms", "other", "10.0 ms", "the mean of 199 steps"}) {
    INFO(words);
    CHECK(contains(html.text, words));
  }
  CHECK(html.elements.count("svg") == 2 * 3 + 3);  // three plots with a box for their lines; ROUGE, memory, time
  CHECK(html.elements.count("desc") == 6);
  CHECK_FALSE(contains(html.text, "workspace"));
  CHECK_FALSE(contains(html.text, "not finite"));
  CHECK_FALSE(contains(html.text, "isn't finished"));
}

TEST_CASE("what isn't there is left out") {
  const Run run;
  CHECK_FALSE(write_report(run.folder()));
  CHECK_FALSE(std::filesystem::exists(run.folder() / "report.html"));
  run.write_steps(1);
  const auto first = parsed(run.report());
  CHECK(contains(first.text, "Loss"));
  for (const char* words : {"ROUGE", "Dialogues", "Memory of", "Settings", "validation"}) CHECK_FALSE(contains(first.text, words));

  std::filesystem::remove(run.folder() / "metrics.jsonl");
  run.write("evaluation.json", evaluation.dump());
  const auto second = parsed(run.report());
  CHECK(contains(second.text, "ROUGE-1"));
  CHECK_FALSE(contains(second.text, "Training"));
}

TEST_CASE("texts are shown, never obeyed") {
  const Run run;
  const std::string hostile = "</p></article><script>alert('1')</script> & &lt; \"quoted\" \xE2\x80\xAE turned \xF0\x9F\x99\x82\n\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D: \xD9\x85\r\nAt 12:30: no speaker\n";
  const std::string broken = std::string("a\xFF\xC3 b\0c\x1B[31m", 11) + std::string(20000, 'x');
  run.write("predictions.jsonl", Json{{"id", "<b>"}, {"dialogue", hostile}, {"summary", hostile}}.dump() + "\n" +
                                     "{\"id\":\"2\",\"dialogue\":\"" + std::string(7000, 'y') + "\",\"summary\":\"s\"}\n");
  run.write("run.json", Json{{"model", "<i>"}, {"sizes", hostile}, {"settings", {{"<u>", hostile}, {"data", "\"><img>"}}}, {"memory_plan", {{"</title>", 5}}}}.dump());
  const auto html = parsed(run.report());
  CHECK(contains(html.text, "<script>alert('1')</script> & &lt; \"quoted\""));
  CHECK(contains(html.text, "(1000 more bytes)"));
  for (const char* element : {"script", "img", "b", "i", "u"}) CHECK(html.elements.count(element) == 0);
  CHECK(report::escape(std::string_view("a\xFF<\0\x1B\n", 6)) == "a\xEF\xBF\xBD&lt;\xEF\xBF\xBD\xEF\xBF\xBD\n");
  CHECK(contains(report::detail::shortened(broken), " more bytes)"));
}

TEST_CASE("a file that breaks off, steps that were done again, losses that are no numbers") {
  const Run run;
  run.write("metrics.jsonl", step(1, 5.0).dump() + "\n" + step(2, 4.0).dump() + "\nnot JSON\n" + step(2, 3.5).dump() + "\n" + step(3, nullptr).dump() + "\n" + step(4, 3.0).dump() + "\n{\"step\": 5, \"lo");
  const auto files = report::read_run(run.folder());
  REQUIRE(files.steps.size() == 4);
  CHECK(files.steps[1].loss == 3.5);
  CHECK(std::isnan(files.steps[2].loss));
  CHECK(files.unreadable == 1);
  const auto html = parsed(run.report());
  CHECK(contains(html.text, "The loss of 1 step was not finite"));
  CHECK(contains(html.text, "1 of 4 steps was skipped"));
  CHECK(contains(html.text, "1 line of the run's files is no JSON object and was left out"));

  run.write("metrics.jsonl", step(1, nullptr).dump() + "\n");
  CHECK_FALSE(contains(parsed(run.report()).text, "nats"));
  run.write("evaluation.json", "[1");
  CHECK(contains(message_of([&] { write_report(run.folder()); }), "evaluation.json: not a JSON object"));
}

TEST_CASE("a hundred thousand steps make no larger page than a thousand do") {
  const Run run;
  run.write_steps(1000);
  const auto small = run.report().size();
  std::string lines;
  for (long s = 1; s <= 100000; ++s) lines += "{\"step\":" + std::to_string(s) + ",\"loss\":" + std::to_string(s % 977) + "e-1,\"lr\":1e-4,\"grad_norm\":1}\n";
  run.write("metrics.jsonl", lines);
  const auto page = run.report();
  CHECK(page.size() < small + 50000);
  parsed(page);
}
