#pragma once
#include <array>
#include <cstddef>

#include <terse/nn/model.hpp>

namespace terse::optim {

/// Layer-wise learning-rate decay (Clark et al. 2020, "ELECTRA", arXiv:2003.10555, appendix A): what is nearer to the input stays nearer to the weights it was given.
///
///   lr of a parameter = lr * decay^level
///   level   0      what stands behind the blocks: last norm, head
///           L - l  block l of L, from 0
///           L + 1  what stands before them: embeddings, and so a head that is tied to them
///
/// The levels are those of BEiT's code (Bao et al. 2021, arXiv:2106.08254; beit/optim_factory.py, get_num_layer_for_vit); timm's param_groups_layer_decay counts the last
/// norm to the last block, and is otherwise the same.
///
/// Of each parameter of the model's table, in its order. Blocks are the elements of the model's arrays of layers; a model without any has levels of 0 alone.
template <nn::Model Model>
constexpr auto layer_levels() {
  std::array<int, Model::table.size()> levels{};
  int level = 0, block = -1;
  for (std::size_t i = levels.size(); i-- > 0;) {
    if (const int here = Model::table[i].traits.block; here != block) ++level, block = here;
    levels[i] = level;
  }
  return levels;
}

}  // namespace terse::optim
