// tokenize and rouge: the library's text rooms as filters.
#include <iostream>

#include <nlohmann/json.hpp>

#include <terse/io/gguf/tokenizer.hpp>
#include <terse/metrics/rouge.hpp>

#include "commands.hpp"
#include "json_lines.hpp"
#include "texts.hpp"

namespace summarize {

using nlohmann::ordered_json;

int tokenize(const Options& options) {
  const auto tokenizer = io::load_tokenizer(options.tokenizer);
  for_each_line(std::cin, [&](const std::string& line, long number) {
    require_written(std::cout);
    if (!options.decode) {
      std::cout << nlohmann::json(tokenizer.encode(line)).dump() << "\n";
      return;
    }
    const std::string name = concat("stdin:", number);
    const auto ids = parse_json(line, {name, "each line is a JSON array of ids"});
    if (!ids.is_array()) fail(Failure::bad_input, name, ": ", in_words(ids), ", a JSON array of ids expected");
    std::vector<TokenId> tokens;
    for (const auto& id : ids) {
      if (!id.is_number_integer() || id < 0 || id >= tokenizer.vocabulary())
        fail(Failure::bad_input, name, ": ", in_words(id), " isn't an id; they are whole numbers from 0 to ", tokenizer.vocabulary() - 1);
      tokens.push_back(id.get<TokenId>());
    }
    std::cout << tokenizer.decode(tokens) << "\n";
  });
  return 0;
}

int rouge(const Options& options) {
  metrics::RougeScorer score;
  std::vector<metrics::RougeScores> all;
  for_each_json_line(std::cin, [&](const JsonLine& line) {
    const auto scores = score(line.text("reference"), line.text("prediction"));
    if (options.mean) all.push_back(scores);
    ordered_json line_of;
    for (const auto& kind : metrics::rouge_kinds) line_of[std::string(kind.name)] = (scores.*kind.score).f1;
    std::cout << line_of.dump() << "\n";
    require_written(std::cout);
  });
  if (!options.mean) return 0;
  if (all.empty()) fail(Failure::bad_input, "stdin: no pairs; each line is {\"reference\": ..., \"prediction\": ...}");
  const auto summary = metrics::summarize(all, options.seed);
  ordered_json mean = values(summary, &metrics::Interval::mean);
  mean["low"] = values(summary, &metrics::Interval::low), mean["high"] = values(summary, &metrics::Interval::high), mean["pairs"] = all.size();
  std::cout << mean.dump() << "\n";
  return 0;
}

}  // namespace summarize
