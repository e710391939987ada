// Small, but it needs every library that terse links: a product (BLAS), words (PCRE2), a table (libcsv), JSON.
#include <fstream>

#include <terse/io/safetensors.hpp>
#include <terse/ops/matmul/cpu.hpp>
#include <terse/tensor/tensor.hpp>
#include <terse/text/csv.hpp>
#include <terse/text/pretokenizer.hpp>

using namespace terse;

int main() {
  Cpu cpu(1);
  Tensor<Rows<float, 2>, Cpu> x(cpu, 1), y(cpu, 1);
  Tensor<Matrix<float, 2, 2>, Cpu> w(cpu);
  x[0][0] = 2, w[0][1] = 3;
  ops::matmul(cpu, x.view(), w.view(), y.view());
  std::ofstream("small.csv") << "id,text\n1,two words\n";
  const auto table = text::read_csv("small.csv");
  std::size_t words = 0;
  text::Pretokenizer().for_each_piece(table.rows[0].fields[1], [&](std::string_view) { ++words; });
  return y[0][1] == 6 && words == 2 ? 0 : 1;
}
