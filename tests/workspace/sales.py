"""The three small files that the service's acceptance cases are about, and how to put them in."""

from __future__ import annotations

from typing import Any

from dovetail.workspace import Actor, Dataset, Group, QueryAnswer, QueryRequest, Target, Workspace

CUSTOMERS = (
    "id,name,region,joined\n1,Ada,North,2024-01-15\n2,Ben,South,2024-02-20\n"
    "3,Cleo,North,2024-03-05\n4,Dan,,2024-03-09\n"
)
ORDERS = (
    "id,customer_id,product_id,amount,ordered_at\n10,1,100,120.50,2024-04-01\n"
    "11,1,101,79.50,2024-04-03\n12,2,100,241.00,2024-04-03\n13,3,102,15.25,2024-05-11\n"
    "14,,101,79.50,2024-05-12\n15,9,100,120.50,2024-06-01\n"
)
PRODUCTS = "id,product,category\n100,Lamp,Home\n101,Chair,Office\n102,Pen,Office\n"

TOTALS = (
    "SELECT c.name, SUM(o.amount) as total FROM customers c JOIN orders o "
    "ON c.id = o.customer_id GROUP BY c.name ORDER BY c.name"
)


def upload(
    workspace: Workspace, actor: Actor, name: str, content: str | bytes, **options: Any
) -> Dataset:
    """Upload a file in pieces, as a client does."""
    data = content.encode() if isinstance(content, str) else content
    with workspace.datasets.begin_upload(actor, name) as incoming:
        for start in range(0, len(data), 1 << 16):
            incoming.write(data[start : start + (1 << 16)])
        return incoming.finish(options=options, wait=60)


def sales_group(workspace: Workspace, actor: Actor, name: str) -> Group:
    """The three files in a group as ``customers``, ``orders``, ``products``."""
    group = workspace.groups.create(actor, name)
    for file, content in (
        ("customers.csv", CUSTOMERS),
        ("orders.csv", ORDERS),
        ("products.csv", PRODUCTS),
    ):
        dataset = upload(workspace, actor, file, content)
        workspace.groups.add(actor, group.id, dataset.id)
    return workspace.groups.get(actor, group.id)


def ask(
    workspace: Workspace,
    actor: Actor,
    sql: str,
    *,
    dataset: str | None = None,
    group: str | None = None,
    **rest: Any,
) -> QueryAnswer:
    """Run a query over a dataset or a group."""
    return workspace.queries.run(
        actor, QueryRequest(sql, Target(dataset_id=dataset, group_id=group), **rest)
    )


def rows(answer: QueryAnswer) -> list[tuple[Any, ...]]:
    """The rows of an answer as tuples."""
    return [tuple(row.values()) for row in answer.rows.table.to_pylist()]
