# Part of Arbiter. See LICENSE.
# SPDX-License-Identifier: Apache-2.0
#
# Prints commands that fill a Redis, for `redis-cli --pipe`. Given twice they change nothing, so
# that memory can be churned without a change of what is in it.
#
#   redis_data.py SEED MEBIBYTES

import random
import sys

seed, mebibytes = int(sys.argv[1]), int(sys.argv[2])
numbers = random.Random(seed)
out = sys.stdout.buffer


def command(*words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts += [b"$%d\r\n" % len(word), word, b"\r\n"]
    data = b"".join(parts)
    out.write(data)
    return len(data)


written = key = 0
while written < mebibytes << 20:
    key += 1
    name = b"%d" % key
    kind = numbers.randrange(8)
    if kind == 0:
        fields = [b"f%d" % n if n % 2 == 0 else numbers.randbytes(100) for n in range(128)]
        written += command(b"HSET", b"hash:" + name, *fields)
    elif kind == 1:
        members = [b"%d" % numbers.randrange(1 << 40) for _ in range(200)]
        written += command(b"SADD", b"set:" + name, *members)
    elif kind == 2:
        pairs = []
        for n in range(100):
            pairs += [b"%d" % numbers.randrange(1 << 30), b"m%d" % n]
        written += command(b"ZADD", b"zset:" + name, *pairs)
    elif kind == 3:
        written += command(b"SET", b"big:" + name, numbers.randbytes(numbers.randrange(1 << 18)))
    else:
        written += command(b"SET", b"key:" + name, numbers.randbytes(numbers.randrange(1, 4096)))
