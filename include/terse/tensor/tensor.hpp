#pragma once
/// Owning tensors: memory of a device with a view on it.

#include <terse/core/arena.hpp>
#include <terse/tensor/view.hpp>

namespace terse {

/// Owns what `View` sees; zero-filled; moves, but isn't copied. It converts to its view, which must not outlive it.
///
///   Tensor<Rows<float, 768>, Cpu> x(cpu, tokens);   // (T, 768)
///   Tensor<Vector<float, 768>, Cpu> bias(cpu);      // (768)
///
/// Errors     Failure::device: out of memory
template <class View, class Device>
class Tensor {
 public:
  using Value = typename View::Value;

  /// For views whose size is static.
  explicit Tensor(Device& device) requires requires { View::dimensions; }
      : memory_(device.allocate(static_cast<std::size_t>(View::size()) * sizeof(Value))), view_{values()} {
    device.clear(memory_.data(), static_cast<std::size_t>(view_.size()) * sizeof(Value));
  }
  /// For views that count their rows at run time.
  Tensor(Device& device, Index rows) requires requires(View v) { v.rows = rows; }
      : memory_(device.allocate(static_cast<std::size_t>(rows * View::columns) * sizeof(Value))), view_{values(), rows} {
    device.clear(memory_.data(), static_cast<std::size_t>(view_.size()) * sizeof(Value));
  }

  const View& view() const { return view_; }
  operator View() const { return view_; }
  decltype(auto) operator[](Index i) const { return view_[i]; }
  Value* data() const { return view_.data; }
  Index size() const { return view_.size(); }

 private:
  Value* values() { return reinterpret_cast<Value*>(memory_.data()); }

  typename Device::Memory memory_;
  View view_;
};

/// Owns the memory of a group of tensors (core/arena.hpp), uninitialised: `TensorGroup<Saved, Cpu> saved(cpu, {.tokens = 64})`,
/// then `saved->hidden`.
template <class Group, class Device>
class TensorGroup {
 public:
  /// Memory for groups of up to `extent`.
  /// Errors     Failure::device: out of memory
  TensorGroup(Device& device, Extent extent) : memory_(device.allocate(bytes_needed<Group>(extent))) {
    Arena arena(memory_.data(), memory_.bytes());
    carve(arena, group_, extent);
  }

  /// The views have fewer rows from now on, in the same places.
  void shrink(Extent extent) { terse::shrink(group_, extent); }
  const Group& operator*() const { return group_; }
  const Group* operator->() const { return &group_; }

 private:
  typename Device::Memory memory_;
  Group group_;
};

}  // namespace terse
