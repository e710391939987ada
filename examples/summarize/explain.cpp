// explain: one sample as the trainer sees it, token by token.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include <nlohmann/json.hpp>

#include <terse/text/utf8.hpp>

#include "commands.hpp"

namespace summarize {

using nlohmann::ordered_json;

namespace {

/// A token between quotes: line ends, control characters and bytes that are no whole character are escaped.
std::string spelled(std::string_view token) {
  constexpr const char* digits = "0123456789abcdef";
  std::string result = "\"";
  while (!token.empty()) {
    const std::size_t length = text::utf8_sequence(token);
    const auto byte = static_cast<unsigned char>(token.front());
    if (byte == '\n') result += "\\n";
    else if (byte == '\r') result += "\\r";
    else if (byte == '\t') result += "\\t";
    else if (byte == '"' || byte == '\\') result.append("\\").append(1, token.front());
    else if (length == 0 || byte < 0x20 || byte == 0x7f) result.append("\\x").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
    else result += token.substr(0, length);
    token.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result + "\"";
}

/// Padded to `width` characters, counted as code points.
std::string padded(std::string text, std::size_t width) {
  const auto characters = static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  return text.append(width > characters ? width - characters : 0, ' ');
}

std::string right(std::size_t number, std::size_t width) {
  const std::string digits = std::to_string(number);
  return std::string(width > digits.size() ? width - digits.size() : 0, ' ') + digits;
}

/// Colours only where somebody sees them (no-color.org).
bool highlights() {
  const char* off = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) != 0 && (off == nullptr || *off == 0);
}

struct Explained {
  const text::Bpe* tokenizer;
  text::Dialogue row;
  text::Sample sample;
  Index context;
  bool cut;

  std::string token(std::size_t place) const { return tokenizer->decode(std::span(&sample.ids[place], 1)); }
  bool carries_loss(std::size_t position) const { return position >= sample.first_target(); }
};

void print_table(const std::string& file, long number, const Explained& e) {
  const bool colours = highlights();
  std::cout << "sample " << number << " of " << file << ": line " << e.row.line << ", id " << spelled(e.row.id) << "\n"
            << e.sample.tokens() << " tokens go in, " << e.sample.targets() << " of them carry a loss; the context holds " << e.context
            << (e.cut ? "; the dialogue was cut at its end to fit" : "") << "\n\n"
            << "position      id  token                   loss  predicts\n";
  const auto id_at = [&](std::size_t place) { return static_cast<std::size_t>(e.sample.ids[place]); };
  for (std::size_t t = 0; t < e.sample.tokens(); ++t) {
    const bool loss = e.carries_loss(t);
    if (loss && colours) std::cout << "\033[1;32m";
    std::cout << right(t, 8) << right(id_at(t), 8) << "  " << padded(spelled(e.token(t)), 24);
    if (loss) std::cout << "yes   " << right(id_at(t + 1), 6) << "  " << spelled(e.token(t + 1));
    else std::cout << "-";
    if (loss && colours) std::cout << "\033[0m";
    std::cout << "\n";
  }
}

void print_json(long number, const Explained& e) {
  ordered_json tokens = ordered_json::array();
  for (std::size_t t = 0; t < e.sample.tokens(); ++t) {
    ordered_json token{{"position", t}, {"id", e.sample.ids[t]}, {"token", text::replace_malformed(e.token(t))}, {"loss", e.carries_loss(t)}};
    if (e.carries_loss(t)) token["predicts"] = {{"id", e.sample.ids[t + 1]}, {"token", text::replace_malformed(e.token(t + 1))}};
    tokens.push_back(std::move(token));
  }
  const ordered_json sample{{"sample", number}, {"line", e.row.line}, {"id", e.row.id}, {"tokens", e.sample.tokens()}, {"targets", e.sample.targets()},
                            {"context", e.context}, {"cut", e.cut}, {"rows", std::move(tokens)}};
  std::cout << sample.dump(2, ' ', false, ordered_json::error_handler_t::replace) << "\n";
}

}  // namespace

int explain(const Options& options) {
  const ModelEntry& entry = find_model(options, true);
  const auto dialogues = text::read_dialogues(options.data);
  const auto rows = std::ssize(dialogues.rows);
  if (rows == 0) fail(Failure::bad_input, dialogues.file, ": no rows after the header");
  if (options.sample >= rows)
    fail(Failure::usage, "--sample ", options.sample, ": ", dialogues.file, " has ", rows == 1 ? "1 row, number 0" : concat(rows, " rows, numbers 0 to ", rows - 1));
  const auto tokenizer = training_tokenizer(options, entry, dialogues);
  const text::Dialogues only{dialogues.file, {dialogues.rows[static_cast<std::size_t>(options.sample)]}};
  const auto made = text::make_samples(tokenizer, only, static_cast<std::size_t>(entry.sizes.context));
  if (made.samples.empty())
    fail(Failure::bad_input, only.file, ":", only.rows[0].line, ": sample ", options.sample, " is skipped by the training: ",
         made.empty > 0 ? "its dialogue or summary is empty" : "it is too long for the context, and its summary takes over 30% of it");
  const Explained explained{&tokenizer, only.rows[0], made.samples[0], static_cast<Index>(entry.sizes.context), made.cut > 0};
  options.json ? print_json(options.sample, explained) : print_table(dialogues.file, options.sample, explained);
  return 0;
}

}  // namespace summarize
