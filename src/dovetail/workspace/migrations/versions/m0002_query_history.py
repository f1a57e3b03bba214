"""Query history and performance log"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go up."""
    op.create_table(
        "queries",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("user_name", sa.String(length=100), nullable=False),
        sa.Column("sql", sa.Text(), nullable=False),
        sa.Column("target", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("question", sa.Text(), nullable=True),
        sa.Column("mode", sa.String(length=5), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("problem", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("columns", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=True),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("limit_applied", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("execution_ms", sa.Double(), nullable=True),
        sa.Column("plan_ms", sa.Double(), nullable=True),
        sa.Column("sources_ms", sa.Double(), nullable=True),
        sa.Column("finish_ms", sa.Double(), nullable=True),
        sa.Column("bytes_moved", sa.BigInteger(), nullable=True),
        sa.Column("rows_moved", sa.BigInteger(), nullable=True),
        sa.Column("peak_memory", sa.BigInteger(), nullable=True),
        sa.Column("engine", sa.String(length=10), nullable=False),
        sa.Column("cache", sa.String(length=10), nullable=False),
        sa.Column("result_bytes", sa.BigInteger(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("favourite", sa.Boolean(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("warnings", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("worker_id", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queries")),
    )
    with op.batch_alter_table("queries", schema=None) as batch_op:
        batch_op.create_index("ix_queries_created", ["created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_queries_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_queries_status"), ["status"], unique=False)
        batch_op.create_index("ix_queries_user_created", ["user_id", "created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_queries_worker_id"), ["worker_id"], unique=False)

    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "query_fragments",
        sa.Column("query_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("sql", sa.Text(), nullable=False),
        sa.Column("road", sa.String(length=10), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("milliseconds", sa.Double(), nullable=True),
        sa.Column("started_ms", sa.Double(), nullable=True),
        sa.Column("cache", sa.String(length=10), nullable=False),
        sa.Column("connection_id", sa.String(length=36), nullable=True),
        sa.Column("connection_name", sa.Text(), nullable=True),
        sa.Column("dataset_id", sa.String(length=36), nullable=True),
        sa.Column("pushed", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["query_id"],
            ["queries.id"],
            name=op.f("fk_query_fragments_query_id_queries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("query_id", "number", name=op.f("pk_query_fragments")),
    )
    op.create_table(
        "query_reads",
        sa.Column("query_id", sa.String(length=36), nullable=False),
        sa.Column("object_kind", sa.String(length=12), nullable=False),
        sa.Column("object_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["query_id"],
            ["queries.id"],
            name=op.f("fk_query_reads_query_id_queries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "query_id", "object_kind", "object_id", name=op.f("pk_query_reads")
        ),
    )
    with op.batch_alter_table("query_reads", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_query_reads_object_id"), ["object_id"], unique=False)


def downgrade() -> None:
    """Go down."""
    with op.batch_alter_table("query_reads", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_query_reads_object_id"))

    op.drop_table("query_reads")
    op.drop_table("query_fragments")
    op.drop_table("workers")
    with op.batch_alter_table("queries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_queries_worker_id"))
        batch_op.drop_index("ix_queries_user_created")
        batch_op.drop_index(batch_op.f("ix_queries_status"))
        batch_op.drop_index(batch_op.f("ix_queries_expires_at"))
        batch_op.drop_index("ix_queries_created")

    op.drop_table("queries")
