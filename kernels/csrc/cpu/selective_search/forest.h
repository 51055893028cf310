// Union-find over components; each stores the greatest weight of an edge that may join it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace frcnn::selective_search {

class Forest {
 public:
  // Removes all elements. `k` is in units of edge weight times elements.
  void reset(int k) {
    scale_ = static_cast<int64_t>(k) << kFraction;
    for (int32_t size = 1; size < kTable; ++size) {
      quotients_[size] = static_cast<int32_t>(scale_ / size);
    }
    parents_.clear();
    limits_.clear();
  }

  // Adds `count` components of size 1.
  void add_singles(int32_t count) {
    parents_.resize(parents_.size() + count, -1);
    limits_.resize(limits_.size() + count, quotients_[1]);
  }

  // Adds a component of `size` whose heaviest edge has the weight `internal`.
  void add(int32_t size, int32_t internal) {
    parents_.push_back(-size);
    limits_.push_back((internal << kFraction) + quotient(size));
  }

  // Returns the root of the component of `element`. Halves the path on the way.
  int32_t find(int32_t element) {
    int32_t parent = parents_[element];
    while (parent >= 0) {
      const int32_t above = parents_[parent];
      if (above < 0) return parent;
      parents_[element] = above;
      element = above;
      parent = parents_[element];
    }
    return element;
  }

  bool is_root(int32_t element) const { return parents_[element] < 0; }
  int32_t size(int32_t root) const { return -parents_[root]; }
  int32_t internal(int32_t root) const {
    return (limits_[root] - quotient(size(root))) >> kFraction;
  }

  // Whether `weight` is at most Int(C) + k / |C| for both components.
  bool joins(int32_t a, int32_t b, int32_t weight) const {
    return (weight << kFraction) <= (limits_[a] < limits_[b] ? limits_[a] : limits_[b]);
  }

  void merge(int32_t a, int32_t b, int32_t weight) {
    if (parents_[b] < parents_[a]) std::swap(a, b);
    parents_[a] += parents_[b];
    parents_[b] = a;
    limits_[a] = (weight << kFraction) + quotient(size(a));
  }

 private:
  // Weights are compared in 1/256 of their unit, so that k / |C| has a fraction.
  static constexpr int kFraction = 8;
  static constexpr int32_t kTable = 4096;

  int32_t quotient(int32_t size) const {
    return size < kTable ? quotients_[size] : static_cast<int32_t>(scale_ / size);
  }

  int64_t scale_ = 0;
  int32_t quotients_[kTable] = {};
  std::vector<int32_t> parents_;  // for a root: minus its size
  std::vector<int32_t> limits_;   // for a root: Int(C) + k / |C|
};

}  // namespace frcnn::selective_search
