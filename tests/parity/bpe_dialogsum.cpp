// The tokenizer against tiktoken, and the trainer against Hugging Face tokenizers, on DialogSum (goldens: tests/goldens/bpe.py).
#include "support/bpe_strings.hpp"
#include "support/catch.hpp"
#include "support/files.hpp"
#include "terse/text/bpe.hpp"
#include "terse/text/bpe_trainer.hpp"

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using namespace terse;

namespace {

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

/// Appends every field but the header's and the first of each row. As csv.reader: quotes double inside quotes.
void append_fields(const std::string& csv, std::vector<std::string>& fields) {
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
std::string random_part(const std::vector<std::string>& fields, std::uint64_t index) {
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

}  // namespace

TEST_CASE("DialogSum's texts and 5,000 parts of them have tiktoken's ids and decode to themselves") {
  const auto expected = golden_hashes("bpe_dialogsum.bin");
  std::vector<std::string> fields;
  append_fields(read(dialogsum() / "dev.csv"), fields);
  append_fields(read(dialogsum() / "test.csv"), fields);
  REQUIRE(fields.size() == 3000);
  REQUIRE(expected.size() == fields.size() + 5000 + 1);

  const auto tokens = text::Bpe::load(source_dir() / "examples/summarize/gpt2");
  int wrong = 0;
  for (std::size_t i = 0; i + 1 < expected.size(); ++i) {
    const std::string text = i < fields.size() ? fields[i] : random_part(fields, i - fields.size());
    const auto ids = tokens.encode(text);
    wrong += FnvHash().add(ids).value() != expected[i] || tokens.decode(ids) != text;
  }
  CHECK(wrong == 0);

  const TemporaryFolder folder;
  text::train_bpe(fields, {.vocabulary = 4000, .least_count = 2}).save(folder.path());
  CHECK(FnvHash().add(read(folder.path() / "merges.txt")).value() == expected.back());
}
