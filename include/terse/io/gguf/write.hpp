#pragma once
/// Writes GGUF files, byte for byte as the Python package gguf does.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <terse/core/shape.hpp>
#include <terse/io/file.hpp>
#include <terse/io/gguf/blocks.hpp>
#include <terse/io/gguf/types.hpp>
#include <terse/io/tensor_table.hpp>

namespace terse::io {

/// A metadata value to write.
using GgufEntry = std::variant<std::uint32_t, std::int32_t, float, bool, std::string, std::vector<std::string>, std::vector<std::int32_t>>;

/// Metadata to write, in the file's order.
using GgufMetadata = std::vector<std::pair<std::string, GgufEntry>>;

/// One tensor of a file to write.
struct GgufTensorToWrite {
  std::string name;
  GgmlType type;  ///< f32, f16 or q8_0
  Shape shape;    ///< outermost first
  std::function<void(Index row, std::span<float> values)> read_row;  ///< called while the file is written, once a row, in order
};

namespace detail {

class GgufWriter {
 public:
  explicit GgufWriter(const std::filesystem::path& path) : file_(path) {}

  template <class T>
  void number(T value) {
    bytes(std::as_bytes(std::span(&value, 1)));
  }
  void text(std::string_view text) {
    number<std::uint64_t>(text.size());
    bytes(std::as_bytes(std::span(text)));
  }
  void kind(GgufKind kind) { number(static_cast<std::uint32_t>(kind)); }
  void entry(const GgufEntry& entry) {
    constexpr GgufKind kinds[] = {GgufKind::u32, GgufKind::i32, GgufKind::f32, GgufKind::boolean, GgufKind::text, GgufKind::list, GgufKind::list};
    kind(kinds[entry.index()]);
    std::visit([this](const auto& value) { write(value); }, entry);
  }
  void bytes(std::span<const std::byte> bytes) {
    file_.write(bytes);
    written_ += bytes.size();
  }
  void pad(std::size_t alignment) {
    const std::vector<std::byte> zeros(round_up(written_, alignment) - written_);
    bytes(zeros);
  }
  void commit() { file_.commit(); }

 private:
  void write(const std::string& value) { text(value); }
  void write(const std::vector<std::string>& values) {
    kind(GgufKind::text);
    number<std::uint64_t>(values.size());
    for (const auto& value : values) text(value);
  }
  void write(const std::vector<std::int32_t>& values) {
    kind(GgufKind::i32);
    number<std::uint64_t>(values.size());
    bytes(std::as_bytes(std::span(values)));
  }
  template <class T>
  void write(T value) {
    number(value);
  }

  AtomicFile file_;
  std::size_t written_ = 0;
};

/// One row, as a file has it.
inline void encode_row(GgmlType type, std::span<const float> values, std::span<std::byte> bytes) {
  for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(format_of(type).block)) {
    std::byte* const block = bytes.data() + i / static_cast<std::size_t>(format_of(type).block) * format_of(type).bytes;
    const half rounded(values[i]);
    if (type == GgmlType::q8_0) write_q8_0(&values[i], block);
    else if (type == GgmlType::f16) std::memcpy(block, &rounded, sizeof rounded);
    else std::memcpy(block, &values[i], sizeof(float));
  }
}

inline void check_to_write(const std::string& file, const GgufMetadata& metadata, const std::vector<GgufTensorToWrite>& tensors) {
  std::set<std::string> keys, names;
  for (const auto& [key, entry] : metadata)
    if (!keys.insert(key).second) fail(Failure::internal, file, ": ", in_quotes(key), " stands twice");
  for (const GgufTensorToWrite& tensor : tensors) {
    const bool written = tensor.type == GgmlType::f32 || tensor.type == GgmlType::f16 || tensor.type == GgmlType::q8_0;
    const bool whole = tensor.shape.empty() || tensor.shape.back() % format_of(tensor.type).block == 0;
    if (!names.insert(tensor.name).second) fail(Failure::internal, file, ": tensor ", in_quotes(tensor.name), ": the name is taken");
    if (!written || !whole || tensor.shape.size() > 4)
      fail(Failure::internal, file, ": tensor ", in_quotes(tensor.name), ": ", words(tensor.shape), " can't be written as ", format_of(tensor.type).name);
  }
}

}  // namespace detail

/// Writes a GGUF file of version 3. The file appears whole or not at all (AtomicFile).
///
/// Errors     Failure::cannot_write (disk full, …) · Failure::bad_input: a value that isn't finite, as Q8_0 · Failure::internal: a key or a name stands twice, a format that isn't written, rows that aren't whole blocks
inline void write_gguf(const std::filesystem::path& path, const GgufMetadata& metadata, const std::vector<GgufTensorToWrite>& tensors) {
  constexpr std::size_t alignment = 32;
  detail::check_to_write(path.string(), metadata, tensors);
  detail::GgufWriter writer(path);
  writer.bytes(std::as_bytes(std::span(std::string_view("GGUF"))));
  writer.number<std::uint32_t>(3);
  writer.number<std::uint64_t>(tensors.size());
  writer.number<std::uint64_t>(metadata.size());
  for (const auto& [key, entry] : metadata) writer.text(key), writer.entry(entry);
  const auto columns_of = [](const GgufTensorToWrite& tensor) { return tensor.shape.empty() ? Index{1} : tensor.shape.back(); };
  const auto row_bytes = [&](const GgufTensorToWrite& tensor) { return static_cast<std::size_t>(columns_of(tensor) / format_of(tensor.type).block) * format_of(tensor.type).bytes; };
  const auto rows_of = [](const GgufTensorToWrite& tensor) {
    Index rows = 1;
    for (std::size_t d = 0; d + 1 < tensor.shape.size(); ++d) rows *= tensor.shape[d];
    return rows;
  };
  std::uint64_t offset = 0;
  for (const GgufTensorToWrite& tensor : tensors) {
    writer.text(tensor.name);
    writer.number(static_cast<std::uint32_t>(tensor.shape.size()));
    for (std::size_t d = tensor.shape.size(); d-- > 0;) writer.number(static_cast<std::uint64_t>(tensor.shape[d]));
    writer.number(static_cast<std::uint32_t>(tensor.type));
    writer.number(offset);
    offset = round_up<std::uint64_t>(offset + static_cast<std::uint64_t>(rows_of(tensor)) * row_bytes(tensor), alignment);
  }
  writer.pad(alignment);
  for (const GgufTensorToWrite& tensor : tensors) {
    std::vector<float> values(static_cast<std::size_t>(columns_of(tensor)));
    std::vector<std::byte> bytes(row_bytes(tensor));
    for (Index row = 0; row < rows_of(tensor); ++row) {
      tensor.read_row(row, values);
      if (tensor.type == GgmlType::q8_0 && !std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
        detail::refuse_tensor(path.string(), tensor.name, "row ", row, " holds a value that isn't finite, which Q8_0 can't; write it as F32");
      detail::encode_row(tensor.type, values, bytes);
      writer.bytes(bytes);
    }
    writer.pad(alignment);
  }
  writer.commit();
}

}  // namespace terse::io
