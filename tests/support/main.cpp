#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "catch.hpp"

#include <cstdlib>
#include <iostream>

// TERSE_NEEDS: an environment variable without which a test can't run; it then says skipped, and ctest too.
int main(int argc, char** argv) {
#ifdef TERSE_NEEDS
  if (std::getenv(TERSE_NEEDS) == nullptr) {
    std::cout << "skipped: " TERSE_NEEDS " must name " TERSE_NEEDS_WHAT "\n";
    return 77;
  }
#endif
  return Catch::Session().run(argc, argv);
}
