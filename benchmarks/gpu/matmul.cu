// Matrix products in the shapes and dtypes of GPT-2 124M's step, forward and backward; and the roof, a product that no shape limits.
#include "families.hpp"
#include "op.cuh"

using namespace bench;

namespace {

std::string name(const char* product, const char* pass, const std::string& dtype) { return concat("matmul/", product, "/", pass, "/", dtype); }

/// y = x w. Y: what the next op takes it in.
template <class T, class Y, Index In, Index Out>
void forward(benchmark::State& state) {
  Cuda cuda;
  const auto x = random_rows<T, In>(cuda);
  const auto w = random<Matrix<T, In, Out>>(cuda);
  const Tensor<Rows<Y, Out>, Cuda> y(cuda, tokens);
  time(state, cuda, {2.0 * tokens * In * Out, bytes_of(x, w, y)}, [&] { ops::matmul(cuda, x.view(), w.view(), y.view()); });
}

/// dx = dy wᵀ; of the head, on which only target rows are: logits = x Eᵀ.
template <class T, class Y, Index In, Index Out, Index rows = tokens>
void transposed(benchmark::State& state) {
  Cuda cuda;
  const auto dy = random_rows<T, Out>(cuda, rows);
  const auto w = random<Matrix<T, In, Out>>(cuda);
  const Tensor<Rows<Y, In>, Cuda> dx(cuda, rows);
  time(state, cuda, {2.0 * rows * In * Out, bytes_of(dy, w, dx)}, [&] { ops::matmul_transposed(cuda, dy.view(), w.view(), dx.view()); });
}

/// dw += xᵀ dy, in float.
template <class T, Index In, Index Out, Index rows = tokens>
void weight_gradient(benchmark::State& state) {
  Cuda cuda;
  const auto x = random_rows<T, In>(cuda, rows);
  const auto dy = random_rows<T, Out>(cuda, rows);
  const Tensor<Matrix<float, In, Out>, Cuda> dw(cuda);
  time(state, cuda, {2.0 * rows * In * Out, bytes_of(x, dy, dw, dw)}, [&] { ops::matmul_gradient(cuda, x.view(), dy.view(), dw.view(), Write::accumulate); });
}

template <class T>
void head_input_gradient(benchmark::State& state) {
  Cuda cuda;
  const auto slopes = random_rows<T, padded_vocabulary>(cuda, head_rows);
  const auto table = random<Matrix<T, padded_vocabulary, C>>(cuda);
  const Tensor<Rows<float, C>, Cuda> dx(cuda, head_rows);
  time(state, cuda, {2.0 * head_rows * padded_vocabulary * C, bytes_of(slopes, table, dx)}, [&] { ops::matmul(cuda, slopes.view(), table.view(), dx.view()); });
}

/// Y, DX: the dtypes of the product's output, and of its input's gradient.
template <class T, class Y, class DX, Index In, Index Out>
void add_layer(const char* product) {
  const auto dtype = dtype_name<T>();
  add(name(product, "forward", dtype), forward<T, Y, In, Out>);
  add(name(product, "input_gradient", dtype), transposed<T, DX, In, Out>);
  add(name(product, "weight_gradient", dtype), weight_gradient<T, In, Out>);
}

/// What the library reaches where it is best: a large square.
template <class T>
void roof(benchmark::State& state) {
  constexpr Index n = 4096;
  Cuda cuda;
  const auto x = random_rows<T, n>(cuda, n);
  const auto w = random<Matrix<T, n, n>>(cuda);
  const Tensor<Rows<T, n>, Cuda> y(cuda, n);
  time(state, cuda, {.flops = 2.0 * n * n * n}, [&] { ops::matmul(cuda, x.view(), w.view(), y.view()); });
}

/// What memory reaches: the driver's own copy.
void copy(benchmark::State& state) {
  constexpr std::size_t bytes = std::size_t{256} << 20;
  Cuda cuda;
  const auto from = cuda.allocate(bytes), to = cuda.allocate(bytes);
  time(state, cuda, {.bytes = 2.0 * bytes}, [&] { device::check(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, cuda.stream()), "copy"); });
}

}  // namespace

void bench::add_roofs(int capability) {
  for_each_dtype(capability, [](auto t) { add("roof/matmul/" + dtype_name<decltype(t)>(), roof<decltype(t)>); });
  add("roof/copy", copy);
}

void bench::add_matmuls(int capability) {
  for_each_dtype(capability, [](auto t) {
    using T = decltype(t);
    add_layer<T, T, float, C, 3 * C>("qkv");
    add_layer<T, float, T, C, C>("projection");
    add_layer<T, T, float, C, 4 * C>("up");
    add_layer<T, float, T, 4 * C, C>("down");
    add(name("head", "forward", dtype_name<T>()), transposed<T, float, padded_vocabulary, C, head_rows>);
    add(name("head", "input_gradient", dtype_name<T>()), head_input_gradient<T>);
    add(name("head", "weight_gradient", dtype_name<T>()), weight_gradient<T, padded_vocabulary, C, head_rows>);
  });
}
