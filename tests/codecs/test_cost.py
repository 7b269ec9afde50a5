"""What a codec costs, held against a count by hand."""

from lic.codecs import build_codec
from lic.codecs.cost import cost_of


def test_the_transforms_of_the_factorized_prior() -> None:
    """Four 5 x 5 convolutions a side at strides 2 to 16, N = 8, M = 12, and a GDN's N x N between them."""
    n, m = 8, 12
    convolutions = 25 * (3 * n / 4 + n * n / 16 + n * n / 64 + n * m / 256)
    gdn = n * n * (1 / 4 + 1 / 16 + 1 / 64)
    found = cost_of(build_codec("bmshj2018-factorized", n, m).eval())
    assert abs(found.encode_kmac - (convolutions + gdn) / 1000) < 0.1 * found.encode_kmac
    assert found.num_parameters == sum(p.numel() for p in build_codec("bmshj2018-factorized", n, m).parameters())
    assert cost_of(build_codec("mlicpp", 16, 32).eval()).decode_kmac > found.decode_kmac
