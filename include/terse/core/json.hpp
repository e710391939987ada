#pragma once
/// JSON from files and users: whatever it is, the mistake is one line.

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <terse/core/error.hpp>

namespace terse {

/// A text that somebody else wrote, for a message: in quotes, on one line, cut short where it is long.
/// (Not `quoted`: std's would be found for strings.)
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t shown = 100;
  std::string start(text.substr(0, shown));
  if (text.size() > shown) start += "...";
  return nlohmann::json(start).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// A JSON value for a message: a string as in_quotes has it, a list or an object by that word, anything else as JSON.
inline std::string in_words(const nlohmann::json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  return value.dump();
}

/// A whole number from `least` to `most`. By name: the comparisons that C++20 makes of the library's take a second to compile.
inline bool is_whole_number(const nlohmann::json& value, std::int64_t least, std::int64_t most) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) return false;
  return value.is_number_integer() && value.get<std::int64_t>() >= least && value.get<std::int64_t>() <= most;
}

/// One of the known values. (std::ranges::find takes as long to compile.)
inline bool is_among(const nlohmann::json& value, std::initializer_list<nlohmann::json> known) {
  for (const nlohmann::json& one : known)
    if (one == value) return true;
  return false;
}

/// What a JSON text is, for messages.
struct JsonSource {
  std::string name;       ///< of the file, or of stdin with the line
  std::string_view mend;  ///< what to do where it isn't JSON
  int deepest = 16;       ///< arrays and objects inside one another
};

/// One JSON value. Stricter than JSON: names in an object must differ, since parsers silently keep one, and nesting has an end, since
/// programs that walk a value do so by recursion.
/// Errors     Failure::bad_input: not JSON (with the place), not UTF-8, a name twice, nested too deeply, a number too large for a double
inline nlohmann::json parse_json(std::string_view text, const JsonSource& source) {
  using nlohmann::json;
  std::vector<std::set<std::string>> names(static_cast<std::size_t>(source.deepest) + 1);  // of the objects now open, by their depth
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    const auto level = static_cast<std::size_t>(depth);
    const bool opens = event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    if (opens && depth >= source.deepest) fail(Failure::bad_input, source.name, ": nested more than ", source.deepest, " deep; ", source.mend);
    if (event == json::parse_event_t::object_start) names[level + 1].clear();
    if (event == json::parse_event_t::key && !names[level].insert(parsed.get<std::string>()).second)
      fail(Failure::bad_input, source.name, ": ", in_quotes(parsed.get<std::string>()), " stands twice; ", source.mend);
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), watch);
  } catch (const json::parse_error& error) {
    const std::string_view before = text.substr(0, std::min(error.byte, text.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::string place = line > 1 ? concat("line ", line, ", byte ", before.size() - before.rfind('\n') - 1) : concat("byte ", before.size());
    fail(Failure::bad_input, source.name, ": not JSON (", place, "); ", source.mend);
  } catch (const json::out_of_range&) {  // 1e999
    fail(Failure::bad_input, source.name, ": holds a number too large for JSON readers; ", source.mend);
  }
}

}  // namespace terse
