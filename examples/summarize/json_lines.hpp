#pragma once
// JSON objects, one a line: from stdin, where every mistake is named by its line; to stdout or a file.
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <terse/core/error.hpp>
#include <terse/core/json.hpp>
#include <terse/io/file.hpp>
#include <terse/text/csv.hpp>

namespace summarize {

struct JsonLine {
  nlohmann::json object;
  long number = 0;  ///< from 1

  std::string name() const { return terse::concat("stdin:", number); }
  [[noreturn]] void refuse(const std::string& what) const { terse::fail(terse::Failure::bad_input, name(), ": ", what); }
  bool has(const char* key) const { return object.contains(key); }
  std::string text(const char* key) const {
    if (!has(key)) refuse(terse::concat("\"", key, "\" is missing; name it so"));
    if (!object[key].is_string()) refuse(terse::concat("\"", key, "\" is ", terse::in_words(object[key]), ", a string expected"));
    const auto& text = object[key].get_ref<const std::string&>();
    if (text.size() > terse::text::longest_text)
      refuse(terse::concat("\"", key, "\" has ", text.size(), " bytes, ", terse::text::longest_text, " are the most"));
    return text;
  }
  /// A string as read; a whole number as it is written; without one, the line's number.
  std::string id() const {
    if (!has("id")) return std::to_string(number);
    const auto& id = object["id"];
    if (!id.is_string() && !id.is_number_integer()) refuse(terse::concat("\"id\" is ", terse::in_words(id), ", a string or a whole number of 64 bits expected"));
    return id.is_string() ? id.get<std::string>() : id.dump();
  }
  /// A whole number; without one, none.
  std::optional<std::uint64_t> seed() const {
    if (!has("seed")) return std::nullopt;
    if (!object["seed"].is_number_unsigned()) refuse(terse::concat("\"seed\" is ", terse::in_words(object["seed"]), ", a whole number from 0 expected"));
    return object["seed"].get<std::uint64_t>();
  }
};

/// Calls body(line, number) for each line, numbered from 1.
template <class Body>
void for_each_line(std::istream& in, Body&& body) {
  std::string text;
  for (long number = 1; std::getline(in, text); ++number) body(static_cast<const std::string&>(text), number);
  if (in.bad()) terse::fail(terse::Failure::bad_input, "stdin: cannot be read; is it a folder?");
}

/// Calls body(JsonLine) for each line that isn't empty.
template <class Body>
void for_each_json_line(std::istream& in, Body&& body) {
  for_each_line(in, [&](const std::string& text, long number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) return;
    JsonLine line{{}, number};
    line.object = terse::parse_json(text, {line.name(), "each line is one JSON object"});
    if (!line.object.is_object()) line.refuse(terse::in_words(line.object) + ", a JSON object expected");
    body(static_cast<const JsonLine&>(line));
  });
}

/// Errors     Failure::cannot_write: what was printed so far hasn't all been written
inline void require_written(const std::ostream& out) {
  if (!out) terse::fail(terse::Failure::cannot_write, "stdout: cannot be written; is the disk full, or has its reader ended?");
}

/// Where answers go: a file that appears whole or not at all, or stdout where no file is named.
class JsonLines {
 public:
  explicit JsonLines(const std::filesystem::path& file) {
    if (!file.empty()) file_.emplace(file);
  }
  void write(const nlohmann::ordered_json& object) {
    const auto line = object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    if (file_) file_->write(line);
    else require_written(std::cout << line);
  }
  void commit() {
    if (file_) file_->commit();
  }

 private:
  std::optional<terse::io::AtomicFile> file_;
};

/// How many bytes of `text`, from its start, are whole UTF-8 characters: up to three at the end may be the start of another.
inline std::size_t whole_characters(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte < 0x80) break;
    if (byte >= 0xC0) {
      const std::size_t length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
      return back < length ? text.size() - back : text.size();
    }
  }
  return text.size();
}

}  // namespace summarize
