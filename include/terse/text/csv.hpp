#pragma once
/// CSV files (RFC 4180): read strictly, every mistake named by file and line; rows to write.

#include <csv.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/core/json.hpp>
#include <terse/core/read_file.hpp>
#include <terse/text/utf8.hpp>

namespace terse::text {

/// A row as its fields, unquoted.
struct CsvRow {
  std::int64_t line = 0;  ///< of the file, from 1; where the row begins, since quoted fields may hold newlines
  std::vector<std::string> fields;
};

/// A whole CSV file. Every row has as many fields as there are columns.
struct Csv {
  std::string file;  ///< as the user named it, for messages
  std::vector<std::string> columns;
  std::vector<CsvRow> rows;

  /// Which field of a row is column `name`.
  /// Errors     Failure::bad_input: there is none, or there are several
  std::size_t column(std::string_view name) const;

  /// Nothing, where each row has its own value in this column.
  /// Errors     Failure::bad_input: two rows have the same one, with both lines
  void require_unique(std::string_view name) const;
};

inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";  ///< of UTF-8

/// Longest field that is read, in bytes. No context holds as much; it is what a quote that isn't closed makes of the rows behind it.
inline constexpr std::size_t longest_text = std::size_t{16} << 20;

/// Parses a CSV text. Commas, quotes and newlines only inside quotes, quotes doubled there; rows end in LF, CR LF or CR; empty lines
/// count as none. UTF-8, with a byte order mark or without. What quotes hold is kept to the byte (line ends too), and so are spaces.
/// `file`: its name, for messages.
///
/// Errors     Failure::bad_input with file and line: no header, a row with more or fewer fields than the header, a quote that isn't
///            closed or stands inside an unquoted field, a field over longest_text, NUL bytes, bytes that aren't UTF-8. Where the first
///            line has semicolons or tabs and no comma, that is said instead
Csv parse_csv(std::string_view text, std::string file);

/// Parses a CSV file.
/// Errors     those of parse_csv, and Failure::bad_input where the file cannot be read
inline Csv read_csv(const std::filesystem::path& file) { return parse_csv(read_file(file, "is the name right, and is it a CSV file?"), file.string()); }

/// `fields` as a line of a CSV file, with its line feed; quoted where needed. Write it to any file: io::AtomicFile makes it whole.
std::string csv_line(std::span<const std::string_view> fields);
/// `csv_line({"id", "summary"})`.
inline std::string csv_line(std::initializer_list<std::string_view> fields) { return csv_line(std::span(fields.begin(), fields.size())); }

namespace csv {

/// For a message: on one line, whatever the file has for names.
inline std::string join(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 200;
  std::string joined;
  for (const auto& name : names) {
    if (joined.size() > shown) return joined + ", ...";
    const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x20; }) && name.size() < shown;
    joined += (joined.empty() ? "" : ", ") + (plain ? name : in_quotes(name));
  }
  return joined;
}

/// The text up to its first line end, that included. Old Macs end lines in \r alone: then that is the line end.
inline std::string_view first_line(std::string_view text, char line_end) { return text.substr(0, std::min(text.find(line_end), text.size() - 1) + 1); }
inline char line_end_of(std::string_view text) { return text.find('\n') == std::string_view::npos ? '\r' : '\n'; }

/// Rows as libcsv finds them. It is fed line by line, so that rows know their lines.
class Parser {
 public:
  explicit Parser(Csv& csv) : csv_(csv) {
    if (csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI) != 0) fail(Failure::internal, "libcsv cannot start");
    csv_set_space_func(&parser_, [](unsigned char) { return 0; });  // else it would trim unquoted fields
    csv_set_blk_size(&parser_, 1 << 16);
  }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  ~Parser() { csv_free(&parser_); }

  void parse(std::string_view text) {
    const char line_end = line_end_of(text);
    for (std::int64_t line = 1; !text.empty(); ++line) {
      const std::string_view piece = first_line(text, line_end);
      if (!in_quotes_) row_.line = line;  // outside quotes a line begins a row
      const std::size_t parsed = csv_parse(&parser_, piece.data(), piece.size(), on_field, on_row, this);
      follow_quotes(line, piece.substr(0, parsed));
      if (parsed != piece.size()) refuse(line, piece, parsed);
      text.remove_prefix(piece.size());
    }
    if (csv_fini(&parser_, on_field, on_row, this) != 0)
      fail(Failure::bad_input, csv_.file, ":", quoted_line_, ": the quote opened at byte ", quoted_byte_, " is never closed; close it, or write \"\" for a quote inside quotes");
  }

 private:
  /// Where the last quoted field was opened, for messages.
  void follow_quotes(std::int64_t line, std::string_view piece) {
    for (std::size_t at = 0; (at = piece.find('"', at)) != std::string_view::npos; ++at) {
      const bool doubled = in_quotes_ && at + 1 < piece.size() && piece[at + 1] == '"';
      if (doubled) ++at;
      else if ((in_quotes_ = !in_quotes_)) quoted_line_ = line, quoted_byte_ = at + 1;
    }
  }

  [[noreturn]] void refuse(std::int64_t line, std::string_view piece, std::size_t at) {
    if (csv_error(&parser_) != CSV_EPARSE) fail(Failure::bad_input, csv_.file, ":", line, ": ", csv_strerror(csv_error(&parser_)));
    if (at < piece.size() && piece[at] == '"')
      fail(Failure::bad_input, csv_.file, ":", line, ": byte ", at + 1, ": a quote inside a field without quotes; put the field in quotes and write \"\" for each quote in it");
    fail(Failure::bad_input, csv_.file, ":", line, ": byte ", at + 1, ": text after a closing quote, which was opened at line ", quoted_line_,
         "; write \"\" for a quote inside quotes, or close the one that isn't closed before line ", quoted_line_);
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
  bool in_quotes_ = false;
  std::int64_t quoted_line_ = 0;
  std::size_t quoted_byte_ = 0;
};

/// Only UTF-8 without NUL goes on.
inline void require_text(const std::string& file, std::string_view text) {
  const auto is_nul = [&](std::size_t at) { return at < text.size() && text[at] == '\0'; };
  const bool marked = text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF");
  if (marked || (is_nul(0) != is_nul(1) && is_nul(2) != is_nul(3)))
    fail(Failure::bad_input, file, ": is UTF-16; save it as CSV in UTF-8, e.g. iconv -f UTF-16 -t UTF-8");
  const std::size_t nul = std::min(text.find('\0'), text.size()), invalid = utf8_prefix(text), at = std::min(nul, invalid);
  if (at == text.size()) return;
  const std::string_view before = text.substr(0, at);
  const char line_end = line_end_of(text);
  const auto line = 1 + std::count(before.begin(), before.end(), line_end);
  const std::size_t byte = before.size() - (before.rfind(line_end) + 1) + 1;
  if (nul < invalid) fail(Failure::bad_input, file, ":", line, ": byte ", byte, ": a NUL byte; save the file as CSV in UTF-8");
  fail(Failure::bad_input, file, ":", line, ": byte ", byte, ": not UTF-8; save the file as CSV in UTF-8, e.g. iconv -f WINDOWS-1252 -t UTF-8");
}

inline void require_fields(const Csv& csv, const CsvRow& row) {
  for (const auto& field : row.fields)
    if (field.size() > longest_text)
      fail(Failure::bad_input, csv.file, ":", row.line, ": a field of ", field.size(), " bytes, ", longest_text, " are the most; is a quote missing at its end?");
  const std::size_t found = row.fields.size(), expected = csv.columns.size();
  if (found < expected)
    fail(Failure::bad_input, csv.file, ":", row.line, ": ", in_quotes(csv.columns[found]), " is missing: ", found, found == 1 ? " field, " : " fields, ",
         expected, " expected");
  if (found > expected)
    fail(Failure::bad_input, csv.file, ":", row.line, ": ", found, " fields, ", expected, " expected (", join(csv.columns),
         "); put fields that hold commas in quotes");
}

/// What stands between the names of a first line that has no comma: a semicolon or a tab, in words; empty: neither.
inline std::string_view other_separator(std::string_view header) {
  if (header.find(',') != std::string_view::npos) return "";
  return header.find(';') != std::string_view::npos ? "semicolons" : header.find('\t') != std::string_view::npos ? "tabs" : "";
}

/// Then every other complaint would mislead.
[[noreturn]] inline void refuse_separator(const std::string& file, std::string_view separator) {
  fail(Failure::bad_input, file, ":1: fields are separated by ", separator, "; save the file with commas");
}

inline void parse(std::string_view text, Csv& csv) {
  require_text(csv.file, text);
  Parser(csv).parse(text);
  if (csv.rows.empty()) fail(Failure::bad_input, csv.file, ": is empty; its first line must name the columns");
  csv.columns = std::move(csv.rows.front().fields);
  csv.rows.erase(csv.rows.begin());
  for (const auto& row : csv.rows) require_fields(csv, row);
}

}  // namespace csv

inline Csv parse_csv(std::string_view text, std::string file) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  Csv csv{std::move(file), {}, {}};
  try {
    csv::parse(text, csv);
  } catch (const Error& error) {
    const auto separator = text.empty() ? "" : csv::other_separator(csv::first_line(text, csv::line_end_of(text)));
    if (error.failure() == Failure::bad_input && !separator.empty()) csv::refuse_separator(csv.file, separator);
    throw;
  }
  return csv;
}

inline std::size_t Csv::column(std::string_view name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  if (found == columns.end() && columns.size() == 1)
    if (const auto separator = csv::other_separator(columns[0]); !separator.empty()) csv::refuse_separator(file, separator);
  if (found == columns.end())
    fail(Failure::bad_input, file, ":1: no column \"", name, "\"; the columns are: ", csv::join(columns), "; name it so in the first line");
  if (std::find(found + 1, columns.end(), name) != columns.end())
    fail(Failure::bad_input, file, ":1: column \"", name, "\" is there twice: ", csv::join(columns), "; rename one");
  return static_cast<std::size_t>(found - columns.begin());
}

inline void Csv::require_unique(std::string_view name) const {
  const std::size_t field = column(name);
  std::unordered_map<std::string_view, std::int64_t> lines;
  for (const auto& row : rows) {
    const auto [found, is_new] = lines.emplace(row.fields[field], row.line);
    if (!is_new)
      fail(Failure::bad_input, file, ":", row.line, ": ", name, " ", in_quotes(row.fields[field]), " is already at line ", found->second, "; each row needs its own");
  }
}

inline std::string csv_line(std::span<const std::string_view> fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) line += ',';
    const bool empty_row = fields.size() == 1 && fields[i].empty();      // an empty line would be no row
    const bool marked = i == 0 && fields[i].starts_with(byte_order_mark);  // at a file's start it would be taken for the file's
    if (fields[i].find_first_of(",\"\r\n") == std::string_view::npos && !empty_row && !marked) {
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
