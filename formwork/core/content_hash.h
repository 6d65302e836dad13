// A number that tells contents apart: for finding again what was made from them, not against forgers.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace formwork {

// 64 bits of `bytes`, in words of eight, on top of `seed`.
uint64_t content_hash(std::string_view bytes, uint64_t seed = 0);
// Of a file's bytes. Throws when it cannot be read.
uint64_t file_hash(const std::filesystem::path& path, uint64_t seed = 0);
// Of the file that holds this library's code: another build has another number.
uint64_t program_hash();

std::string hash_text(uint64_t hash);  // 16 hexadecimal digits

}  // namespace formwork
