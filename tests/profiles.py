"""ICC profiles made by hand (ICC.1:2001-04), for tests of colour."""

import itertools
import struct

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
WIDE = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])
"""RGB of a wide gamut to XYZ under D50: the primaries of Adobe RGB (1998)."""
GAMMA = 563 / 256


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65_536) for value in values))


def _profile(device: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"made by hand\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + text,
        b"wtpt": b"XYZ " + bytes(4) + _fixed(*D50),
    } | tags
    table, data = b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4x", 128 + len(body)) + b"\x02\x10\0\0" + device + space + connection
    header += struct.pack(">6H", 2001, 4, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(*D50)
    return header.ljust(128, b"\0") + body


def _curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">4xIH", 1, round(gamma * 256))


def wide_gamut_profile() -> bytes:
    """Return the profile of RGB with the primaries `WIDE` and the exponent `GAMMA`."""
    primaries = {name: b"XYZ " + bytes(4) + _fixed(*WIDE[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    curves = {name: _curve(GAMMA) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return _profile(b"mntr", b"RGB ", b"XYZ ", primaries | curves)


def grey_profile() -> bytes:
    """Return the profile of grey values with the exponent `GAMMA`."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(GAMMA)})


def ink_profile() -> bytes:
    """Return a profile of CMYK whose lightness is (1 - K) (1 - the mean of C, M, Y), without colour."""
    lightness = [(1 - k) * (1 - (c + m + y) / 3) for c, m, y, k in itertools.product((0, 1), repeat=4)]
    corners = b"".join(bytes((round(255 * value), 128, 128)) for value in lightness)
    identity = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    straight = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity + straight * 4 + corners + straight * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})
