#pragma once
/// Dialogues and their summaries: from CSV rows to the token ids that a model is trained on and asked with.

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/text/csv.hpp>
#include <terse/text/sample.hpp>

namespace terse::text {

/// Turns text into ids; Bpe is one.
template <class T>
concept Tokenizer = requires(const T& tokenizer, std::string_view text) {
  { tokenizer.encode(text) } -> std::same_as<std::vector<TokenId>>;
  { tokenizer.end_of_text() } -> std::same_as<TokenId>;
};

/// What stands before a dialogue in a prompt.
inline constexpr std::string_view dialogue_marker = "\n\n### DIALOGUE:\n\n";
/// What stands between a dialogue and its summary.
inline constexpr std::string_view summary_marker = "\n\n### SUMMARY:\n\n";

/// A row of the data: who spoke, what, and what it comes to.
struct Dialogue {
  std::string id, text, summary;
  std::int64_t line = 0;  ///< of the file, from 1
};

/// A file of them, in the file's order.
struct Dialogues {
  std::string file;  ///< as the user named it, for messages
  std::vector<Dialogue> rows;
};

/// What a CSV must have besides `id` and `dialogue`; other columns are ignored.
struct DialogueColumns {
  bool summary = true;  ///< a column of that name; without it summaries are empty
};

/// The dialogues of a CSV file with the columns id, dialogue and summary, in any order.
/// Errors     Failure::bad_input: a column isn't there; there are no rows; an id stands twice (a submission has each once, and a row that
///            is there twice would be in training and validation both)
inline Dialogues dialogues_of(Csv csv, DialogueColumns columns = {}) {
  const std::size_t id = csv.column("id"), text = csv.column("dialogue"), summary = columns.summary ? csv.column("summary") : 0;
  if (csv.rows.empty()) fail(Failure::bad_input, csv.file, ": no rows after the header; write a dialogue a row");
  csv.require_unique("id");
  Dialogues dialogues{csv.file, {}};
  dialogues.rows.reserve(csv.rows.size());
  for (auto& [line, fields] : csv.rows)
    dialogues.rows.push_back({std::move(fields[id]), std::move(fields[text]), columns.summary ? std::move(fields[summary]) : "", line});
  return dialogues;
}

/// The dialogues of a CSV file.
/// Errors     Failure::bad_input: those of read_csv and dialogues_of
inline Dialogues read_dialogues(const std::filesystem::path& file, DialogueColumns columns = {}) { return dialogues_of(read_csv(file), columns); }

/// Nothing but white space.
inline bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos; }

/// The ids of marker, dialogue, marker: at most `longest` of them. Where they are more, the dialogue's tokens are cut at
/// their end, and the summary marker is encoded apart from them.
/// Errors     Failure::usage: not even the markers fit
template <Tokenizer T>
std::vector<TokenId> encode_prompt(const T& tokenizer, std::string_view dialogue, std::size_t longest) {
  auto ids = tokenizer.encode(std::string(dialogue_marker).append(dialogue).append(summary_marker));
  if (ids.size() <= longest) return ids;
  const auto marker = tokenizer.encode(summary_marker);
  const std::size_t markers = tokenizer.encode(dialogue_marker).size() + marker.size();
  if (markers > longest)
    fail(Failure::usage, "a prompt of ", longest, " tokens has no room for a dialogue: its markers are ", markers,
         "; use a model with a longer context, or ask for shorter summaries");
  ids.resize(longest - marker.size());
  ids.insert(ids.end(), marker.begin(), marker.end());
  return ids;
}

/// The samples of a file, and which rows gave none.
struct Samples {
  std::vector<Sample> samples;
  std::int64_t rows = 0;                 ///< of the file
  std::int64_t empty = 0, too_long = 0;  ///< skipped: nothing in the dialogue or summary; a summary too long to keep
  std::int64_t cut = 0;                  ///< kept, with a shortened dialogue
  std::int64_t first_skipped_line = 0;

  std::int64_t skipped() const { return empty + too_long; }

  /// One line of text on the rows skipped; empty where none was.
  std::string warning(std::string_view file) const {
    if (skipped() == 0) return "";
    return concat(file, ": ", skipped(), " of ", rows, " rows skipped (", empty, " with an empty dialogue or summary, ", too_long,
                  " too long for the context with a summary over 30% of it); the first is at line ", first_skipped_line);
  }
};

/// Each row as prompt ++ summary ++ end of text, prompt and summary encoded apart, so that a prompt to train on is a
/// prompt to ask with. Nothing is trimmed. Samples longer than `context` lose the end of their dialogue, unless
/// their summary and its end exceed floor(0.3 * context): those are skipped.
/// Errors     Failure::usage: those of encode_prompt
template <Tokenizer T>
Samples make_samples(const T& tokenizer, const Dialogues& dialogues, std::size_t context) {
  Samples made;
  made.rows = static_cast<std::int64_t>(dialogues.rows.size());
  made.samples.reserve(dialogues.rows.size());
  const auto skip = [&](std::int64_t& count, const Dialogue& row) {
    if (made.skipped() == 0) made.first_skipped_line = row.line;
    ++count;
  };
  for (std::int64_t i = 0; i < made.rows; ++i) {
    const Dialogue& row = dialogues.rows[static_cast<std::size_t>(i)];
    if (is_blank(row.text) || is_blank(row.summary)) {
      skip(made.empty, row);
      continue;
    }
    auto summary = tokenizer.encode(row.summary);
    summary.push_back(tokenizer.end_of_text());
    auto ids = encode_prompt(tokenizer, row.text, static_cast<std::size_t>(-1));
    if (ids.size() + summary.size() > context) {
      if (summary.size() > context * 3 / 10) {
        skip(made.too_long, row);
        continue;
      }
      ++made.cut;
      ids = encode_prompt(tokenizer, row.text, context - summary.size());
    }
    const std::size_t prompt = ids.size();
    ids.insert(ids.end(), summary.begin(), summary.end());
    made.samples.push_back({i, prompt, std::move(ids)});
  }
  return made;
}

/// Takes out the rows that can't be judged: there is no summary to compare with, or nothing to summarize. Returns one line of text on them;
/// empty where none was.
inline std::string drop_empty(Dialogues& dialogues) {
  const auto all = dialogues.rows.size();
  std::int64_t first_line = 0;
  std::erase_if(dialogues.rows, [&](const Dialogue& row) {
    const bool empty = is_blank(row.text) || is_blank(row.summary);
    if (empty && first_line == 0) first_line = row.line;
    return empty;
  });
  if (dialogues.rows.size() == all) return "";
  return concat(dialogues.file, ": ", all - dialogues.rows.size(), " of ", all, " rows skipped: an empty dialogue or summary; the first is at line ", first_line);
}

/// One line of text on the rows whose dialogue is empty, which get an empty summary; empty where none is.
inline std::string empty_dialogues(const Dialogues& dialogues) {
  const auto empty = [](const Dialogue& row) { return is_blank(row.text); };
  const auto first = std::find_if(dialogues.rows.begin(), dialogues.rows.end(), empty);
  if (first == dialogues.rows.end()) return "";
  return concat(dialogues.file, ": ", std::count_if(first, dialogues.rows.end(), empty), " of ", dialogues.rows.size(),
                " rows have an empty dialogue, and get an empty summary; the first is at line ", first->line);
}

/// A prompt for each row, none dropped: no ids where the dialogue is empty, which gets an empty summary.
/// `longest`: the context less the tokens to be generated.
template <Tokenizer T>
std::vector<std::vector<TokenId>> make_prompts(const T& tokenizer, const Dialogues& dialogues, std::size_t longest) {
  std::vector<std::vector<TokenId>> prompts;
  prompts.reserve(dialogues.rows.size());
  for (const auto& row : dialogues.rows)
    prompts.push_back(is_blank(row.text) ? std::vector<TokenId>{} : encode_prompt(tokenizer, row.text, longest));
  return prompts;
}

}  // namespace terse::text
