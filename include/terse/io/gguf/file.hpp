#pragma once
/// Reads GGUF files, versions 2 and 3 (github.com/ggml-org/ggml, docs/gguf.md).
///
///   "GGUF" · u32 version · u64 number of tensors · u64 number of metadata · the metadata · the tensors' names, sizes, formats, offsets ·
///   padding · the tensors' bytes, each padded to a multiple of general.alignment (32)
///
/// Little-endian. Sizes stand innermost first in the file; Shape has them outermost first, as everywhere.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/core/dtype.hpp>
#include <terse/core/json.hpp>
#include <terse/io/file.hpp>
#include <terse/io/gguf/blocks.hpp>
#include <terse/io/gguf/types.hpp>
#include <terse/io/tensor_table.hpp>

namespace terse::io {

/// One metadata value, in the file's bytes.
struct GgufValue {
  GgufKind kind;                     ///< of the value, or of a list's values
  bool is_list = false;              ///< a list of `count` values
  std::uint64_t count = 1;           ///< values
  std::span<const std::byte> bytes;  ///< one after the other; a text is its length in 8 bytes, and its bytes
};

/// One tensor of a GGUF file.
struct GgufTensor {
  GgmlType type;
  Shape shape;                       ///< outermost first
  std::span<const std::byte> bytes;  ///< row after row, each of whole blocks

  /// Values of a row, and rows.
  Index columns() const { return shape.empty() ? 1 : shape.back(); }
  Index rows() const { return columns() == 0 ? 0 : static_cast<Index>(bytes.size() / row_bytes()); }
  std::size_t row_bytes() const { return static_cast<std::size_t>(columns() / format_of(type).block) * format_of(type).bytes; }
  /// Row `row` as floats.
  void read_row(Index row, std::span<float> values) const { detail::dequantize(type, bytes.data() + static_cast<std::size_t>(row) * row_bytes(), values); }
};

namespace detail {

constexpr std::string_view gguf_magic = "GGUF";

/// The bytes of a GGUF file in order; nothing is taken that isn't there. Messages name the file and what was being read.
class GgufCursor {
 public:
  GgufCursor(const std::string& file, std::span<const std::byte> bytes) : file_(file), bytes_(bytes) {}

  template <class T>
  T number(const std::string& what) {
    return load<T>(take(sizeof(T), what).data());
  }
  std::span<const std::byte> take(std::uint64_t count, const std::string& what) {
    if (count > left()) refuse(what, " needs ", count, " bytes at byte ", at_, ", ", left(), " are left: cut short or damaged; download or write it again");
    const auto taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += taken.size();
    return taken;
  }
  std::string_view text(const std::string& what) {
    const auto bytes = take(number<std::uint64_t>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// A count of things of at least `least` bytes each, all of which must still follow.
  std::uint64_t count(std::uint64_t least, const std::string& what) {
    const auto counted = number<std::uint64_t>(what);
    if (counted > left() / least) refuse(what, " is ", counted, ", more than ", left(), " bytes can hold: cut short or damaged; download or write it again");
    return counted;
  }
  std::size_t position() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }

  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(Failure::bad_input, file_, ": ", parts...);
  }

 private:
  const std::string& file_;
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

/// A value of a file's metadata, as read or as refused; `key` for messages.
inline GgufValue read_gguf_value(GgufCursor& cursor, const std::string& key) {
  const auto kind_of = [&](std::uint32_t number) {
    if (number > static_cast<std::uint32_t>(GgufKind::f64)) cursor.refuse(key, ": unknown kind of value ", number, ": damaged, or newer than what is read here");
    return static_cast<GgufKind>(number);
  };
  GgufValue value{kind_of(cursor.number<std::uint32_t>(key)), false, 1, {}};
  if (value.kind == GgufKind::list) {
    value.is_list = true;
    value.kind = kind_of(cursor.number<std::uint32_t>(key));
    if (value.kind == GgufKind::list) cursor.refuse(key, ": a list of lists isn't read here; write the file without it");
    value.count = cursor.count(value.kind == GgufKind::text ? 8 : bytes_of(value.kind), key + ": its length");
  }
  if (value.kind != GgufKind::text) {
    value.bytes = cursor.take(value.count * bytes_of(value.kind), key);
    if (value.kind == GgufKind::boolean)
      for (const std::byte truth : value.bytes)
        if (std::to_integer<int>(truth) > 1) cursor.refuse(key, ": ", std::to_integer<int>(truth), " is neither true nor false: damaged; download or write it again");
    return value;
  }
  GgufCursor ahead = cursor;
  for (std::uint64_t i = 0; i < value.count; ++i) ahead.text(key);
  value.bytes = cursor.take(ahead.position() - cursor.position(), key);
  return value;
}

}  // namespace detail

/// A GGUF file whose bytes are in memory, which must stay there. Everything it claims is checked first.
///
/// Errors     Failure::bad_input, naming the file and the tensor or the key
class Gguf {
 public:
  using Values = std::map<std::string, GgufValue, std::less<>>;
  using Tensors = std::map<std::string, GgufTensor, std::less<>>;

  /// `name`: of the file, for messages.
  Gguf(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return name_; }
  /// By key and by name, in alphabetical order.
  const Values& metadata() const { return metadata_; }
  const Tensors& tensors() const { return tensors_; }

  /// The tensor, or null where the file has none of that name.
  const GgufTensor* find(std::string_view tensor) const {
    const auto found = tensors_.find(tensor);
    return found == tensors_.end() ? nullptr : &found->second;
  }

  /// Copies the tensor of that name and shape into `values`, as floats rounded to T (nearest even).
  /// Errors     Failure::bad_input: it is missing or has another shape
  template <Real T>
  void read(std::string_view tensor, const Shape& shape, std::span<T> values) const {
    const GgufTensor* found = find(tensor);
    detail::check_wanted(name_, tensor, found == nullptr ? nullptr : &found->shape, shape, values.size());
    std::vector<float> row(static_cast<std::size_t>(found->columns()));
    for (Index r = 0; r < found->rows(); ++r) {
      found->read_row(r, row);
      std::transform(row.begin(), row.end(), values.begin() + static_cast<std::ptrdiff_t>(r * found->columns()), [](float value) { return T(value); });
    }
  }

  /// Whether the metadata has the key.
  bool has(std::string_view key) const { return metadata_.contains(key); }
  /// The text of a key.
  /// Errors     Failure::bad_input, naming the key: it is missing, or another kind of value; so for all below
  std::string_view text(std::string_view key) const { return texts_of(single(key, GgufKind::text), 1).front(); }
  /// Whether it is true.
  bool flag(std::string_view key) const { return std::to_integer<int>(single(key, GgufKind::boolean).bytes[0]) != 0; }
  /// A whole number of any width.
  std::int64_t integer(std::string_view key) const {
    const GgufValue& value = found(key);
    if (value.is_list || !is_integer(value.kind)) wrong(key, value, "a whole number");
    return integer_of(key, value, 0);
  }
  /// A number of any kind.
  double number(std::string_view key) const {
    const GgufValue& value = found(key);
    if (!value.is_list && value.kind == GgufKind::f32) return detail::load<float>(value.bytes.data());
    if (!value.is_list && value.kind == GgufKind::f64) return detail::load<double>(value.bytes.data());
    if (value.is_list || !is_integer(value.kind)) wrong(key, value, "a number");
    return static_cast<double>(integer_of(key, value, 0));
  }
  /// A list of texts, which lie in the file.
  std::vector<std::string_view> texts(std::string_view key) const {
    const GgufValue& value = found(key);
    if (!value.is_list || value.kind != GgufKind::text) wrong(key, value, "a list of texts");
    return texts_of(value, value.count);
  }
  /// A list of whole numbers.
  std::vector<std::int64_t> integers(std::string_view key) const {
    const GgufValue& value = found(key);
    if (!value.is_list || !is_integer(value.kind)) wrong(key, value, "a list of whole numbers");
    std::vector<std::int64_t> numbers;
    for (std::uint64_t i = 0; i < value.count; ++i) numbers.push_back(integer_of(key, value, i));
    return numbers;
  }

  template <class... Parts>
  [[noreturn]] void refuse(std::string_view key, const Parts&... parts) const {
    fail(Failure::bad_input, name_, ": ", in_quotes(key), " ", parts...);
  }

 private:
  static bool is_integer(GgufKind kind) {
    return kind != GgufKind::f32 && kind != GgufKind::f64 && kind != GgufKind::boolean && kind != GgufKind::text;
  }
  const GgufValue& found(std::string_view key) const {
    const auto value = metadata_.find(key);
    if (value == metadata_.end()) refuse(key, "is missing: another kind of model, or converted by an old program; convert it again");
    return value->second;
  }
  const GgufValue& single(std::string_view key, GgufKind kind) const {
    const GgufValue& value = found(key);
    if (value.is_list || value.kind != kind) wrong(key, value, name_of(kind));
    return value;
  }
  [[noreturn]] void wrong(std::string_view key, const GgufValue& value, std::string_view expected) const {
    refuse(key, "is ", value.is_list ? "a list" : name_of(value.kind), ", ", expected, " expected; convert it again");
  }
  std::vector<std::string_view> texts_of(const GgufValue& value, std::uint64_t count) const {
    std::vector<std::string_view> texts;
    detail::GgufCursor cursor(name_, value.bytes);
    for (std::uint64_t i = 0; i < count; ++i) texts.push_back(cursor.text(""));
    return texts;
  }
  std::int64_t integer_of(std::string_view key, const GgufValue& value, std::uint64_t index) const {
    const detail::Block bytes = value.bytes.data() + index * bytes_of(value.kind);
    switch (value.kind) {
      case GgufKind::u8: return detail::load<std::uint8_t>(bytes);
      case GgufKind::i8: return detail::load<std::int8_t>(bytes);
      case GgufKind::u16: return detail::load<std::uint16_t>(bytes);
      case GgufKind::i16: return detail::load<std::int16_t>(bytes);
      case GgufKind::u32: return detail::load<std::uint32_t>(bytes);
      case GgufKind::i32: return detail::load<std::int32_t>(bytes);
      case GgufKind::i64: return detail::load<std::int64_t>(bytes);
      default: break;
    }
    const auto number = detail::load<std::uint64_t>(bytes);
    if (number > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) refuse(key, "is ", number, ", too large for any count: damaged");
    return static_cast<std::int64_t>(number);
  }

  detail::TensorRange read_tensor(detail::GgufCursor& cursor, std::uint64_t alignment);
  std::uint64_t alignment() const;

  std::string name_;
  Values metadata_;
  Tensors tensors_;
};

inline Gguf::Gguf(std::span<const std::byte> bytes, std::string name) : name_(std::move(name)) {
  detail::GgufCursor cursor(name_, bytes);
  if (bytes.size() < 4 || std::memcmp(bytes.data(), detail::gguf_magic.data(), 4) != 0) cursor.refuse("doesn't begin with \"GGUF\": not a GGUF file, or damaged");
  cursor.take(4, "the magic number");
  const auto version = cursor.number<std::uint32_t>("the version");
  if ((version & 0xFFFFu) == 0 && version != 0) cursor.refuse("is big-endian; convert it for little-endian machines");
  if (version != 2 && version != 3) cursor.refuse("is of version ", version, ", 2 and 3 are read here; convert it again");

  const auto count = cursor.count(8 + 4 + 4 + 8, "the number of tensors"), values = cursor.count(8 + 4 + 1, "the number of metadata");
  for (std::uint64_t i = 0; i < values; ++i) {
    const std::string key(cursor.text("a metadata key"));
    if (!metadata_.emplace(key, detail::read_gguf_value(cursor, in_quotes(key))).second) refuse(key, "stands twice: damaged; download or write it again");
  }
  const std::uint64_t step = alignment();
  std::vector<detail::TensorRange> ranges;
  for (std::uint64_t i = 0; i < count; ++i) ranges.push_back(read_tensor(cursor, step));

  if (const std::uint64_t rest = cursor.position() % step; rest != 0 && count > 0) cursor.take(step - rest, "the padding before the tensors");
  const auto data = bytes.subspan(cursor.position());
  for (const auto& range : ranges) {
    if (range.end > data.size())
      detail::refuse_tensor(name_, range.name, "ends at byte ", range.end, " of the data, which has ", data.size(), ": cut short; download or copy it again");
    tensors_.find(range.name)->second.bytes = data.subspan(range.begin, range.end - range.begin);
  }
  if (count > 0) detail::check_cover(name_, std::move(ranges), data.size(), step);
}

inline std::uint64_t Gguf::alignment() const {
  constexpr std::string_view key = "general.alignment";
  if (!has(key)) return 32;
  const std::int64_t alignment = integer(key);
  constexpr std::int64_t most = 1 << 20;
  if (alignment < 1 || alignment > most || !std::has_single_bit(static_cast<std::uint64_t>(alignment)))
    refuse(key, "is ", alignment, ", a power of two up to ", most, " expected: damaged; write it again");
  return static_cast<std::uint64_t>(alignment);
}

/// Its place is held against the data's end later, when that is known.
inline detail::TensorRange Gguf::read_tensor(detail::GgufCursor& cursor, std::uint64_t alignment) {
  const std::string name(cursor.text("a tensor's name")), what = concat("tensor ", in_quotes(name));
  const auto dimensions = cursor.number<std::uint32_t>(what);
  if (dimensions > 4) detail::refuse_tensor(name_, name, "has ", dimensions, " dimensions, more than 4: damaged; download or write it again");
  GgufTensor tensor{GgmlType::f32, Shape(dimensions), {}};
  for (std::uint32_t d = dimensions; d-- > 0;) {
    const auto extent = cursor.number<std::uint64_t>(what);
    if (extent > std::uint64_t{std::numeric_limits<Index>::max()}) detail::refuse_tensor(name_, name, "shape holds ", extent, ", which is too large: damaged");
    tensor.shape[d] = static_cast<Index>(extent);
  }
  const auto number = cursor.number<std::uint32_t>(what);
  const GgmlFormat* format = ggml_format(number);
  if (format == nullptr)
    detail::refuse_tensor(name_, name, "format ", number, " isn't read here, only ", ggml_formats_in_words(), "; convert it to one of them (llama-quantize)");
  tensor.type = format->type;
  if (tensor.columns() % format->block != 0)
    detail::refuse_tensor(name_, name, "rows of ", tensor.columns(), " values aren't whole blocks of ", format->block, ", as ", format->name, " has them: damaged");
  const auto values = detail::checked_size(tensor.shape, 1);
  const auto bytes = values ? detail::checked_product(*values / static_cast<std::uint64_t>(format->block), format->bytes) : std::nullopt;
  const auto begin = cursor.number<std::uint64_t>(what);
  if (!bytes || begin > std::uint64_t{std::numeric_limits<std::int64_t>::max()} - *bytes)
    detail::refuse_tensor(name_, name, "shape ", detail::words(tensor.shape), " at byte ", begin, " is too large for any memory: damaged; download or copy it again");
  if (begin % alignment != 0)
    detail::refuse_tensor(name_, name, "begins at byte ", begin, ", no multiple of ", alignment, ": damaged; download or write it again");
  if (!tensors_.emplace(name, std::move(tensor)).second) detail::refuse_tensor(name_, name, "stands twice: damaged; download or write it again");
  return {begin, begin + *bytes, name};
}

/// A GGUF file open for reading; the tensors are read when looked at.
class GgufFile : private MappedFile, public Gguf {
 public:
  /// Maps the file and checks it.
  /// Errors     those of Gguf, and Failure::bad_input where the file cannot be read
  static GgufFile open(const std::filesystem::path& path) { return GgufFile(path); }
  using MappedFile::path, Gguf::text;

 private:
  explicit GgufFile(const std::filesystem::path& path) : MappedFile(path), Gguf(bytes(), path.string()) {}
};

/// Whether the file of that name begins as a GGUF file does; no safetensors file does.
/// Errors     Failure::bad_input: it cannot be read
inline bool is_gguf(const std::filesystem::path& path) { return MappedFile(path).text().starts_with(detail::gguf_magic); }

}  // namespace terse::io
