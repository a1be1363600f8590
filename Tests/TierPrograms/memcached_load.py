# Part of Arbiter. See LICENSE.
# SPDX-License-Identifier: Apache-2.0
#
# Stores values in a memcached, replaces some, and reads all back: each must be as it was stored.
#
# Then it ends the server, which has to allow that (-A).
#
#   memcached_load.py SOCKET SEED SECONDS MEBIBYTES

import random
import socket
import sys
import time

path, seed, seconds, mebibytes = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
numbers = random.Random(seed)
count = (mebibytes << 20) // 4096
versions = [0] * count
BATCH = 256

for _ in range(400):
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(path)
        break
    except OSError:
        client.close()
        time.sleep(0.05)
else:
    sys.exit("the server does not start")
client.settimeout(60)
answers = client.makefile("rb", buffering=1 << 20)


def value(key):
    """What the key must have: 64 bytes to 8 KiB that its number and version tell."""
    own = random.Random((seed << 40) + (key << 12) + versions[key])
    return own.randbytes(own.randrange(64, 8192))


def store(keys):
    for at in range(0, len(keys), BATCH):
        parts = []
        for key in keys[at : at + BATCH]:
            data = value(key)
            parts += [b"set key%d 0 0 %d\r\n" % (key, len(data)), data, b"\r\n"]
        client.sendall(b"".join(parts))
        for key in keys[at : at + BATCH]:
            if (line := answers.readline()) != b"STORED\r\n":
                sys.exit(f"key{key} is not stored: {line!r}")


def verify(keys):
    for at in range(0, len(keys), BATCH):
        batch = keys[at : at + BATCH]
        client.sendall(b"get " + b" ".join(b"key%d" % key for key in batch) + b"\r\n")
        for key in batch:
            line = answers.readline().split()
            if line[:2] != [b"VALUE", b"key%d" % key]:
                sys.exit(f"key{key} is gone: {line!r}")
            data = answers.read(int(line[3]) + 2)[:-2]
            if data != value(key):
                sys.exit(f"key{key} is not what was stored")
        if answers.readline() != b"END\r\n":
            sys.exit("an answer does not end")


began = time.monotonic()
everything = list(range(count))
store(everything)
stored, verified = count, 0
while True:
    numbers.shuffle(everything)
    some = everything[: count // 4]
    for key in some:
        versions[key] += 1
    store(some)
    stored += len(some)
    verify(everything)
    verified += count
    if time.monotonic() - began > seconds:
        break
client.sendall(b"shutdown\r\n")
print(f"{stored} values stored, {verified} verified")
