"""0003: business rules, and who changed them."""

import sqlalchemy as sql
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes both tables."""
    op.create_table(
        "rules",
        sql.Column("rule_id", sql.String, primary_key=True),
        sql.Column("body", sql.LargeBinary, nullable=False),
    )
    op.create_table(
        "rule_audit",
        sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
        sql.Column("at", sql.Double, nullable=False),
        sql.Column("who", sql.String, nullable=False),
        sql.Column("rule_id", sql.String, nullable=False),
        sql.Column("before", sql.LargeBinary),
        sql.Column("after", sql.LargeBinary),
    )
