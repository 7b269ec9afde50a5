"""Codecs: image -> reconstruction and rate, image -> coded symbols -> reconstruction."""

from lic.codecs.build import build_codec
from lic.codecs.card import CodecCard
from lic.codecs.checkpoint import PHOTOS, SHIPPED, Header, LoadedCodec, load_codec, save_codec, shipped_codecs
from lic.codecs.codec import Codec, CodecOutput, CodedImage

__all__ = [
    "PHOTOS",
    "SHIPPED",
    "Codec",
    "CodecCard",
    "CodecOutput",
    "CodedImage",
    "Header",
    "LoadedCodec",
    "build_codec",
    "load_codec",
    "save_codec",
    "shipped_codecs",
]
