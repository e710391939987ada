// All that terse-summarize does on a GPU, in mixed precision: training, evaluation, generation. Compiled by nvcc, and as host code by g++ with the headers of an older
// CUDA (scripts/cuda-compile).
#include <terse/cuda.hpp>

#include "compiled_model_of.hpp"
#include "configs.hpp"

template class summarize::CompiledModelOf<summarize::Demo, terse::Fp16Mixed, terse::Cuda>;
