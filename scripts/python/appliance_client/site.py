"""Where the players are, as the site's own configuration says."""

import configparser
import os
import re
from pathlib import Path
from typing import Dict, Optional


def dibas_conf(directory: Optional[str] = None) -> Path:
    """``dibas.conf`` of the directory ``DIBAS_DIR``."""
    found = directory or os.environ.get("DIBAS_DIR")
    if not found:
        raise Exception("'DIBAS_DIR' is not set!")  # the class and the words that scripts know
    return Path(found) / "etc" / "config" / "dibas.conf"


def players(path: Path) -> Dict[str, str]:
    """Names of the players of ``[DEALER]`` and their addresses, ``tcp://hpchost:player_port`` of their sections."""
    config = _read(path)
    try:
        words = re.split(r"[\s,]+", config.get("DEALER", "players"))
    except configparser.Error as error:
        raise ValueError(f"{path}: players of [DEALER]: {error}") from None
    names = [word.strip('"') for word in words]
    return {name: _address(config, name, path) for name in names if name}


def masters(path: Path) -> Dict[str, str]:
    """The modes in which one player programs the board of all, and that player: ``cdd_master_hpc`` of their sections."""
    config = _read(path)
    sections = [section for section in config.sections() if config.has_option(section, "cdd_master_hpc")]
    return {section: config.get(section, "cdd_master_hpc").strip().strip('"') for section in sections}


def _read(path: Path) -> configparser.RawConfigParser:
    config = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";",))
    with open(path, encoding="utf-8", errors="replace") as file:
        config.read_file(file)
    return config


def _address(config: configparser.RawConfigParser, name: str, path: Path) -> str:
    try:
        return f"tcp://{config.get(name, 'hpchost').strip()}:{config.getint(name, 'player_port')}"
    except (configparser.Error, ValueError) as error:
        raise ValueError(f"{path}: player {name}: {error}") from None
