// expect: terse: a tensor holds float, double, half or bfloat16
// expect: int
#include <terse/tensor/tensor.hpp>

terse::Index run(terse::Rows<int, 8> ids) { return ids.size(); }
