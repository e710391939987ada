#pragma once
// All logits of documents: what training never makes, and parity tests compare.
#include <vector>

#include <terse/core/arena.hpp>
#include <terse/models/transformer.hpp>
#include <terse/tensor/tensor.hpp>
#include <terse/text/packing.hpp>

#include "support/catch.hpp"

/// Logits (T, V) of the documents, one after the other, computed in one packed batch.
template <class Model>
std::vector<float> logits_of(Model& model, const std::vector<std::vector<terse::TokenId>>& documents) {
  using namespace terse;
  text::BatchStorage storage(text::BatchCapacity{});
  for (std::vector<TokenId> ids : documents) {
    ids.push_back(0);  // a sample's last id is only a target
    storage.add({0, 0, ids}, 0, 1.0f);
  }
  const PackedBatch batch = storage.batch();
  const Extent extent{batch.tokens(), batch.sequences()};
  typename Model::Saved saved;
  typename Model::Scratch scratch;
  auto& device = model.device();
  const auto memory = device.allocate(bytes_needed<typename Model::Saved>(extent) + bytes_needed<typename Model::Scratch>(extent));
  Arena arena(memory.data(), memory.bytes());
  carve(arena, saved, extent), carve(arena, scratch, extent);
  device.reserve_thread_scratch(ops::attention_scratch<typename Model::Stream, Model::C / Model::Config::heads>(Model::Config::context));
  model.forward(batch, {}, saved, scratch);
  const Tensor<Rows<typename Model::Stream, Model::padded_V>, typename Model::Device> rows(device, batch.tokens());
  ops::matmul_transposed(device, saved.last, Model::head(model.weights()), rows.view());

  std::vector<float> logits;
  for (Index t = 0; t < batch.tokens(); ++t)
    for (Index v = 0; v < Model::V; ++v) logits.push_back(static_cast<float>(rows[t][v]));
  return logits;
}
