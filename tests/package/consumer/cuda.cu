// A user's program on a GPU: where there is none, it says so.
#include <terse/cuda.hpp>

#include <cstdio>

using namespace terse;

int main() {
  try {
    Cuda cuda(0);
    const float one = 1;
    const auto memory = cuda.allocate(sizeof one);
    auto* const there = reinterpret_cast<float*>(memory.data());
    cuda.copy_from_host(there, &one, sizeof one);
    ops::add(cuda, there, there, 1);
    float sum = 0;
    cuda.copy_to_host(&sum, there, sizeof sum);
    std::printf("a GPU says %.0f\n", sum);
  } catch (const Error& error) {
    std::printf("no GPU: %s\n", error.what());
  }
}
