#pragma once
// A packed batch that owns its memory.
#include <vector>

#include <terse/core/arena.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/core/philox.hpp>
#include <terse/core/shape.hpp>

/// Documents of given lengths. What is in a document follows from its draw alone, so the same documents can be packed in any order.
/// The last two thirds of its rows, at least one, carry a loss.
class OwnedBatch {
 public:
  struct Document {
    int length;
    std::uint32_t draw;
  };

  OwnedBatch(const std::vector<Document>& documents, int vocabulary) {
    for (const Document& document : documents) append(document, static_cast<std::uint32_t>(vocabulary));
  }
  /// Documents with draws 0, 1, … of these lengths.
  static OwnedBatch of_lengths(const std::vector<int>& lengths, int vocabulary) {
    OwnedBatch batch({}, vocabulary);
    for (const int length : lengths) batch.append({length, static_cast<std::uint32_t>(batch.sequences())}, static_cast<std::uint32_t>(vocabulary));
    return batch;
  }

  operator terse::PackedBatch() const { return view(); }
  terse::PackedBatch view() const { return {ids_, positions_, cu_seqlens_, target_rows_, targets_, weights_, samples_, draws_}; }
  terse::Index tokens() const { return static_cast<terse::Index>(ids_.size()); }
  terse::Index sequences() const { return static_cast<terse::Index>(samples_.size()); }
  terse::Extent extent() const { return {tokens(), sequences()}; }
  terse::Index first_row(int document) const { return cu_seqlens_[static_cast<std::size_t>(document)]; }
  const std::vector<std::int32_t>& ids() const { return ids_; }
  const std::vector<std::int32_t>& positions() const { return positions_; }

 private:
  void append(Document document, std::uint32_t vocabulary) {
    terse::RandomStream random(document.draw, terse::RandomUse::synthesize);
    for (int i = 0; i < document.length; ++i) {
      if (i >= document.length / 3) {
        target_rows_.push_back(static_cast<std::int32_t>(ids_.size()));
        targets_.push_back(static_cast<std::int32_t>(random.below(vocabulary)));
        weights_.push_back(0.125f + random.uniform());
      }
      ids_.push_back(static_cast<std::int32_t>(random.below(vocabulary)));
      positions_.push_back(i);
    }
    cu_seqlens_.push_back(static_cast<std::int32_t>(ids_.size()));
    samples_.push_back(static_cast<std::int64_t>(samples_.size()));
    draws_.push_back(document.draw);
  }

  std::vector<std::int32_t> ids_, positions_, cu_seqlens_{0}, target_rows_, targets_;
  std::vector<float> weights_;
  std::vector<std::int64_t> samples_;
  std::vector<std::uint32_t> draws_;
};
