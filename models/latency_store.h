// Measured times of the parts of models, and the file that keeps them. Free of LibTorch.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace thimble::models {

// What measured times belong to.
struct LatencyPlace {
  std::string cpu, libtorch;  // the CPU's model; LibTorch's version
  int batch = 1, length = 128, threads = 1;
};
std::string CpuModel();  // as the kernel names it; "unknown" where it does not

// The sizes that are measured in place of `size`: itself if it is one of unit times 1, 2, 4, 8, 12, 16, 24,
// 32, 48, 64 and so on, the first if it is smaller than all, else those on both sides of it. In order.
std::vector<int> Anchors(int size, int unit);

// Parts of a family are alike but for one size, as feed-forward blocks but for their inner width. A larger
// one never takes less time than a smaller one: what is added is kept within its neighbours, and what was
// there stays as it is.
class LatencyStore {
 public:
  // `file` (empty: none) goes on where it is there, and is written at once where it is not, so that a place
  // that cannot be written is found before any work. Error (exit 2) if it belongs to another place, which
  // says what differs, or cannot be read as such a file.
  LatencyStore(const LatencyPlace& place, std::string file);

  bool Has(const std::string& family, int size) const;
  void Add(const std::string& family, int size, double ms);
  // The time of a size: of one that was added what was; between two of them on the line from one to the
  // other; beyond the ends as the end. CHECK: the family has one.
  double At(const std::string& family, int size) const;
  // Into the file, as a whole (WriteFileAtomically): of two processes that fill one file, what the last wrote
  // stays.
  void Write() const;

 private:
  void Read();

  const LatencyPlace place_;
  const std::string file_;
  std::map<std::string, std::map<int, double>> families_;  // by size, milliseconds
};

}  // namespace thimble::models
