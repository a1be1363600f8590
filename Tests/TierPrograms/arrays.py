# Part of Arbiter. See LICENSE.
# SPDX-License-Identifier: Apache-2.0
#
# Large arrays in every way that Python has them: prints the same for a seed wherever it runs.
#
#   arrays.py SEED MEBIBYTES

import array
import hashlib
import mmap
import os
import random
import sys

seed, mebibytes = int(sys.argv[1]), int(sys.argv[2])
numbers = random.Random(seed)
size = mebibytes << 20


def show(name, data):
    print(name, hashlib.blake2b(data, digest_size=16).hexdigest(), flush=True)


# One block, permuted in slices of odd lengths.
block = bytearray(numbers.randbytes(size))
for _ in range(400):
    length = numbers.randrange(1, size // 16)
    a, b = numbers.randrange(size - length), numbers.randrange(size - length)
    block[a : a + length], block[b : b + length] = block[b : b + length], block[a : a + length]
    del block[size:]
    block.extend(bytes(size - len(block)))
show("block", block)

# A block that grows and shrinks, which the heap may do by moving its pages. It grows twelve mebibytes
# between two cuts, and loses less by one, so that it gets there.
growing = bytearray()
while len(growing) < size:
    growing.extend(numbers.randbytes(numbers.randrange(1, 3 << 20)))
    if numbers.randrange(8) == 0:
        del growing[-numbers.randrange(1, min(len(growing), 18 << 20) + 1) :]
show("growing", growing)

# Words, sorted, and many small objects: the interpreter's own arenas.
words = array.array("Q", bytes(block[: size // 2]))
ordered = array.array("Q", sorted(words))
show("ordered", ordered)
table = {word: index for index, word in enumerate(words[: size // 128])}
for word in list(table)[::3]:
    del table[word]
show("table", repr(sorted(table.items())[::97]).encode())

# Mappings of its own, private and shared; children see them as they were, and change them.
private = mmap.mmap(-1, size // 2, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
shared = mmap.mmap(-1, size // 4, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
private[:] = block[: size // 2]
shared[:] = block[-(size // 4) :]
for turn in range(4):
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        numbers.seed(seed + turn + 1)
        before = hashlib.blake2b(private, digest_size=16).digest()
        for _ in range(200):
            at = numbers.randrange(len(private) - 4096)
            private[at : at + 4096] = numbers.randbytes(4096)
        shared[turn :: 4096] = bytes([turn + 1]) * len(range(turn, len(shared), 4096))
        os.write(writer, before + hashlib.blake2b(private, digest_size=16).digest())
        os._exit(0)
    os.close(writer)
    for _ in range(200):
        at = numbers.randrange(len(private) - 4096)
        private[at : at + 4096] = numbers.randbytes(4096)
    seen = b""
    while part := os.read(reader, 64):
        seen += part
    os.close(reader)
    if os.waitpid(child, 0)[1] != 0 or len(seen) != 32:
        sys.exit("a child has failed")
    # What it had before is what the parent had at the fork, whatever the parent did since.
    print("child", seen.hex())
    show("private", private)
show("shared", shared)
