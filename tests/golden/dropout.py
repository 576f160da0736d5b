"""Prints the golden rows of tests/models/dropout_test.cc: a second, scalar implementation of the generator, Python 3 only.

    python3 tests/golden/dropout.py
"""

M32, M64 = 2**32 - 1, 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
BLOCK = 1 << 16  # elements that share a key


def mix64(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return z ^ (z >> 31)


def kept(key, element, threshold):
    block, i = divmod(element, BLOCK)
    block_key = mix64((key + GOLDEN * (block + 1)) & M64)
    low, high = block_key & M32, block_key >> 32
    z = (low + i * 0x9E3779B9) & M32
    z = ((z ^ (z >> 16)) * 0x7FEB352D + high) & M32
    z = ((z ^ (z >> 15)) * 0x846CA68B) & M32
    return (z ^ (z >> 16)) >> 1 >= threshold


for key, first in ((0, 0), (42, 0), (42, 1000), (42, BLOCK - 20), (M64, 0)):
    bits = "".join("01"[kept(key, first + i, round(0.5 * (2**31 - 1)))] for i in range(48))
    print(f'      {{{key}ull, {first}, "{bits}"}},')
