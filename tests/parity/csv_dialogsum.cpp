// DialogSum's files, row by row, against Python's csv module (tests/goldens/csv_dialogsum.py).
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/files.hpp"
#include "support/fnv.hpp"
#include "terse/text/csv.hpp"

using namespace terse;

TEST_CASE("every row of dev.csv and test.csv equals Python's") {
  const auto goldens = nlohmann::json::parse(std::ifstream(golden("csv_dialogsum.json")));
  for (const std::string name : {"dev.csv", "test.csv"}) {
    const auto csv = text::read_csv(dialogsum() / name);
    CHECK(csv.columns == goldens[name]["columns"].get<std::vector<std::string>>());
    const auto hashes = goldens[name]["rows"].get<std::string>();
    REQUIRE(csv.rows.size() == 500);
    REQUIRE(hashes.size() == 500 * 16);
    std::int64_t newlines = 0, line = 1;
    for (std::size_t i = 0; i < csv.rows.size(); ++i) {
      std::string joined;
      for (const auto& field : csv.rows[i].fields) {
        joined += (&field == &csv.rows[i].fields[0] ? "" : "\x1F") + field;
        newlines += std::count(field.begin(), field.end(), '\n');
      }
      INFO(name << " row " << i);
      CHECK(hex16(fnv1a(joined)) == hashes.substr(16 * i, 16));
      CHECK(csv.rows[i].line > line);
      line = csv.rows[i].line;
    }
    CHECK(newlines == goldens[name]["newlines"].get<std::int64_t>());
  }
}
