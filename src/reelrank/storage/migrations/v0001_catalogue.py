"""0001: videos, and the names that have dense rows."""

import sqlalchemy as sql
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables; a SQLite catalogue from before there were migrations has them and is taken as it is."""
    connection = op.get_bind()
    if connection.dialect.name == "sqlite" and sql.inspect(connection).has_table("videos"):
        return
    op.create_table(
        "videos",
        sql.Column("row", sql.Integer, primary_key=True, autoincrement=False),
        sql.Column("video_id", sql.String, nullable=False, unique=True),
        sql.Column("revision", sql.BigInteger().with_variant(sql.Integer, "sqlite"), nullable=False, unique=True),
        sql.Column("removed", sql.Boolean, nullable=False),
        sql.Column("author_row", sql.Integer, nullable=False),
        sql.Column("tag_rows", sql.JSON, nullable=False),
        sql.Column("sound_row", sql.Integer, nullable=False),
        sql.Column("place_row", sql.Integer, nullable=False),
        sql.Column("body", sql.LargeBinary, nullable=False),
    )
    op.create_table(
        "names",
        sql.Column("kind", sql.String, primary_key=True),
        sql.Column("name", sql.String, primary_key=True),
        sql.Column("row", sql.Integer, nullable=False),
        sql.UniqueConstraint("kind", "row"),
    )
