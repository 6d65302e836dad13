// One block of 256 values to the formats with 6-bit scales; `values` are whole blocks.
#pragma once
#include <cstdint>

namespace formwork {

void encode_q4_k(const float* values, std::uint8_t* block);
void encode_q5_k(const float* values, std::uint8_t* block);
void encode_q6_k(const float* values, std::uint8_t* block);

}  // namespace formwork
