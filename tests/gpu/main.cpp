#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "support/catch.hpp"

#include <iostream>

#include <cuda_runtime.h>

// Without a GPU a test says skipped, and ctest too. With a driver that can't be used it fails: somebody wants to know.
int main(int argc, char** argv) {
  int gpus = 0, driver = 0;
  const cudaError_t status = cudaGetDeviceCount(&gpus);
  if (gpus == 0 && (status == cudaErrorNoDevice || (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0))) {
    std::cout << "skipped: no GPU, CUDA says: " << (driver == 0 ? "there is no driver" : cudaGetErrorString(status)) << '\n';
    return 77;
  }
  if (gpus == 0) {
    std::cout << "no GPU can be used, CUDA says: " << cudaGetErrorString(status) << '\n';
    return 1;
  }
  return Catch::Session().run(argc, argv);
}
