#pragma once
/// Tensors by name in one file, as the Hugging Face hub has them. Format and checks as the reference implementation
/// (github.com/huggingface/safetensors):
///
///   8 bytes: N, little-endian · N bytes: a JSON object, padded with spaces to a multiple of 8 · the tensors' bytes
///   {"__metadata__": {"format": "pt"}, "wte.weight": {"dtype": "F32", "shape": [50257, 768], "data_offsets": [begin, end]}, …}
///
/// Tensors are row-major; offsets count from the end of the header; together the tensors cover the rest of the file, without
/// gap or overlap.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/core/dtype.hpp>
#include <terse/core/json.hpp>
#include <terse/core/shape.hpp>
#include <terse/io/file.hpp>
#include <terse/io/tensor_table.hpp>

namespace terse::io {

static_assert(std::endian::native == std::endian::little, "terse: safetensors files are little-endian, and so must the machine be");

/// What a file's tensor may hold; more than what a model computes in (Dtype), since files also carry masks and counters.
/// In the order in which tensors lie in a file: the strictest alignment first, so that each is aligned.
enum class StoredDtype : std::uint8_t { u64, i64, f64, f32, u32, i32, bf16, f16, u16, i16, i8, u8, boolean };

/// One tensor of an open file.
struct TensorInfo {
  StoredDtype dtype;
  Shape shape;                       ///< empty for a scalar
  std::span<const std::byte> bytes;  ///< row-major, in the mapped file: valid as long as the file is open; may be unaligned

  /// Number of values.
  Index elements() const;
};

/// Whether two tensors of a file hold the same.
inline bool same_values(const TensorInfo& a, const TensorInfo& b) {
  return a.dtype == b.dtype && a.shape == b.shape && std::ranges::equal(a.bytes, b.bytes);
}

/// One tensor of a file to write.
struct TensorToWrite {
  std::string name;
  StoredDtype dtype;
  Shape shape;
  std::span<const std::byte> bytes;  ///< row-major; read while the file is written, never copied
  std::function<std::span<const std::byte>()> make = {};  ///< where there are no bytes yet: makes them when they are written; they are needed until the next tensor's
};

/// Notes in a file's header, by name.
using Metadata = std::map<std::string, std::string>;

/// F32, BF16, …: the name in the file.
constexpr std::string_view name_of(StoredDtype dtype) {
  constexpr std::string_view names[] = {"U64", "I64", "F64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "I8", "U8", "BOOL"};
  return names[static_cast<std::size_t>(dtype)];
}

/// Bytes of one value.
constexpr std::size_t bytes_of(StoredDtype dtype) {
  return dtype <= StoredDtype::f64 ? 8 : dtype <= StoredDtype::i32 ? 4 : dtype <= StoredDtype::i16 ? 2 : 1;
}

/// How a file says `dtype`.
constexpr StoredDtype stored(Dtype dtype) {
  constexpr StoredDtype same[] = {StoredDtype::f64, StoredDtype::f32, StoredDtype::f16, StoredDtype::bf16};
  return same[static_cast<std::size_t>(dtype)];
}

/// A tensor to write, of values in memory.
template <Real T>
TensorToWrite tensor_to_write(std::string name, Shape shape, std::span<const T> values) {
  return {std::move(name), stored(dtype_of<T>()), std::move(shape), std::as_bytes(values)};
}

namespace detail {

inline constexpr std::uint64_t max_header_bytes = 100'000'000;  // the reference's limit; GPT-2's header has 14 KB

inline std::optional<StoredDtype> dtype_named(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(StoredDtype::boolean); ++i)
    if (name_of(static_cast<StoredDtype>(i)) == name) return static_cast<StoredDtype>(i);
  return std::nullopt;
}

template <class T, class Stored>
void convert(std::span<const std::byte> bytes, std::span<T> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    Stored stored_value;
    std::memcpy(&stored_value, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    if constexpr (std::same_as<T, double>) values[i] = static_cast<double>(stored_value);
    else values[i] = T(static_cast<float>(stored_value));
  }
}

// The header of one file, checked from the outside in. Every message names the file, and the tensor if it is about one.
class SafetensorsParser {
 public:
  SafetensorsParser(const std::string& file, std::span<const std::byte> bytes) : file_(file), bytes_(bytes) {}

  void parse(std::map<std::string, TensorInfo, std::less<>>& tensors, Metadata& metadata) {
    constexpr int deepest = 3;  // the header, a tensor, its shape
    const auto header = parse_json(header_text(), {file_ + ": its header", "damaged: download or write it again", deepest});
    for (const auto& [name, value] : header.items()) {
      if (name == "__metadata__") read_metadata(value, metadata);
      else tensors.emplace(name, read_tensor(name, value));
    }
    check_cover(file_, std::move(ranges_), data_.size(), 1);
  }

 private:

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(Failure::bad_input, file_, ": ", parts...);
  }
  template <class... Parts>
  [[noreturn]] void refuse_tensor(const std::string& name, const Parts&... parts) const {
    detail::refuse_tensor(file_, name, parts...);
  }

  std::string_view header_text() {
    if (bytes_.size() < 8) refuse(bytes_.size(), " bytes are too few for a safetensors file; download or copy it again");
    std::uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), sizeof length);
    if (length > max_header_bytes)
      refuse("says its header has ", length, " bytes, more than ", max_header_bytes, ": not a safetensors file, or damaged");
    if (length > bytes_.size() - 8)
      refuse("says its header has ", length, " bytes, but only ", bytes_.size() - 8, " follow: cut short; download or copy it again");
    data_ = bytes_.subspan(8 + length);
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + 8, length);
    if (!text.starts_with('{')) refuse("its header doesn't start with '{': not a safetensors file, or damaged");
    return text;
  }

  void read_metadata(const nlohmann::json& value, Metadata& metadata) const {
    if (!value.is_object()) refuse("__metadata__ isn't an object of strings: write the file again");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) refuse("__metadata__ ", in_quotes(key), " isn't a string: write the file again");
      metadata[key] = text.get<std::string>();
    }
  }

  // A list of whole numbers, none negative.
  std::vector<std::uint64_t> read_numbers(const std::string& name, const nlohmann::json& tensor, const char* field) const {
    const auto found = tensor.find(field);
    if (found == tensor.end()) refuse_tensor(name, field, " is missing: write the file again");
    if (!found->is_array()) refuse_tensor(name, field, " isn't a list: write the file again");
    std::vector<std::uint64_t> numbers;
    for (const auto& number : *found) {
      if (!number.is_number_unsigned()) refuse_tensor(name, field, " holds ", in_words(number), ", not a count: write the file again");
      numbers.push_back(number.get<std::uint64_t>());
    }
    return numbers;
  }

  TensorInfo read_tensor(const std::string& name, const nlohmann::json& value) {
    if (!value.is_object()) refuse_tensor(name, "isn't described by an object: write the file again");
    const auto dtype_field = value.find("dtype");
    if (dtype_field == value.end() || !dtype_field->is_string()) refuse_tensor(name, "dtype is missing: write the file again");
    const auto dtype = dtype_named(dtype_field->get<std::string>());
    if (!dtype) refuse_tensor(name, "dtype ", in_quotes(dtype_field->get<std::string>()), " is unknown here; convert it to F32, F16 or BF16");

    TensorInfo info{*dtype, {}, {}};
    for (const std::uint64_t extent : read_numbers(name, value, "shape")) {
      if (extent > std::uint64_t{std::numeric_limits<Index>::max()}) refuse_tensor(name, "shape holds ", extent, ", which is too large: damaged");
      info.shape.push_back(static_cast<Index>(extent));
    }
    const auto bytes = checked_size(info.shape, bytes_of(*dtype));
    if (!bytes) refuse_tensor(name, "shape ", words(info.shape), " is too large for any memory: damaged; download or copy it again");

    const auto offsets = read_numbers(name, value, "data_offsets");
    if (offsets.size() != 2) refuse_tensor(name, "data_offsets has ", offsets.size(), " numbers, 2 expected: write the file again");
    const auto begin = offsets[0], end = offsets[1];
    if (begin > end) refuse_tensor(name, "ends at byte ", end, ", before its begin at ", begin, ": damaged; download or copy it again");
    if (end > data_.size())
      refuse_tensor(name, "ends at byte ", end, " of the data, which has ", data_.size(), ": cut short; download or copy it again");
    if (end - begin != *bytes)
      refuse_tensor(name, name_of(*dtype), " ", words(info.shape), " needs ", *bytes, " bytes, data_offsets give ", end - begin,
                    ": damaged; download or copy it again");
    info.bytes = data_.subspan(begin, end - begin);
    ranges_.push_back({begin, end, name});
    return info;
  }

  const std::string& file_;
  std::span<const std::byte> bytes_, data_;
  std::vector<TensorRange> ranges_;
};

}  // namespace detail

inline Index TensorInfo::elements() const { return static_cast<Index>(bytes.size() / bytes_of(dtype)); }

/// The tensors of a safetensors file whose bytes are in memory, which must stay there. Everything the header claims is checked first.
///
/// Errors     Failure::bad_input, naming the file and the tensor
class Safetensors {
 public:
  /// `name`: of the file, for messages.
  Safetensors(std::span<const std::byte> bytes, std::string name) : name_(std::move(name)) { detail::SafetensorsParser(name_, bytes).parse(tensors_, metadata_); }

  const std::string& name() const { return name_; }
  const Metadata& metadata() const { return metadata_; }
  /// By name, in alphabetical order.
  const std::map<std::string, TensorInfo, std::less<>>& tensors() const { return tensors_; }

  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& [name, info] : tensors_) result.push_back(name);
    return result;
  }
  /// The tensor, or null where the file has none of that name.
  const TensorInfo* find(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }

  /// Copies the tensor of that name and shape into `values`, rounded to T (nearest even) where the file holds another
  /// floating-point format.
  /// Errors     Failure::bad_input: it is missing, has another shape, or isn't floating-point
  template <Real T>
  void read(std::string_view name, const Shape& shape, std::span<T> values) const {
    const TensorInfo* info = find(name);
    detail::check_wanted(name_, name, info == nullptr ? nullptr : &info->shape, shape, values.size());
    if (info->dtype == stored(dtype_of<T>())) {
      if (!values.empty()) std::memcpy(values.data(), info->bytes.data(), info->bytes.size());
      return;
    }
    switch (info->dtype) {
      case StoredDtype::f64: return detail::convert<T, double>(info->bytes, values);
      case StoredDtype::f32: return detail::convert<T, float>(info->bytes, values);
      case StoredDtype::f16: return detail::convert<T, half>(info->bytes, values);
      case StoredDtype::bf16: return detail::convert<T, bfloat16>(info->bytes, values);
      default: detail::refuse_tensor(name_, name, "holds ", name_of(info->dtype), ", not floating-point numbers: is this another model's file?");
    }
  }

 private:
  std::string name_;
  std::map<std::string, TensorInfo, std::less<>> tensors_;
  Metadata metadata_;
};

/// A safetensors file open for reading; the data are read when looked at.
class SafetensorsFile : private MappedFile, public Safetensors {
 public:
  /// Maps the file and checks its header.
  /// Errors     those of Safetensors, and Failure::bad_input where the file cannot be read
  static SafetensorsFile open(const std::filesystem::path& path) { return SafetensorsFile(path); }
  using MappedFile::path;

 private:
  explicit SafetensorsFile(const std::filesystem::path& path) : MappedFile(path), Safetensors(bytes(), path.string()) {}
};

/// Writes a safetensors file, byte for byte as the reference does: ordered by alignment, then by name. The file appears
/// whole or not at all (AtomicFile). `transformers` wants the metadata {"format": "pt"}.
///
/// Errors     Failure::cannot_write (disk full, …) · Failure::internal: a name stands twice, or bytes don't match shape and dtype · what a tensor's `make` throws; the file that was there stays
inline void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                              const Metadata& metadata = {{"format", "pt"}}) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    return a.dtype != b.dtype ? a.dtype < b.dtype : a.name < b.name;
  });
  const auto require_size = [&](const TensorToWrite& tensor, std::size_t bytes, std::optional<std::uint64_t> size) {
    if (size != std::uint64_t{bytes})
      fail(Failure::internal, path.string(), ": tensor ", in_quotes(tensor.name), ": ", bytes, " bytes for ", name_of(tensor.dtype), " ", detail::words(tensor.shape));
  };
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t end = 0;
  for (const TensorToWrite& tensor : tensors) {
    const auto size = detail::checked_size(tensor.shape, bytes_of(tensor.dtype));
    require_size(tensor, tensor.make ? static_cast<std::size_t>(size.value_or(0)) : tensor.bytes.size(), size);
    if (header.contains(tensor.name) || tensor.name == "__metadata__")
      fail(Failure::internal, path.string(), ": tensor ", in_quotes(tensor.name), ": the name is taken");
    auto& entry = header[tensor.name];
    entry["dtype"] = name_of(tensor.dtype);
    entry["shape"] = tensor.shape;
    entry["data_offsets"] = {end, end + *size};
    end += *size;
  }
  std::string text = header.dump();
  text.resize(round_up<std::size_t>(text.size(), 8), ' ');
  const std::uint64_t length = text.size();

  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  for (const TensorToWrite& tensor : tensors) {
    const auto bytes = tensor.make ? tensor.make() : tensor.bytes;
    require_size(tensor, bytes.size(), detail::checked_size(tensor.shape, bytes_of(tensor.dtype)));
    file.write(bytes);
  }
  file.commit();
}

}  // namespace terse::io
