#pragma once
// DialogSum's texts as tests/goldens/bpe.py has them; only for programs that have TERSE_TEST_DATA.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/bpe_strings.hpp"
#include "support/files.hpp"

inline std::string read_whole(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

/// Appends every field but the header's and the first of each row. As csv.reader: quotes double inside quotes.
inline void append_fields(const std::string& csv, std::vector<std::string>& fields) {
  std::string field;
  std::size_t column = 0, row = 0;
  bool quoted = false;
  const auto end_field = [&] {
    if (row > 0 && column > 0) fields.push_back(field);
    field.clear();
  };
  for (std::size_t i = 0; i < csv.size(); ++i) {
    if (csv[i] == '"') {
      if (quoted && i + 1 < csv.size() && csv[i + 1] == '"') field += csv[++i];
      else quoted = !quoted;
    } else if (!quoted && csv[i] == ',') {
      end_field(), ++column;
    } else if (!quoted && (csv[i] == '\n' || csv[i] == '\r')) {
      end_field(), column = 0, ++row;
      if (csv[i] == '\r' && i + 1 < csv.size() && csv[i + 1] == '\n') ++i;
    } else {
      field += csv[i];
    }
  }
  if (column > 0) end_field();
}

/// A random part of a random field, cut between characters.
inline std::string random_part(const std::vector<std::string>& fields, std::uint64_t index) {
  SplitMix random(index);
  const std::string& field = fields[random.below(fields.size())];
  const auto boundary = [&field](std::size_t at) {
    while (at < field.size() && (field[at] & 0xC0) == 0x80) ++at;
    return std::min(at, field.size());
  };
  const std::size_t begin = boundary(random.below(field.size() + 1));
  const std::size_t end = boundary(begin + random.below(300));
  return field.substr(begin, end - begin);
}

/// The 3,000 fields of dev.csv and test.csv but the ids, in order.
inline std::vector<std::string> dialogsum_fields() {
  std::vector<std::string> fields;
  append_fields(read_whole(dialogsum() / "dev.csv"), fields);
  append_fields(read_whole(dialogsum() / "test.csv"), fields);
  return fields;
}

/// The fields, then 5,000 parts of them.
inline std::vector<std::string> dialogsum_texts() {
  const auto fields = dialogsum_fields();
  auto texts = fields;
  for (std::uint64_t i = 0; i < 5000; ++i) texts.push_back(random_part(fields, i));
  return texts;
}
