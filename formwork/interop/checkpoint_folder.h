// A folder of training checkpoints that survives a crash, a kill -9 or a power cut at any instant.
//
// Layout: FOLDER/step-000000001200/{your files, checkpoint.json}. A checkpoint is written under a hidden
// temporary name, synced file by file, and renamed once: it is there whole or not at all. checkpoint.json
// lists the files with their sizes, so that a folder copied in part is passed over too. One process saves at
// a time (others wait).
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace formwork {

struct Checkpoint {
  int64_t step = 0;
  std::filesystem::path folder;
};

// Writes any files and folders below the folder that it is given.
using CheckpointWriter = std::function<void(const std::filesystem::path& folder)>;

// Saves what `write` writes as the checkpoint of `step` (>= 0, above the newest complete step), then removes
// all but the `keep` newest and whatever earlier crashes left. On return the checkpoint is on the device.
// When `write` throws, the folder holds what it held before. Creates `folder` if needed.
Checkpoint save_checkpoint(const std::filesystem::path& folder, int64_t step, const CheckpointWriter& write,
                           int keep = 3);
// The same for files in memory: file name -> bytes.
Checkpoint save_checkpoint(const std::filesystem::path& folder, int64_t step,
                           const std::map<std::string, std::string>& files, int keep = 3);

// Complete checkpoints, oldest first; empty when there is no such folder.
std::vector<Checkpoint> list_checkpoints(const std::filesystem::path& folder);

// The complete checkpoint with the greatest step.
std::optional<Checkpoint> newest_checkpoint(const std::filesystem::path& folder);

// Removes every checkpoint after `step`, to go on from there on another path.
void discard_checkpoints_after(const std::filesystem::path& folder, int64_t step);

}  // namespace formwork
