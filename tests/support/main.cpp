#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "catch.hpp"

#include <cstdlib>
#include <iostream>

int main(int argc, char** argv) {
#ifdef TERSE_NEEDS_DIALOGSUM
  if (std::getenv("TERSE_TEST_DATA") == nullptr) {
    std::cout << "skipped: TERSE_TEST_DATA must name the folder of DialogSum's dev.csv and test.csv\n";
    return 77;
  }
#endif
  return Catch::Session().run(argc, argv);
}
