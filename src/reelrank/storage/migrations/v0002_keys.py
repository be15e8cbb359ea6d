"""0002: API keys, and the secrets that all replicas of a deployment share."""

import sqlalchemy as sql
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes both tables."""
    op.create_table(
        "api_keys",
        sql.Column("key_id", sql.String, primary_key=True),
        sql.Column("name", sql.String, nullable=False),
        sql.Column("scopes", sql.JSON, nullable=False),
        sql.Column("digest", sql.LargeBinary, nullable=False, unique=True),
        sql.Column("created_at", sql.Double, nullable=False),
        sql.Column("used_at", sql.Double),
        sql.Column("revoked_at", sql.Double),
    )
    op.create_table(
        "secrets",
        sql.Column("name", sql.String, primary_key=True),
        sql.Column("value", sql.LargeBinary, nullable=False),
        sql.Column("created_at", sql.Double, nullable=False),
    )
