"""Argument types for bans."""

from __future__ import annotations

from chatd.base.ban_targets import FORMS, KINDS, BanTarget, parse_ban_target
from chatd.commands.arguments.base import ParsedType
from chatd.commands.arguments.values import WordType

__all__ = ["BAN_KIND", "BAN_TARGET", "BanTarget"]

BAN_TARGET = ParsedType(parse_ban_target, "user|network|@@realm", FORMS)
BAN_KIND = WordType(*KINDS)
