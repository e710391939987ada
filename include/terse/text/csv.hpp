#pragma once
/// CSV files (RFC 4180): read strictly, every mistake named by file and line; rows to write.

#include <csv.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/text/utf8.hpp>

namespace terse::text {

struct CsvRow {
  std::int64_t line = 0;  ///< of the file, from 1; where the row begins, since quoted fields may hold newlines
  std::vector<std::string> fields;
};

/// A whole CSV file. Every row has as many fields as there are columns.
struct Csv {
  std::string file;  ///< as the user named it, for messages
  std::vector<std::string> columns;
  std::vector<CsvRow> rows;

  /// Which field of a row is column `name`. Errors bad_input: there is none, or there are several.
  std::size_t column(std::string_view name) const;

  /// Errors bad_input: two rows have the same value in this column.
  void require_unique(std::string_view name) const;
};

/// Commas, quotes and newlines only inside quotes, quotes doubled there; rows end in \n, \r\n or \r; empty lines count as
/// none. UTF-8, with a byte order mark or without. What quotes hold is kept to the byte (\r\n too), and so are spaces.
///
/// Errors     Failure::bad_input with file and line: no file, no header, a row with more or fewer fields than the header, a
///            quote that isn't closed or stands inside an unquoted field, NUL bytes, bytes that aren't UTF-8
Csv read_csv(const std::filesystem::path& file);

/// `fields` as a line of a CSV file, with its \n; quoted where needed. Write it to any file: io::AtomicFile makes it whole.
std::string csv_line(std::span<const std::string_view> fields);
inline std::string csv_line(std::initializer_list<std::string_view> fields) { return csv_line(std::span(fields.begin(), fields.size())); }

namespace csv {

inline std::string join(const std::vector<std::string>& names) {
  std::string joined;
  for (const auto& name : names) joined += (joined.empty() ? "" : ", ") + name;
  return joined;
}

/// Rows as libcsv finds them. It is fed line by line, so that rows know their lines.
class Parser {
 public:
  explicit Parser(Csv& csv) : csv_(csv) {
    if (csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI) != 0) fail(Failure::internal, "libcsv cannot start");
    csv_set_space_func(&parser_, [](unsigned char) { return 0; });  // else it would trim unquoted fields
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser() { csv_free(&parser_); }

  void parse(std::string_view text) {
    std::size_t quotes = 0;
    for (std::int64_t line = 1; !text.empty(); ++line) {
      const std::string_view piece = text.substr(0, std::min(text.find('\n'), text.size() - 1) + 1);
      if (quotes % 2 == 0) row_.line = line;  // outside quotes a line begins a row
      const std::size_t parsed = csv_parse(&parser_, piece.data(), piece.size(), on_field, on_row, this);
      if (parsed != piece.size()) refuse(line, piece, parsed);
      quotes += static_cast<std::size_t>(std::count(piece.begin(), piece.end(), '"'));
      text.remove_prefix(piece.size());
    }
    if (csv_fini(&parser_, on_field, on_row, this) != 0)
      fail(Failure::bad_input, csv_.file, ":", row_.line, ": a quote opened in this row is never closed");
  }

 private:
  [[noreturn]] void refuse(std::int64_t line, std::string_view piece, std::size_t column) {
    if (csv_error(&parser_) != CSV_EPARSE) fail(Failure::bad_input, csv_.file, ":", line, ": ", csv_strerror(csv_error(&parser_)));
    const std::string_view what = column < piece.size() && piece[column] == '"'
        ? "a quote inside a field without quotes; put the field in quotes and write \"\" for each quote in it"
        : "text after a closing quote; write \"\" for a quote inside quotes";
    fail(Failure::bad_input, csv_.file, ":", line, ": column ", column + 1, ": ", what);
  }

  static void on_field(void* field, std::size_t size, void* self) {
    static_cast<Parser*>(self)->row_.fields.emplace_back(static_cast<const char*>(field), size);
  }
  static void on_row(int, void* self) { static_cast<Parser*>(self)->end_row(); }

  void end_row() {
    const std::int64_t line = row_.line;
    csv_.rows.push_back(std::exchange(row_, {line, {}}));
  }

  Csv& csv_;
  csv_parser parser_{};
  CsvRow row_;
};

inline std::string read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file))
    fail(Failure::bad_input, file.string(), ": cannot be read; is the name right, and is it a CSV file?");
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Only UTF-8 without NUL goes on.
inline void require_text(const std::string& file, std::string_view text) {
  const std::size_t nul = std::min(text.find('\0'), text.size()), invalid = utf8_prefix(text), at = std::min(nul, invalid);
  if (at == text.size()) return;
  const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  fail(Failure::bad_input, file, ":", line, nul < invalid ? ": a NUL byte" : ": not UTF-8", "; save the file as CSV in UTF-8");
}

inline void require_fields(const Csv& csv, const CsvRow& row) {
  const std::size_t found = row.fields.size(), expected = csv.columns.size();
  if (found < expected)
    fail(Failure::bad_input, csv.file, ":", row.line, ": \"", csv.columns[found], "\" is missing: ", found, found == 1 ? " field, " : " fields, ",
         expected, " expected");
  if (found > expected)
    fail(Failure::bad_input, csv.file, ":", row.line, ": ", found, " fields, ", expected, " expected (", join(csv.columns),
         "); put fields that hold commas in quotes");
}

}  // namespace csv

inline Csv read_csv(const std::filesystem::path& file) {
  const std::string contents = csv::read_text(file);
  std::string_view text = contents;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  Csv csv{file.string(), {}, {}};
  csv::require_text(csv.file, text);
  csv::Parser(csv).parse(text);
  if (csv.rows.empty()) fail(Failure::bad_input, csv.file, ": is empty; its first line must name the columns");
  csv.columns = std::move(csv.rows.front().fields);
  csv.rows.erase(csv.rows.begin());
  for (const auto& row : csv.rows) csv::require_fields(csv, row);
  return csv;
}

inline std::size_t Csv::column(std::string_view name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end())
    fail(Failure::bad_input, file, ":1: no column \"", name, "\"; the columns are: ", csv::join(columns));
  if (std::find(found + 1, columns.end(), name) != columns.end())
    fail(Failure::bad_input, file, ":1: column \"", name, "\" is there twice: ", csv::join(columns));
  return static_cast<std::size_t>(found - columns.begin());
}

inline void Csv::require_unique(std::string_view name) const {
  const std::size_t field = column(name);
  std::unordered_map<std::string_view, std::int64_t> lines;
  for (const auto& row : rows) {
    const auto [found, is_new] = lines.emplace(row.fields[field], row.line);
    if (!is_new)
      fail(Failure::bad_input, file, ":", row.line, ": ", name, " \"", row.fields[field], "\" is already at line ", found->second);
  }
}

inline std::string csv_line(std::span<const std::string_view> fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line += ',';
    const bool empty_row = fields.size() == 1 && fields[i].empty();  // an empty line would be no row
    if (fields[i].find_first_of(",\"\r\n") == std::string_view::npos && !empty_row) {
      line += fields[i];
      continue;
    }
    line += '"';
    for (const char c : fields[i]) line += c == '"' ? "\"\"" : std::string_view(&c, 1);
    line += '"';
  }
  return line += '\n';
}

}  // namespace terse::text
