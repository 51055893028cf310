#include "cpu/selective_search/search.h"

#include "cpu/selective_search/group.h"
#include "cpu/selective_search/rank.h"
#include "cpu/selective_search/segment.h"
#include "cpu/selective_search/smooth.h"

namespace frcnn::selective_search {

// Smaller regions (in pixels) join a neighbour in the base segmentation.
constexpr int kBaseMinSize = 20;

std::vector<Box> search(const uint8_t* rgb, int height, int width, const Settings& settings) {
  const int64_t image_size = static_cast<int64_t>(height) * width;
  RankedBoxes ranked;
  SegmentationMemory memory(height, width, settings.connectivity);
  for (const ColourSpace space : settings.colour_spaces) {
    const Planes planes = convert_colour(rgb, height, width, space);
    const SmoothPlanes smooth_planes = smooth(planes);
    const Segmentation base =
        segment_pixels(smooth_planes, settings.base_threshold, kBaseMinSize, memory);
    const RegionCounts counts = count_features(planes, smooth_planes, base);
    for (const int threshold : settings.thresholds) {
      std::vector<int32_t> labels;
      const int regions = segment_regions(base, threshold, settings.min_region, labels);
      const RegionSet set = join_regions(counts, base.edges, labels, regions);
      for (const int similarities : settings.similarities) {
        ranked.add(set.boxes, group_regions(set, similarities, image_size));
      }
    }
  }
  return ranked.best(settings.min_side, settings.max_boxes);
}

}  // namespace frcnn::selective_search
