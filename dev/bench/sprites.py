#!/usr/bin/env python3
"""Writes the sprites of an IDX pair as PNG files with transparency, a sub-folder a class: a folder of pictures as people have them.

    dev/bench/sprites.py ../shared/data/dcss_tiles sprites
    dev/bench/sprites.py ../shared/data/dcss_tiles sprites --over 64    # without transparency, over a grey of 64

With `--over` every twentieth picture goes to `test`, to be asked about, and the others to `train`. Needs nothing but Python.
"""
import argparse, gzip, json, pathlib, struct, zlib

p = argparse.ArgumentParser()
p.add_argument("source", type=pathlib.Path)
p.add_argument("target", type=pathlib.Path)
p.add_argument("--over", type=int)
a = p.parse_args()
source, target = a.source, a.target
images = gzip.open(source / "tiles-rgba32-idx4-ubyte.gz").read()
labels = gzip.open(source / "tiles-labels-idx1-ubyte.gz").read()
n, height, width, channels = struct.unpack(">4I", images[4:20])
names = json.load(open(source / "names.json"))
names = names["categories"]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def over(picture, grey):
    """Red, green and blue of a picture laid over a grey."""
    shares = (picture[at : at + 4] for at in range(0, len(picture), 4))
    return bytes(round((p[j] * p[3] + grey * (255 - p[3])) / 255) for p in shares for j in range(3))


size = height * width * channels
for i in range(n):
    picture = images[20 + i * size : 20 + (i + 1) * size]
    part, depth = target, channels
    if a.over is not None:
        picture, depth = over(picture, a.over), 3
        part = target / ("test" if i % 20 == 7 else "train")
    line = width * depth
    rows = b"".join(b"\0" + picture[y * line : (y + 1) * line] for y in range(height))
    header = struct.pack(">2I5B", width, height, 8, {3: 2, 4: 6}[depth], 0, 0, 0)
    folder = part / str(names[labels[8 + i]])
    folder.mkdir(parents=True, exist_ok=True)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (folder / f"{i:05}.png").write_bytes(png)
print(f"{n} pictures of {width}x{height} below {target}")
