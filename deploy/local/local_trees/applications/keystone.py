"""Keystone, OpenStack's identity service: what ``keystone-manage db_sync`` does."""

from __future__ import annotations

import os

import keystone.conf
from keystone.common.sql import upgrades
from oslo_db import options
from sqlalchemy import create_engine


def prelude() -> None:
    """Register and read the configuration, which the first revision asks for a default."""
    keystone.conf.configure()
    keystone.conf.CONF(args=[], project="keystone", default_config_files=[])


def official() -> None:
    """Bring the database to both heads."""
    prelude()
    options.set_defaults(keystone.conf.CONF)
    url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1)
    upgrades.offline_sync_database_to_version(engine=create_engine(url))
