// Writes synthetic dialogues as CSV to stdout, for peers to run on: bench_synthetic_csv ROWS > FILE.
#include <cstdlib>
#include <iostream>

#include <terse/text/csv.hpp>
#include <terse/text/synthetic.hpp>

int main(int argc, char** argv) {
  if (argc != 2) return std::cerr << "usage: bench_synthetic_csv ROWS\n", 2;
  std::cout << terse::text::csv_line({"id", "dialogue", "summary"});
  for (const auto& row : terse::text::synthesize(static_cast<std::size_t>(std::atoi(argv[1])), 42, terse::text::SyntheticPart::training))
    std::cout << terse::text::csv_line({row.id, row.text, row.summary});
}
