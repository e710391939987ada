// Tensors, views and ops: memory has an owner, sizes are types, and every op takes the device first.
#include <terse/terse.hpp>

#include <cstdio>

using namespace terse;

template <Real X, Index C>
void print(const char* name, Rows<X, C> x) {
  for (Index t = 0; t < x.rows; ++t) {
    std::printf("%-10s[%ld]", name, t);
    for (Index c = 0; c < C; ++c) std::printf(" %7.3f", static_cast<double>(x[t][c]));
    std::printf("\n");
  }
}

int main() {
  Cpu cpu;  // the device: threads, and memory

  // A Tensor owns memory, zero at first. Columns are in its type; rows, as many as there are tokens, are counted at run time.
  Tensor<Rows<float, 4>, Cpu> x(cpu, 3);    // (3, 4)
  Tensor<Matrix<float, 4, 2>, Cpu> w(cpu);  // (4, 2)
  Tensor<Rows<float, 2>, Cpu> y(cpu, 3);    // (3, 2)
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i * i % 7);
  for (Index r = 0; r < 4; ++r) w[r][r % 2] = 1;  // even columns are added up in the first output, odd ones in the second

  // A view is a pointer with its shape. Views go into ops, by value.
  ops::matmul(cpu, x.view(), w.view(), y.view());  // y = x w

  // What doesn't fit doesn't compile:
  //   ops::matmul(cpu, y.view(), w.view(), x.view());   terse: matmul: the columns of x must be as many as the rows of w
  //   Tensor<Rows<int, 4>, Cpu> ids(cpu, 3);            terse: a tensor holds float, double, half or bfloat16
  print("x", x.view());
  print("x w", y.view());
  print("last row", y.view().slice(2, 1));  // the same memory: nothing is copied

  // Layer normalization keeps each row's mean and 1 / standard deviation, for backward.
  Tensor<Vector<float, 4>, Cpu> gain(cpu), bias(cpu);
  for (Index c = 0; c < 4; ++c) gain[c] = 1;
  TensorGroup<ops::LayerNorm::Saved<float>, Cpu> saved(cpu, {.tokens = 3});
  Tensor<Rows<float, 4>, Cpu> normed(cpu, 3);
  ops::forward(cpu, ops::LayerNorm{}, x.view(), gain.view(), bias.view(), normed.view(), *saved);
  print("normed", normed.view());
  std::printf("mean of row 1: %.3f\n", static_cast<double>(saved->mean[1]));

  ops::gelu_forward<ops::Gelu::tanh>(cpu, normed.view(), normed.view());  // in place
  print("gelu", normed.view());
}
