#include "terse/text/synthetic.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "terse/metrics/rouge.hpp"

using namespace terse;
using text::SyntheticPart;

namespace {

std::vector<text::SyntheticDialogue> draw(std::size_t count, std::uint64_t seed) {
  const auto stories = text::synthetic::stories();
  RandomStream random(seed, RandomUse::synthesize);
  std::vector<text::SyntheticDialogue> drawn;
  while (drawn.size() < count) drawn.push_back(text::draw_dialogue(stories, random));
  return drawn;
}

}  // namespace

TEST_CASE("a dialogue can be read, and says that it is synthetic") {
  for (const auto& row : text::synthesize(500, 1, SyntheticPart::training)) {
    INFO(row.text);
    CHECK(row.id.starts_with("synthetic_"));
    CHECK((row.text + row.summary).find_first_of("{}") == std::string::npos);
    CHECK(std::count(row.text.begin(), row.text.end(), '\n') >= 6);
    CHECK(row.text.find(": ") != std::string::npos);
    CHECK(row.summary.ends_with("."));
  }
}

TEST_CASE("the same seed gives the same dialogues, another seed others") {
  const auto first = text::synthesize(200, 42, SyntheticPart::test), again = text::synthesize(200, 42, SyntheticPart::test);
  const auto other = text::synthesize(200, 43, SyntheticPart::test);
  std::size_t equal = 0;
  for (std::size_t i = 0; i < 200; ++i) {
    CHECK(first[i].text == again[i].text);
    CHECK(first[i].summary == again[i].summary);
    equal += first[i].text == other[i].text;
  }
  CHECK(equal == 0);
  // A longer set begins with the shorter one.
  CHECK(text::synthesize(300, 42, SyntheticPart::test)[199].text == first[199].text);
}

TEST_CASE("no two parts share people, doing and place") {
  std::map<std::string, SyntheticPart> parts;
  std::map<SyntheticPart, int> sizes;
  for (const auto& drawn : draw(50'000, 9)) {
    const auto part = text::part_of(drawn.combination);
    ++sizes[part];
    CHECK(parts.emplace(drawn.combination, part).first->second == part);
  }
  CHECK(sizes[SyntheticPart::training] > 39'000);
  CHECK(sizes[SyntheticPart::validation] > 4'000);
  CHECK(sizes[SyntheticPart::test] > 4'000);

  std::set<std::string> seen;  // and so no dialogue and no summary
  for (const auto& row : text::synthesize(30'000, 42, SyntheticPart::training)) seen.insert(row.text), seen.insert(row.summary);
  for (const auto part : {SyntheticPart::validation, SyntheticPart::test})
    for (const auto& row : text::synthesize(1000, 42, part)) {
      CHECK(seen.count(row.text) == 0);
      CHECK(seen.count(row.summary) == 0);
    }
}

TEST_CASE("there are thousands of forms, and each dialogue differs") {
  std::set<std::string> forms, texts;
  for (const auto& drawn : draw(20'000, 3)) forms.insert(drawn.form), texts.insert(drawn.dialogue.text);
  CHECK(forms.size() > 10'000);
  CHECK(texts.size() > 19'990);
}

TEST_CASE("what a summary says stands in the dialogue") {
  for (const auto& row : text::synthesize(2000, 5, SyntheticPart::training)) {
    std::string word;
    INFO(row.text << " => " << row.summary);
    for (const char c : row.summary + " ") {
      if (std::isdigit(static_cast<unsigned char>(c)) || c == ':') {
        word += c;
      } else if (!word.empty()) {
        CHECK(row.text.find(word) != std::string::npos);
        word.clear();
      }
    }
    const std::string speaker = row.text.substr(0, row.text.find(':'));
    CHECK(row.summary.find(speaker) != std::string::npos);
  }
}

TEST_CASE("the first line gives nothing away") {
  metrics::RougeScorer scorer;
  double sum = 0;
  const auto rows = text::synthesize(1000, 42, SyntheticPart::validation);
  for (const auto& row : rows) sum += scorer(row.summary, row.text.substr(0, row.text.find('\n'))).rouge1.f1;
  CHECK(sum / 1000 < 0.15);
}
