#pragma once
// What benchmarks run on: the first rows of TERSE_BENCH_CSV, else of DialogSum's dev.csv where TERSE_TEST_DATA names its folder, else synthetic ones.
#include <cstdlib>
#include <filesystem>
#include <vector>

#include <terse/text/bpe.hpp>
#include <terse/text/dialogue.hpp>
#include <terse/text/synthetic.hpp>

inline terse::text::Dialogues bench_dialogues(std::size_t rows) {
  terse::text::Dialogues dialogues;
  if (const char* file = std::getenv("TERSE_BENCH_CSV")) dialogues = terse::text::read_dialogues(file);
  else if (const char* folder = std::getenv("TERSE_TEST_DATA")) dialogues = terse::text::read_dialogues(std::filesystem::path(folder) / "dev.csv");
  else dialogues = {"synthetic", terse::text::synthesize(rows, 42, terse::text::SyntheticPart::training)};
  if (dialogues.rows.size() > rows) dialogues.rows.resize(rows);
  return dialogues;
}

inline terse::text::Bpe bench_tokenizer() { return terse::text::Bpe::load(std::filesystem::path(TERSE_SOURCE_DIR) / "examples/summarize/gpt2"); }
