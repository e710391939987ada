#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "catch.hpp"

#include <cstdlib>
#include <iostream>

#include "needs.hpp"

int main(int argc, char** argv) {
  if (needs.variable != nullptr && std::getenv(needs.variable) == nullptr) {
    std::cout << "skipped: " << needs.variable << " must name " << needs.what << "\n";
    return 77;
  }
  return Catch::Session().run(argc, argv);
}
