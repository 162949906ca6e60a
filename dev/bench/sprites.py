#!/usr/bin/env python3
"""Writes the sprites of an IDX pair as PNG files with transparency, a sub-folder a class: a folder of pictures as people have them.

    dev/bench/sprites.py ../shared/data/dcss_tiles sprites

Needs nothing but Python.
"""
import gzip, json, pathlib, struct, sys, zlib

source, target = map(pathlib.Path, sys.argv[1:3])
images = gzip.open(source / "tiles-rgba32-idx4-ubyte.gz").read()
labels = gzip.open(source / "tiles-labels-idx1-ubyte.gz").read()
n, height, width, channels = struct.unpack(">4I", images[4:20])
names = json.load(open(source / "names.json"))
names = names["categories"]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


size = height * width * channels
for i in range(n):
    picture = images[20 + i * size : 20 + (i + 1) * size]
    rows = b"".join(b"\0" + picture[y * width * channels : (y + 1) * width * channels] for y in range(height))
    header = struct.pack(">2I5B", width, height, 8, 6, 0, 0, 0)
    folder = target / str(names[labels[8 + i]])
    folder.mkdir(parents=True, exist_ok=True)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (folder / f"{i:05}.png").write_bytes(png)
print(f"{n} pictures of {width}x{height} in {len(list(target.iterdir()))} folders")
