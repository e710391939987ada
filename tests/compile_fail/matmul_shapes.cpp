// expect: terse: matmul: the columns of x must be as many as the rows of w
// expect: MatmulShapes<5, 6, 7, 7>
#include <terse/ops/matmul/cpu.hpp>

using namespace terse;

void multiply(Cpu& cpu, Rows<const float, 5> x, Matrix<const float, 6, 7> w, Rows<float, 7> y) { ops::matmul(cpu, x, w, y); }
