// ROUGE and its stemmer against rouge_score 0.1.2 and NLTK; tests/goldens/rouge.py makes the same texts.
#include "terse/metrics/rouge.hpp"

#include <array>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/fnv.hpp"
#include "support/splitmix.hpp"

using namespace terse;
using Strings = std::vector<std::string>;

namespace {

nlohmann::json goldens() { return nlohmann::json::parse(std::ifstream(golden("rouge.json"))); }

std::size_t words_of(std::size_t index, SplitMix64& random) {
  if (index % 50 == 0) return 0;
  if (index % 400 == 7) return 500 + random.below(1000);
  if (index % 40 == 3) return 64 + random.below(130);
  return 1 + random.below(40);
}

std::string join(const Strings& texts, const std::string& separator) {
  std::string joined;
  for (std::size_t i = 0; i < texts.size(); ++i) joined += (i == 0 ? "" : separator) + texts[i];
  return joined;
}

std::pair<std::string, std::string> make_pair_of_texts(std::size_t index, const Strings& pieces) {
  SplitMix64 random(index);
  const std::size_t width = index % 4 == 0 ? 1 + random.below(12) : pieces.size();
  const std::size_t start = random.below(pieces.size());
  const auto piece = [&] { return pieces[(start + random.below(width)) % pieces.size()]; };
  const std::string separator = random.below(4) == 0 ? "" : " ";
  const std::size_t line = 2 + random.below(30);
  Strings reference, prediction;
  for (std::size_t left = words_of(index, random); left > 0; --left)
    reference.push_back(random.below(line) == 0 ? "\n" : piece());
  const std::size_t change = 1 + random.below(10);
  for (const auto& text : reference) {
    const std::size_t action = random.below(10 * change);
    if (action > 7) {
      prediction.push_back(text);
    } else if (action < 3) {
      prediction.push_back(piece());
    } else if (action < 5) {
      prediction.push_back(text);
      prediction.push_back(piece());
    } else if (action == 5 && !prediction.empty()) {
      prediction.insert(prediction.begin() + static_cast<std::ptrdiff_t>(random.below(prediction.size())), text);
    }
  }
  if (index % 77 == 0) prediction.clear();
  if (index % 50 == 25) {
    prediction.clear();
    for (std::size_t left = 1 + random.below(30); left > 0; --left) prediction.push_back(piece());
  }
  return {join(reference, separator), join(prediction, separator)};
}

std::string make_word(std::size_t index, const Strings& stems, const Strings& suffixes) {
  SplitMix64 random(1'000'000 + index);
  std::string word;
  if (index % 2 == 0) {
    word = stems[random.below(stems.size())];
    for (std::size_t left = 1 + random.below(2); left > 0; --left) word += suffixes[random.below(suffixes.size())];
    return word;
  }
  const std::string letters = "aeiouyyylstzwxbdnr1";
  for (std::size_t left = 1 + random.below(9); left > 0; --left) word += letters[random.below(letters.size())];
  return random.below(3) != 0 ? word + suffixes[random.below(suffixes.size())] : word;
}

}  // namespace

TEST_CASE("stems equal NLTK's on words of every rule") {
  const auto stems_of = goldens().at("stems_of");
  for (const auto& [word, stem] : stems_of.items()) {
    INFO(word);
    CHECK(metrics::porter_stem(word) == stem.get<std::string>());
  }
}

TEST_CASE("stems equal NLTK's on 200,000 generated words") {
  const auto data = goldens();
  const auto stems = data.at("word_stems").get<Strings>(), suffixes = data.at("word_suffixes").get<Strings>();
  const auto chunk_size = data.at("words_in_a_chunk").get<std::size_t>();
  const auto chunks = data.at("stem_chunks").get<Strings>();
  REQUIRE(chunks.size() * chunk_size == 200'000);
  std::size_t index = 0;
  for (const auto& expected : chunks) {
    std::uint64_t value = fnv1a("");
    const std::size_t first = index;
    for (; index < first + chunk_size; ++index) value = fnv1a(metrics::porter_stem(make_word(index, stems, suffixes)) + "\n", value);
    INFO("words " << first << " to " << index);
    CHECK(hex16(value) == expected);
  }
}

TEST_CASE("scores equal rouge_score's on 2,000 pairs") {
  const auto data = goldens();
  const auto pieces = data.at("pieces").get<Strings>();
  const auto pairs = data.at("pairs").get<std::size_t>();
  REQUIRE(pairs == 2000);
  const auto first = data.at("first_pairs");
  for (std::size_t i = 0; i < first.size(); ++i) {
    const auto [reference, prediction] = make_pair_of_texts(i + 1, pieces);
    REQUIRE(reference == first[i][0].get<std::string>());
    REQUIRE(prediction == first[i][1].get<std::string>());
  }

  std::vector<std::array<double, 12>> expected(pairs);
  std::ifstream file(golden("rouge.f64"), std::ios::binary);
  REQUIRE(file.read(reinterpret_cast<char*>(expected.data()), static_cast<std::streamsize>(pairs * sizeof expected[0])));

  metrics::RougeScorer scorer;
  double worst = 0;
  std::size_t several_lines = 0, empty = 0;
  for (std::size_t i = 0; i < pairs; ++i) {
    const auto [reference, prediction] = make_pair_of_texts(i, pieces);
    const auto scores = scorer(reference, prediction);
    several_lines += scores.rougeLsum.f1 != scores.rougeL.f1;
    empty += scores.rouge1.f1 == 0;
    const metrics::Score* kinds[] = {&scores.rouge1, &scores.rouge2, &scores.rougeL, &scores.rougeLsum};
    for (std::size_t k = 0; k < 4; ++k) {
      const double ours[] = {kinds[k]->precision, kinds[k]->recall, kinds[k]->f1};
      for (std::size_t m = 0; m < 3; ++m) {
        const double difference = std::abs(ours[m] - expected[i][3 * k + m]);
        if (difference > 1e-12) FAIL_CHECK("pair " << i << " kind " << k << " measure " << m << ": " << ours[m] << " instead of " << expected[i][3 * k + m]);
        worst = std::max(worst, difference);
      }
    }
    if (i % 100 == 0) {
      const auto alone = metrics::rouge(reference, prediction);
      CHECK(alone.rougeLsum.f1 == scores.rougeLsum.f1);
      CHECK(alone.rouge2.f1 == scores.rouge2.f1);
    }
  }
  CHECK(worst <= 1e-12);
  CHECK(several_lines > 200);  // the goldens exercise the union of lines
  CHECK(empty > 50);
}
