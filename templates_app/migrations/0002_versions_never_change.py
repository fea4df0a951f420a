"""The database itself refuses to change a version."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SQLITE = [
    """CREATE TRIGGER templates_app_version_no_update BEFORE UPDATE ON templates_app_version
       BEGIN SELECT RAISE(ABORT, 'a version never changes'); END""",
]
POSTGRESQL = [
    """CREATE FUNCTION templates_app_version_fixed() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'a version never changes' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
    """CREATE TRIGGER templates_app_version_no_update BEFORE UPDATE ON templates_app_version
       FOR EACH ROW EXECUTE FUNCTION templates_app_version_fixed()""",
]
UNDO = {
    "sqlite": ["DROP TRIGGER templates_app_version_no_update"],
    "postgresql": [
        "DROP TRIGGER templates_app_version_no_update ON templates_app_version",
        "DROP FUNCTION templates_app_version_fixed()",
    ],
}


def guard(_apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in {"sqlite": SQLITE, "postgresql": POSTGRESQL}[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def unguard(_apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in UNDO[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("templates_app", "0001_versions")]
    operations = [migrations.RunPython(guard, unguard)]
