"""Codecs: image -> reconstruction and rate, image -> strings -> reconstruction."""

from lic.codecs.build import build_codec
from lic.codecs.checkpoint import Header, LoadedCodec, load_codec, save_codec
from lic.codecs.codec import Codec, CodecOutput, Strings

__all__ = ["Codec", "CodecOutput", "Header", "LoadedCodec", "Strings", "build_codec", "load_codec", "save_codec"]
