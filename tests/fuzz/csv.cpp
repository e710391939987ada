// A CSV that is accepted has a field for each column, and is the same after it was written and read again.
#include <terse/text/csv.hpp>

#include "fuzz.hpp"

using namespace terse;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::accepts([&] {
    const auto csv = text::parse_csv(fuzz::text_of(data, size), "fuzz.csv");
    const auto line_of = [](const std::vector<std::string>& fields) {
      return text::csv_line(std::vector<std::string_view>(fields.begin(), fields.end()));
    };
    std::string again = line_of(csv.columns);
    std::int64_t line = 0;
    for (const auto& row : csv.rows) {
      fuzz::require(row.fields.size() == csv.columns.size(), "every row has as many fields as there are columns");
      fuzz::require(row.line >= line && row.line > 0, "lines are counted upwards");
      line = row.line;
      again += line_of(row.fields);
    }
    const auto same = text::parse_csv(again, "again.csv");
    fuzz::require(same.columns == csv.columns && same.rows.size() == csv.rows.size(), "what was written is read back");
    for (std::size_t i = 0; i < csv.rows.size(); ++i) fuzz::require(same.rows[i].fields == csv.rows[i].fields, "fields are read back");
  });
  return 0;
}
