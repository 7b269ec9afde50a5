"""Settings of W&B, which every door that logs has."""

from dataclasses import dataclass

from lic.settings.names import WandbMode


@dataclass(frozen=True)
class WandbConfig:
    """Where runs are logged."""

    project: str = "lic"
    """W&B project"""
    entity: str | None = None
    """user or team; default the account's own"""
    mode: WandbMode = "auto"
    """auto: online with a key, else offline"""
    tags: list[str] | None = None
    """besides those of the operating points"""
