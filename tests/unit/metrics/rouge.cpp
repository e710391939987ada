#include "terse/metrics/rouge.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace terse::metrics;

TEST_CASE("identical texts score 1, disjoint and empty ones 0") {
  for (const char* text : {"The cat sat on the mat.", "one", "a\nb c\nd"}) {
    const auto scores = rouge(text, text);
    CHECK(scores.rouge1.f1 == 1);
    CHECK(scores.rougeL.f1 == 1);
    CHECK(scores.rougeLsum.f1 == 1);
  }
  CHECK(rouge("one two", "three four").rouge1.f1 == 0);
  CHECK(rouge("", "three four").rougeLsum.f1 == 0);
  CHECK(rouge("one two", "").rougeL.precision == 0);
  CHECK(rouge("", "").rouge2.f1 == 0);
}

TEST_CASE("precision divides by the prediction, recall by the reference") {
  const auto scores = rouge("the quick brown fox", "the quick dog");
  CHECK(scores.rouge1.precision == 2.0 / 3);
  CHECK(scores.rouge1.recall == 2.0 / 4);
  CHECK(scores.rouge1.f1 == Approx(4.0 / 7));
  CHECK(scores.rouge2.precision == 1.0 / 2);
  CHECK(scores.rouge2.recall == 1.0 / 3);
  CHECK(scores.rougeL.precision == 2.0 / 3);
}

TEST_CASE("a repeated word counts as often as both have it") {
  const auto scores = rouge("go go go stop", "go go away");
  CHECK(scores.rouge1.precision == 2.0 / 3);
  CHECK(scores.rouge1.recall == 2.0 / 4);
  CHECK(scores.rouge2.recall == 1.0 / 3);
}

TEST_CASE("words match whatever their case and ending") {
  CHECK(rouge("They were SUMMARIZING meetings", "they were summarized meeting").rouge1.f1 == 1);
  CHECK(rouge("it's 3.5", "it s 3 5").rouge1.f1 == 1);
  CHECK(rouge("\xE2\x84\xAA" "elvin", "kelvin").rouge1.f1 == 1);          // U+212A is a k
  CHECK(rouge("\xC4\xB0zmir", "i zmir").rouge1.f1 == 1);                  // U+0130 is an i and a combining dot
  CHECK(rouge("caf\xC3\xA9s", "caf s").rouge1.f1 == 1);                   // other letters separate
  CHECK(rouge("broken \xE2\x84", "broken \xFF").rouge1.f1 == 1);          // invalid UTF-8 too
}

TEST_CASE("the common subsequence crosses words of 64 rows") {
  for (const int words : {63, 64, 65, 127, 128, 129, 1000}) {
    std::string reference, prediction;
    for (int i = 0; i < words; ++i) {
      reference += "w" + std::to_string(i) + " ";
      if (i % 3 != 0) prediction += "w" + std::to_string(i) + " ";
    }
    const auto scores = rouge(reference, prediction);
    CHECK(scores.rougeL.precision == 1);
    CHECK(scores.rougeL.recall == static_cast<double>(words - (words + 2) / 3) / words);
    // Reversed, only one word is in order.
    std::string reversed;
    for (int i = words; i-- > 0;) reversed += "w" + std::to_string(i) + " ";
    CHECK(rouge(reference, reversed).rougeL.recall == 1.0 / words);
  }
}

TEST_CASE("rougeLsum takes lines in any order, rougeL doesn't") {
  const auto scores = rouge("a b c\nd e f", "d e f\na b c");
  CHECK(scores.rougeLsum.f1 == 1);
  CHECK(scores.rougeL.f1 == 0.5);
}

TEST_CASE("a scorer forgets its words before they grow without bound, and keeps scoring right") {
  RougeScorer scorer;
  for (int round = 0; round < 4; ++round) {
    std::string text;
    for (int i = 0; i < 30'000; ++i) text += std::to_string(round * 30'000 + i) + (i % 100 == 99 ? "\n" : " ");
    CHECK(scorer(text, "0 1 2 " + text).rouge1.recall == 1);
  }
}

TEST_CASE("the bootstrap interval holds the mean and repeats itself") {
  std::vector<double> values;
  for (int i = 0; i < 200; ++i) values.push_back(i % 10 * 0.1);
  const auto interval = bootstrap(values, 42), again = bootstrap(values, 42), other = bootstrap(values, 43);
  CHECK(interval.mean == Approx(0.45));
  // The standard error is sqrt(0.0825 / 200) = 0.0203; the interval is 1.96 of them either way.
  CHECK(interval.low == Approx(0.45 - 1.96 * 0.0203).margin(0.004));
  CHECK(interval.high == Approx(0.45 + 1.96 * 0.0203).margin(0.004));
  CHECK(again.low == interval.low);
  CHECK(again.high == interval.high);
  CHECK(other.low != interval.low);

  const std::vector<double> same(7, 0.25);
  CHECK(bootstrap(same, 1).low == 0.25);
  CHECK(bootstrap(same, 1).high == 0.25);
  CHECK(bootstrap({}, 1).mean == 0);
}

TEST_CASE("the summary is over F1") {
  const std::vector<RougeScores> scores{rouge("a b", "a b"), rouge("a b", "c d")};
  const auto summary = summarize(scores, 42);
  CHECK(summary.rouge1.mean == 0.5);
  CHECK(summary.rougeLsum.low == 0);
  CHECK(summary.rougeLsum.high == 1);
}
