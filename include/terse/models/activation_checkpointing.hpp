#pragma once
#include <terse/models/transformer.hpp>

namespace terse::models {

/// Activation checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174; PyTorch's torch.utils.checkpoint): a model of L blocks that keeps
/// from forward to backward the stream between them, and what only `kept` of them save. What the others saved, backward computes again from the stream, a block at a time.
///
///   using Model = models::ActivationCheckpointing<models::Gpt<Mine, Fp16Mixed, Cuda>>;
///
/// Memory     GPT-2, bytes a token with activations of A bytes and a stream of 4, but for statistics and the last norm: 4 (L + 1) C + kept (4 + 8 A) C; without it kept is L
/// Time       of a GPT-2 block's products, for each token: forward 2 · 12 C² operations, backward twice as many, recompute 2 · 8 C², since the product that leads out of the
///            block needn't be computed again. So (L - kept) / L · 8 / 36 more: 20 % of 12 blocks (a quarter instead of 8 / 36 where the MLP is Llama's, of SmolLM2's sizes)
/// Backward   the same bits as without: the same ops on the same values, and dropout's masks are counted, not drawn (core/philox.hpp). Once after each forward
///
/// Parameters, names in files and optimizer's state are Base's, so what was saved with it can be read without, and a run may go on either way.
template <class Base, int kept = 1>
class ActivationCheckpointing : public Base {
  static_assert(0 < kept && kept <= Base::Config::layers, "terse: ActivationCheckpointing: at least one block must be kept, and no more than the model has");

 public:
  using Base::Base;
  using Saved = typename Base::template Activations<kept>;
};

}  // namespace terse::models
