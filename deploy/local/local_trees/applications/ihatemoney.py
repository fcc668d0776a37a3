"""I Hate Money: what the application does when it starts."""

from __future__ import annotations

import os

import flask_migrate
import ihatemoney
from flask import Flask
from ihatemoney.models import db


def _application() -> Flask:
    """Return as much of the application as its tree needs."""
    made = Flask("ihatemoney")
    url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1)
    made.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(made)
    flask_migrate.Migrate(made, db)
    return made


def prelude() -> None:
    """Enter the application's context, which revisions and ``env.py`` rely on."""
    _application().app_context().push()


def official() -> None:
    """Bring the database to head."""
    with _application().app_context():
        flask_migrate.upgrade(f"{ihatemoney.__path__[0]}/migrations")
