#!/bin/bash
# The instruction sets of this processor as options of ggml's build, AMX left out.
flags=$(grep -m1 '^flags' /proc/cpuinfo)
while read -r flag option; do
  [[ " $flags " != *" $flag "* ]] || printf -- "-DGGML_%s=ON " "$option"
done << END
avx AVX
avx2 AVX2
fma FMA
f16c F16C
bmi2 BMI2
avx_vnni AVX_VNNI
avx512f AVX512
avx512vbmi AVX512_VBMI
avx512_vnni AVX512_VNNI
avx512_bf16 AVX512_BF16
END
