#pragma once
// Texts that are written for a file of dialogues, kept as they end: an evaluation or prediction that was interrupted goes on from them.
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include <terse/decode/generation.hpp>

namespace summarize {

using namespace terse;

/// The files FOLDER/unfinished-WHAT-RANK.jsonl: what the texts are made from, then a line a text.
class Journal {
 public:
  Journal(const std::filesystem::path& folder, std::string what) : folder_(folder), what_(std::move(what)) {}

  /// Every file there is was begun from the same.
  bool is_of(const nlohmann::ordered_json& made_from) const;
  /// The texts of an earlier attempt, by the number of their dialogue. A last line that broke off is passed over.
  /// Errors     Failure::usage: they were made from something else; Failure::bad_input: a line isn't one of a journal
  std::map<std::size_t, decode::Generation> read(const nlohmann::ordered_json& made_from) const;
  /// Begins this rank's file, or goes on with it.
  /// Errors     Failure::cannot_write
  void begin(int rank, const nlohmann::ordered_json& made_from, bool goes_on);
  /// Errors     Failure::cannot_write
  void add(std::size_t number, const decode::Generation& text);
  /// Removes all ranks' files: the texts are where they were to go.
  void remove();

 private:
  std::vector<std::filesystem::path> files() const;
  void write(const nlohmann::ordered_json& line);

  std::filesystem::path folder_, path_;
  std::string what_;
  std::ofstream file_;
};

}  // namespace summarize
