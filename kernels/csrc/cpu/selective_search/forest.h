// Union-find over components; each stores the greatest weight of an edge that may join it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace frcnn::selective_search {

class Forest {
  struct Node {
    int32_t parent;  // of a root: minus its size
    int32_t limit;   // of a root: Int(C) + k / |C|
  };

 public:
  // Removes all elements. `k` is in units of edge weight times elements.
  void reset(int k) {
    scale_ = static_cast<int64_t>(k) << kFraction;
    for (int32_t size = 1; size < kTable; ++size) {
      quotients_[size] = static_cast<int32_t>(scale_ / size);
    }
    nodes_.clear();
  }

  // Adds `count` components of size 1.
  void add_singles(int32_t count) {
    nodes_.resize(nodes_.size() + count, Node{-1, quotients_[1]});
  }

  // Adds a component of `size` whose heaviest edge has the weight `internal`.
  void add(int32_t size, int32_t internal) {
    nodes_.push_back({-size, (internal << kFraction) + quotient(size)});
  }

  int32_t elements() const { return static_cast<int32_t>(nodes_.size()); }

  // Returns the root of the component of `element`. Shortens the path on the way.
  int32_t find(int32_t element) { return find(nodes_.data(), element); }

  // Loads an element into the cache.
  void prefetch(int32_t element) const { __builtin_prefetch(nodes_.data() + element); }

  bool is_root(int32_t element) const { return nodes_[element].parent < 0; }
  int32_t size(int32_t root) const { return -nodes_[root].parent; }
  int32_t internal(int32_t root) const {
    return (nodes_[root].limit - quotient(size(root))) >> kFraction;
  }

  // Writes the root of the component of each element, or a negative number if the component does
  // not accept an edge of `weight`.
  void find_growing(int32_t weight, int32_t* roots) {
    Node* const nodes = nodes_.data();
    const int32_t count = elements(), scaled = weight << kFraction;
    for (int32_t i = 0; i < count; ++i) {
      const int32_t root = find(nodes, i);
      roots[i] = root | (nodes[root].limit - scaled) >> 31;
    }
  }

  // Joins the components of both elements if `weight` is at most Int(C) + k / |C| for both.
  void grow(int32_t element, int32_t neighbour, int32_t weight) {
    Node* const nodes = nodes_.data();
    const int32_t a = find(nodes, element), b = find(nodes, neighbour);
    if (a == b) return;
    const Node first = nodes[a], second = nodes[b];
    if ((weight << kFraction) <= std::min(first.limit, second.limit)) merge(nodes, a, b, weight);
  }

  void merge(int32_t a, int32_t b, int32_t weight) { merge(nodes_.data(), a, b, weight); }

 private:
  // Weights are compared in 1/256 of their unit, so that k / |C| has a fraction.
  static constexpr int kFraction = 8;
  static constexpr int32_t kTable = 4096;

  int32_t quotient(int32_t size) const {
    return size < kTable ? quotients_[size] : static_cast<int32_t>(scale_ / size);
  }

  // Nodes are passed by pointer, so that the compiler keeps it in a register.
  static int32_t find(Node* nodes, int32_t element) {
    int32_t parent = nodes[element].parent;
    // parent < 0 ? element : parent, without a branch that processors cannot predict
    int32_t root = parent ^ ((element ^ parent) & (parent >> 31));
    while ((parent = nodes[root].parent) >= 0) {
      nodes[element].parent = parent;
      element = root;
      root = parent;
    }
    return root;
  }

  void merge(Node* nodes, int32_t a, int32_t b, int32_t weight) const {
    const int32_t size = nodes[a].parent + nodes[b].parent;
    const int32_t larger = nodes[b].parent < nodes[a].parent ? b : a;
    nodes[a].parent = nodes[b].parent = larger;
    nodes[larger] = {size, (weight << kFraction) + quotient(-size)};
  }

  int64_t scale_ = 0;
  int32_t quotients_[kTable] = {};
  std::vector<Node> nodes_;
};

}  // namespace frcnn::selective_search
