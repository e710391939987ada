// Two translation units that include all of terse, in one program: every definition may stand in both.
#include <terse/terse.hpp>

#include "support/catch.hpp"
#include "package/two_units/unit.hpp"

using namespace terse;

TEST_CASE("two translation units with all of terse link, and share its types") {
  Cpu cpu(1);
  models::Gpt<Small, Fp32, Cpu> model(cpu);
  initialize_elsewhere(model);
  CHECK(std::string(models::Gpt<Small, Fp32, Cpu>::table[0].name.view()) == "wte.weight");
  CHECK(model.flat()[0] != 0);
  CHECK_THROWS_AS(fail_elsewhere(), Error);
}
