// Union-find over components that know their size and how heavy an edge may join them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace frcnn::selective_search {

class Forest {
 public:
  // Edge weights are compared in 256ths, so that k / |C| keeps its fraction.
  static constexpr int kFraction = 8;

  Forest(int k, int weight_unit) : scale_((static_cast<int64_t>(k) * weight_unit) << kFraction) {
    for (int size = 1; size < kTable; ++size) quotients_[size] = static_cast<int32_t>(scale_ / size);
  }

  // `count` components of one element.
  void assign(int32_t count) {
    parents_.assign(count, -1);
    limits_.assign(count, quotients_[1]);
  }

  void add(int32_t size, int32_t internal) {
    parents_.push_back(-size);
    limits_.push_back((internal << kFraction) + quotient(size));
  }

  int32_t find(int32_t element) {
    int32_t parent = parents_[element];
    if (parent < 0) return element;
    while (true) {
      const int32_t above = parents_[parent];
      if (above < 0) return parent;
      parents_[element] = above;
      element = above;
      parent = parents_[element];
      if (parent < 0) return element;
    }
  }

  bool is_root(int32_t element) const { return parents_[element] < 0; }
  int32_t size(int32_t root) const { return -parents_[root]; }
  int32_t internal(int32_t root) const { return (limits_[root] - quotient(size(root))) >> kFraction; }
  bool joins(int32_t a, int32_t b, int32_t weight) const {
    const int32_t limit = limits_[a] < limits_[b] ? limits_[a] : limits_[b];
    return (weight << kFraction) <= limit;
  }

  void merge(int32_t a, int32_t b, int32_t weight) {
    if (parents_[b] < parents_[a]) std::swap(a, b);
    parents_[a] += parents_[b];
    parents_[b] = a;
    limits_[a] = (weight << kFraction) + quotient(size(a));
  }

 private:
  static constexpr int32_t kTable = 4096;

  int32_t quotient(int32_t size) const {
    return size < kTable ? quotients_[size] : static_cast<int32_t>(scale_ / size);
  }

  int64_t scale_;
  int32_t quotients_[kTable] = {};
  std::vector<int32_t> parents_;  // of a root: minus its size
  std::vector<int32_t> limits_;   // Int(C) + k / |C| of a root
};

}  // namespace frcnn::selective_search
