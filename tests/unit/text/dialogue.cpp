#include "terse/text/dialogue.hpp"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/files.hpp"

using namespace terse;

namespace {

/// A token a byte; 256 ends the text.
struct Bytes {
  std::vector<TokenId> encode(std::string_view text) const {
    std::vector<TokenId> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  TokenId end_of_text() const { return 256; }
};

std::string decoded(const std::vector<TokenId>& ids) {
  std::string text;
  for (const TokenId id : ids) text += id == 256 ? "<end>" : std::string(1, static_cast<char>(id));
  return text;
}

text::Dialogues dialogues(std::vector<std::pair<std::string, std::string>> rows) {
  text::Dialogues made{"train.csv", {}};
  for (auto& [dialogue, summary] : rows) {
    const auto line = static_cast<std::int64_t>(made.rows.size() + 2);
    made.rows.push_back({"row_" + std::to_string(line - 2), dialogue, summary, line});
  }
  return made;
}

}  // namespace

TEST_CASE("a sample is markers, dialogue, summary and the end of text, nothing trimmed") {
  const auto made = text::make_samples(Bytes{}, dialogues({{" hi\r\nthere ", "They greet. "}}), 1024);
  REQUIRE(made.samples.size() == 1);
  const auto& sample = made.samples[0];
  CHECK(decoded(sample.ids) == "\n\n### DIALOGUE:\n\n hi\r\nthere \n\n### SUMMARY:\n\nThey greet. <end>");
  CHECK(sample.prompt == std::string("\n\n### DIALOGUE:\n\n hi\r\nthere \n\n### SUMMARY:\n\n").size());
  CHECK(sample.tokens() == sample.ids.size() - 1);
  CHECK(sample.targets() == std::string("They greet. ").size() + 1);
  CHECK(made.warning("train.csv").empty());
}

TEST_CASE("a long dialogue loses its end; a sample that just fits stays whole") {
  const std::size_t markers = text::dialogue_marker.size() + text::summary_marker.size(), context = 100;
  const std::string summary(20, 's');
  const std::string fits(context - markers - 21, 'd');
  const auto made = text::make_samples(Bytes{}, dialogues({{fits, summary}, {fits + "xyz", summary}}), context);
  REQUIRE(made.samples.size() == 2);
  CHECK(made.cut == 1);
  CHECK(made.samples[0].ids == made.samples[1].ids);
  CHECK(made.samples[1].ids.size() == context);
  CHECK(decoded(made.samples[1].ids).ends_with("d\n\n### SUMMARY:\n\n" + summary + "<end>"));
}

TEST_CASE("empty rows and long summaries are skipped, counted and told once") {
  const std::string long_dialogue(200, 'd');
  const auto made = text::make_samples(
      Bytes{}, dialogues({{"d", "s"}, {"", "s"}, {"d", " \n"}, {long_dialogue, std::string(30, 's')}, {long_dialogue, std::string(29, 's')}}), 100);
  REQUIRE(made.samples.size() == 2);
  CHECK(made.samples[0].row == 0);
  CHECK(made.samples[1].row == 4);  // 29 and the end of text are 30% of 100
  CHECK(made.empty == 2);
  CHECK(made.too_long == 1);
  CHECK(made.warning("train.csv") ==
        "train.csv: 3 of 5 rows skipped (2 with an empty dialogue or summary, 1 too long for the context with a summary over 30% "
        "of it); the first is at line 3");
}

TEST_CASE("a context without room for the markers is refused") {
  CHECK_THROWS_AS(text::make_samples(Bytes{}, dialogues({{std::string(50, 'd'), "s"}}), 30), Error);
}

TEST_CASE("prompts are those trained on, and none is dropped") {
  const auto rows = dialogues({{"first", ""}, {"", ""}, {std::string(500, 'd'), ""}});
  const auto prompts = text::make_prompts(Bytes{}, rows, 80);
  REQUIRE(prompts.size() == 3);
  CHECK(decoded(prompts[0]) == "\n\n### DIALOGUE:\n\nfirst\n\n### SUMMARY:\n\n");
  CHECK(prompts[1].empty());
  CHECK(prompts[2].size() == 80);
  CHECK(decoded(prompts[2]).ends_with("d\n\n### SUMMARY:\n\n"));
}

TEST_CASE("rows are read by column name; others are ignored") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "test.csv";
  std::ofstream(file, std::ios::binary) << "summary2,dialogue,id\nx,\"a\r\nb\",t_0\ny,,t_1\n";
  const auto read = text::read_dialogues(file, {.summary = false});
  REQUIRE(read.rows.size() == 2);
  CHECK(read.rows[0].id == "t_0");
  CHECK(read.rows[0].text == "a\r\nb");
  CHECK(read.rows[0].summary.empty());
  CHECK(read.rows[1].line == 4);
  CHECK_THROWS_WITH(text::read_dialogues(file), Catch::Contains("no column \"summary\"; the columns are: summary2, dialogue, id"));

  std::ofstream(file, std::ios::binary) << "id,dialogue\na,x\na,y\n";
  CHECK_THROWS_WITH(text::read_dialogues(file, {.summary = false}), Catch::Contains("test.csv:3: id \"a\" is already at line 2"));
  std::ofstream(file, std::ios::binary) << "id,dialogue\n";
  CHECK_THROWS_WITH(text::read_dialogues(file, {.summary = false}), Catch::Contains("test.csv: no rows after the header"));
}

TEST_CASE("the split is 5% by default rounding, disjoint, drawn by the seed") {
  const auto drawn = text::split(1010, 0.05, 42), again = text::split(1010, 0.05, 42), other = text::split(1010, 0.05, 43);
  CHECK(drawn.validation.size() == 51);  // 50.5
  CHECK(drawn.training.size() == 959);
  CHECK(drawn.validation == again.validation);
  CHECK(drawn.validation != other.validation);
  auto all = drawn.training;
  all.insert(all.end(), drawn.validation.begin(), drawn.validation.end());
  std::sort(all.begin(), all.end());
  for (std::uint32_t i = 0; i < 1010; ++i) CHECK(all[i] == i);

  const auto in_order = text::split(100, 0.05, 42, false);
  CHECK(in_order.validation == std::vector<std::uint32_t>{0, 1, 2, 3, 4});
  CHECK(in_order.training.front() == 5);
  CHECK(text::split(3, 0, 1).validation.empty());
  CHECK_THROWS_AS(text::split(10, 1.0, 1), Error);
}

TEST_CASE("permutations reach every order") {
  std::vector<int> seen(24, 0);
  for (std::uint64_t epoch = 0; epoch < 2400; ++epoch) {
    std::vector<std::uint32_t> order;
    text::permute(order, 4, RandomStream(7, RandomUse::shuffle, epoch));
    std::vector<std::uint32_t> current(4);
    std::iota(current.begin(), current.end(), 0u);
    std::size_t number = 0;
    while (current != order) std::next_permutation(current.begin(), current.end()), ++number;
    ++seen[number];
  }
  // 100 of each expected, 10 the standard deviation.
  CHECK(*std::min_element(seen.begin(), seen.end()) > 60);
  CHECK(*std::max_element(seen.begin(), seen.end()) < 140);
}
