#include "package/two_units/unit.hpp"

using namespace terse;

void initialize_elsewhere(models::Gpt<Small, Fp32, Cpu>& model) { nn::initialize<models::Gpt<Small, Fp32, Cpu>>(model.flat(), 42); }
void fail_elsewhere() { fail(Failure::usage, "from another translation unit"); }
