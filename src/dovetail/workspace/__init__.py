"""The workspace: datasets, groups, connections, saved queries, history, users, grants.

    with Workspace.open(WorkspaceSettings(folder)) as workspace:
        actor = workspace.users.local_actor()
        upload = workspace.datasets.begin_upload(actor, "customers.csv")
        upload.write(chunk)
        dataset = upload.finish()
        answer = workspace.queries.run(actor, QueryRequest("FROM dataset", Target(dataset.id)))

Every call is blocking and may be made from any thread. Every call takes the *actor* and checks his
rights; what he may not see raises ``WorkspaceError("not-found")``, what he may see but not do
``WorkspaceError("forbidden")``. Errors are :class:`~dovetail.errors.DovetailError`;
:func:`problem_of` gives any of them a code.
"""

from dovetail.workspace.access import ACTIONS, RIGHTS, ROLES, SCOPES, Actor
from dovetail.workspace.problems import CODES, WorkspaceError, problem_of
from dovetail.workspace.schema import Schema as StoreSchema
from dovetail.workspace.settings import WorkspaceLimits, WorkspaceSettings
from dovetail.workspace.shapes import (
    AuditEntry,
    Column,
    ColumnProfile,
    Connection,
    ConnectionTest,
    Dataset,
    DatasetSchema,
    Explained,
    FragmentRun,
    Grant,
    Group,
    MemberPreview,
    MemberSchema,
    Membership,
    Metadata,
    MetadataColumn,
    MetadataTable,
    NewToken,
    Page,
    Problem,
    QueryAnswer,
    QueryRequest,
    QueryRun,
    QueryStats,
    Readiness,
    Relationship,
    Remembered,
    Rows,
    SavedQuery,
    SavedVersion,
    SchemaColumn,
    StatsRow,
    StoredResult,
    TableProfile,
    Target,
    Team,
    TeamMember,
    Token,
    User,
    Validation,
)
from dovetail.workspace.workspace import Workspace

__all__ = [
    "ACTIONS",
    "CODES",
    "RIGHTS",
    "ROLES",
    "SCOPES",
    "Actor",
    "AuditEntry",
    "Column",
    "ColumnProfile",
    "Connection",
    "ConnectionTest",
    "Dataset",
    "DatasetSchema",
    "Explained",
    "FragmentRun",
    "Grant",
    "Group",
    "MemberPreview",
    "MemberSchema",
    "Membership",
    "Metadata",
    "MetadataColumn",
    "MetadataTable",
    "NewToken",
    "Page",
    "Problem",
    "QueryAnswer",
    "QueryRequest",
    "QueryRun",
    "QueryStats",
    "Readiness",
    "Relationship",
    "Remembered",
    "Rows",
    "SavedQuery",
    "SavedVersion",
    "SchemaColumn",
    "StatsRow",
    "StoreSchema",
    "StoredResult",
    "TableProfile",
    "Target",
    "Team",
    "TeamMember",
    "Token",
    "User",
    "Validation",
    "Workspace",
    "WorkspaceError",
    "WorkspaceLimits",
    "WorkspaceSettings",
    "problem_of",
]
