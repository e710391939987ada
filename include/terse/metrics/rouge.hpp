#pragma once
/// ROUGE: how much of a reference summary a predicted one says again, by words, pairs of words and common subsequences.

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <terse/core/philox.hpp>
#include <terse/metrics/porter.hpp>

namespace terse::metrics {

/// Between 0 and 1. f1 = 2 precision recall / (precision + recall), 0 where both are 0.
struct Score {
  double precision = 0, recall = 0, f1 = 0;
};

/// The four scores of one pair of texts.
struct RougeScores {
  Score rouge1, rouge2;  ///< common words and pairs of neighbouring words, each counted as often as both texts have it
  Score rougeL;          ///< longest common subsequence of the whole texts
  Score rougeLsum;       ///< line by line: the union of each reference line's common subsequences
};

/// The score of `hits` common things among `reference` and `predicted` many; a count of 0 divides as 1.
inline Score score_of(std::size_t hits, std::size_t reference, std::size_t predicted) {
  Score score;
  score.precision = static_cast<double>(hits) / static_cast<double>(std::max<std::size_t>(predicted, 1));
  score.recall = static_cast<double>(hits) / static_cast<double>(std::max<std::size_t>(reference, 1));
  const double sum = score.precision + score.recall;
  if (sum > 0) score.f1 = 2 * score.precision * score.recall / sum;
  return score;
}

/// Numbers for words: equal stems have equal numbers, from 0 up. Remembers what it saw, so a word is stemmed once.
class Words {
 public:
  using Id = std::uint32_t;

  /// Appends the words of `text`: runs of letters a-z and digits once lower-cased; those longer than three are stemmed.
  /// Of all other characters only U+0130 and U+212A become letters by lower-casing: "i" (and a separator), "k".
  void append(std::string_view text, std::vector<Id>& ids) {
    constexpr std::string_view dotted_i = "\xC4\xB0", kelvin = "\xE2\x84\xAA";
    word_.clear();
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      const std::string_view rest = text.substr(i);
      if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
        word_ += c;
      } else if (c >= 'A' && c <= 'Z') {
        word_ += static_cast<char>(c - 'A' + 'a');
      } else if (rest.starts_with(kelvin)) {
        word_ += 'k', i += kelvin.size() - 1;
      } else {
        if (rest.starts_with(dotted_i)) word_ += 'i', i += dotted_i.size() - 1;
        end_word(ids);
      }
    }
    end_word(ids);
  }

  std::size_t size() const { return stems_.size(); }
  void forget() { seen_.clear(), stems_.clear(); }

 private:
  void end_word(std::vector<Id>& ids) {
    if (word_.empty()) return;
    auto found = seen_.find(word_);
    if (found == seen_.end()) {
      const auto stem = stems_.try_emplace(word_.size() > 3 ? porter_stem(word_) : word_, static_cast<Id>(stems_.size())).first;
      found = seen_.emplace(word_, stem->second).first;
    }
    ids.push_back(found->second);
    word_.clear();
  }

  std::unordered_map<std::string, Id> seen_, stems_;
  std::string word_;
};

/// Scores pairs one after the other; keeps its memory and the stems it met, so use one for many pairs (one a thread).
/// Source: rouge_score 0.1.2 with use_stemmer=True, bit for bit: Lin, "ROUGE: a package for automatic evaluation of
/// summaries", ACL workshop 2004. Texts are UTF-8; bytes that aren't count as separators.
///
/// Time is O(words of the reference * words of the prediction / 64); a pair of lines needs that many bits of memory.
class RougeScorer {
 public:
  /// The scores of one pair.
  RougeScores operator()(std::string_view reference, std::string_view prediction) {
    if (words_.size() > most_remembered) words_.forget();
    split(reference, reference_);
    split(prediction, prediction_);
    counts_.resize(words_.size());
    masks_.resize(words_.size());
    const std::span<const Id> words = reference_.words, predicted = prediction_.words;

    RougeScores scores;
    scores.rouge1 = score_of(common_words(words, predicted), words.size(), predicted.size());
    scores.rouge2 = score_of(common_pairs(), pairs(words), pairs(predicted));
    scores.rougeL = score_of(common_subsequence(words, predicted, nullptr), words.size(), predicted.size());
    // The union of one pair of lines is its common subsequence.
    const bool one_line = reference_.lines.size() <= 1 && prediction_.lines.size() <= 1;
    scores.rougeLsum = one_line ? scores.rougeL : score_of(common_in_lines(), words.size(), predicted.size());
    return scores;
  }

 private:
  using Id = Words::Id;
  static constexpr std::size_t most_remembered = 1 << 16;  ///< stems; bounds the memory, English text stays far below

  struct Range {
    std::size_t begin, end;
  };
  struct Text {
    std::vector<Id> words;
    std::vector<Range> lines;  ///< ranges of words, of the lines that have any
    std::vector<std::uint64_t> pairs;
    std::span<const Id> line(Range range) const { return std::span(words).subspan(range.begin, range.end - range.begin); }
  };

  static std::size_t pairs(std::span<const Id> words) { return words.empty() ? 0 : words.size() - 1; }

  void split(std::string_view text, Text& out) {
    out.words.clear();
    out.lines.clear();
    while (true) {
      const std::size_t newline = text.find('\n'), before = out.words.size();
      words_.append(text.substr(0, newline), out.words);
      if (out.words.size() > before) out.lines.push_back({before, out.words.size()});
      if (newline == std::string_view::npos) break;
      text.remove_prefix(newline + 1);
    }
    out.pairs.clear();
    for (std::size_t i = 1; i < out.words.size(); ++i) out.pairs.push_back(std::uint64_t{out.words[i - 1]} << 32 | out.words[i]);
  }

  std::size_t common_words(std::span<const Id> reference, std::span<const Id> prediction) {
    std::size_t hits = 0;
    for (const Id word : reference) ++counts_[word];
    for (const Id word : prediction)
      if (counts_[word] > 0) --counts_[word], ++hits;
    for (const Id word : reference) counts_[word] = 0;
    return hits;
  }

  std::size_t common_pairs() {
    auto &left = reference_.pairs, &right = prediction_.pairs;
    std::sort(left.begin(), left.end());
    std::sort(right.begin(), right.end());
    std::size_t hits = 0;
    for (std::size_t i = 0, j = 0; i < left.size() && j < right.size();) {
      if (left[i] == right[j]) ++hits;
      const bool advance_left = left[i] <= right[j], advance_right = right[j] <= left[i];
      i += advance_left, j += advance_right;
    }
    return hits;
  }

  /// Length of the longest common subsequence, 64 rows of the table at a time: bit i of `rows` is 0 where the table
  /// grows from row i to row i+1 (Hyyro, "Bit-parallel LCS-length computation revisited", AWOCA 2004).
  /// `columns`, where given, receives the rows after each word of the prediction: [block * prediction.size() + column].
  std::size_t common_subsequence(std::span<const Id> reference, std::span<const Id> prediction, std::uint64_t* columns) {
    carries_.assign(prediction.size(), 0);
    std::size_t length = 0;
    for (std::size_t begin = 0; begin < reference.size(); begin += 64) {
      const auto block = reference.subspan(begin, std::min<std::size_t>(64, reference.size() - begin));
      for (std::size_t i = 0; i < block.size(); ++i) masks_[block[i]] |= std::uint64_t{1} << i;
      std::uint64_t rows = ~std::uint64_t{0};
      for (std::size_t j = 0; j < prediction.size(); ++j) {
        const std::uint64_t match = masks_[prediction[j]], matched = rows & match;
        const std::uint64_t carried = rows + carries_[j], sum = carried + matched;
        carries_[j] = static_cast<std::uint8_t>(carried < rows || sum < carried);
        rows = sum | (rows & ~match);
        if (columns != nullptr) columns[begin / 64 * prediction.size() + j] = rows;
      }
      const std::uint64_t used = block.size() == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << block.size()) - 1;
      length += static_cast<std::size_t>(std::popcount(~rows & used));
      for (const Id word : block) masks_[word] = 0;
    }
    return length;
  }

  /// Marks in `union_` the words of one reference line that its common subsequences with the predicted lines use.
  void mark_union(std::span<const Id> line) {
    union_.assign(line.size(), 0);
    for (const Range range : prediction_.lines) {
      const auto other = prediction_.line(range);
      columns_.resize((line.size() + 63) / 64 * other.size());
      common_subsequence(line, other, columns_.data());
      // Of several longest subsequences, rouge_score's walk takes the one that leaves a column only where it must.
      for (std::size_t i = line.size(), j = other.size(); i > 0 && j > 0;) {
        const bool grows = (columns_[(i - 1) / 64 * other.size() + j - 1] >> ((i - 1) % 64) & 1) == 0;
        if (line[i - 1] == other[j - 1]) {
          union_[i - 1] = 1;
          --i, --j;
        } else if (grows) {
          --j;
        } else {
          --i;
        }
      }
    }
  }

  std::size_t common_in_lines() {
    std::size_t hits = 0;
    for (const Id word : prediction_.words) ++counts_[word];
    for (const Range range : reference_.lines) {
      const auto line = reference_.line(range);
      mark_union(line);
      for (std::size_t i = 0; i < line.size(); ++i)
        if (union_[i] && counts_[line[i]] > 0) --counts_[line[i]], ++hits;
    }
    for (const Id word : prediction_.words) counts_[word] = 0;
    return hits;
  }

  Words words_;
  Text reference_, prediction_;
  std::vector<std::uint32_t> counts_;                 ///< by word; 0 between uses
  std::vector<std::uint64_t> masks_;                  ///< by word: where a block of the reference has it; 0 between uses
  std::vector<std::uint64_t> columns_;
  std::vector<std::uint8_t> carries_, union_;
};

/// One pair. For many, keep a RougeScorer.
inline RougeScores rouge(std::string_view reference, std::string_view prediction) { return RougeScorer{}(reference, prediction); }

/// A mean with its 95% confidence interval.
struct Interval {
  double low = 0, mean = 0, high = 0;
};

/// The plain mean of `values`, and the 2.5 and 97.5 percentiles of the means of `resamples` resamplings with replacement
/// (Efron's bootstrap; percentiles by linear interpolation). The same values and seed give the same interval.
inline Interval bootstrap(std::span<const double> values, std::uint64_t seed, std::size_t resamples = 1000) {
  if (values.empty() || resamples == 0) return {};
  const auto count = static_cast<double>(values.size());
  std::vector<double> means(resamples);
  for (std::size_t r = 0; r < resamples; ++r) {
    RandomStream random(seed, RandomUse::bootstrap, r);
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[random.below(static_cast<std::uint32_t>(values.size()))];
    means[r] = sum / count;
  }
  std::sort(means.begin(), means.end());
  const auto percentile = [&](double fraction) {
    const double at = fraction * static_cast<double>(resamples - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, resamples - 1);
    return std::fma(at - static_cast<double>(below), means[above] - means[below], means[below]);  // by name: the same on every instruction set
  };
  double sum = 0;
  for (const double value : values) sum += value;
  return {percentile(0.025), sum / count, percentile(0.975)};
}

/// F1 over many pairs.
struct RougeSummary {
  Interval rouge1, rouge2, rougeL, rougeLsum;
};

/// The scores by the names that rouge_score has for them.
struct RougeKind {
  using OfPair = Score RougeScores::*;  // names: nvcc writes such members with parentheses that g++ warns of
  using OfMany = Interval RougeSummary::*;

  std::string_view name;
  OfPair score;
  OfMany interval;
};
inline constexpr std::array rouge_kinds{RougeKind{"rouge1", &RougeScores::rouge1, &RougeSummary::rouge1}, RougeKind{"rouge2", &RougeScores::rouge2, &RougeSummary::rouge2},
                                        RougeKind{"rougeL", &RougeScores::rougeL, &RougeSummary::rougeL}, RougeKind{"rougeLsum", &RougeScores::rougeLsum, &RougeSummary::rougeLsum}};

/// Mean F1 of each score, with its interval.
inline RougeSummary summarize(std::span<const RougeScores> scores, std::uint64_t seed) {
  std::vector<double> values(scores.size());
  RougeSummary summary;
  for (const RougeKind& kind : rouge_kinds) {
    for (std::size_t i = 0; i < scores.size(); ++i) values[i] = (scores[i].*kind.score).f1;
    summary.*kind.interval = bootstrap(values, seed);
  }
  return summary;
}

}  // namespace terse::metrics
