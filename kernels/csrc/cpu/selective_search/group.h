// Hierarchical grouping (Uijlings et al., IJCV 2013, section 3.1): joins the two most similar
// neighbours until one region is left.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/selective_search/features.h"

namespace frcnn::selective_search {

// Bits of a set of similarities. Each similarity is between 0 and 1; those in the set are added.
enum Similarity { kColour = 1, kTexture = 2, kSize = 4, kFill = 8 };

// The boxes of the `regions - 1` joined regions, in the order in which they were created.
std::vector<Box> group_regions(const RegionSet& set, int similarities, int64_t image_size);

}  // namespace frcnn::selective_search
