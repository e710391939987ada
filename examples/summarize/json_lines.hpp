#pragma once
// JSON objects, one a line: from stdin, where every mistake is named by its line; to stdout or a file.
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <terse/core/error.hpp>
#include <terse/io/file.hpp>

namespace summarize {

struct JsonLine {
  nlohmann::json object;
  long number = 0;  ///< from 1

  [[noreturn]] void refuse(const std::string& what) const { terse::fail(terse::Failure::bad_input, "stdin:", number, ": ", what); }
  bool has(const char* key) const { return object.contains(key); }
  std::string text(const char* key) const {
    if (!has(key)) refuse(terse::concat("\"", key, "\" is missing"));
    if (!object[key].is_string()) refuse(terse::concat("\"", key, "\" must be a string"));
    return object[key].get<std::string>();
  }
  /// A string as read; a number as it is written; without one, the line's number.
  std::string id() const {
    if (!has("id")) return std::to_string(number);
    return object["id"].is_string() ? object["id"].get<std::string>() : object["id"].dump();
  }
};

/// Calls body(JsonLine) for each line that isn't empty.
template <class Body>
void for_each_json_line(std::istream& in, Body&& body) {
  std::string text;
  for (long number = 1; std::getline(in, text); ++number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    JsonLine line{nlohmann::json::parse(text, nullptr, false), number};
    if (!line.object.is_object()) line.refuse("not a JSON object");
    body(static_cast<const JsonLine&>(line));
  }
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
    else std::cout << line;
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
