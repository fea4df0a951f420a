"""Rows of the engine's hot path, by statements that are spelled out once.

A stage's own bookkeeping is a handful of statements. The ORM phrases each of them anew, which took most of the time
of a stage that does nothing; the model still says what the columns are and how a value is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, connection, models

Row = TypeVar("Row", bound=models.Model)


class Rows(Generic[Row]):
    """Reads, inserts and updates rows of one model on the default connection, on SQLite and PostgreSQL alike.

    No signals are sent and no defaults of the database are read back, the generated key excepted.
    """

    def __init__(self, model: type[Row]) -> None:
        self._model, self._fields = model, tuple(model._meta.concrete_fields)
        self._names = [field.attname for field in self._fields]
        self.table = model._meta.db_table
        self.columns = _columns(self._fields)
        self._update_statement = cache(self._spell_update)
        self._converters = cache(self._converters_of)

    def first(self, statement: str, parameters: Sequence[Any]) -> Row | None:
        """The first row of a statement that answers :attr:`columns`; None when it answers nothing."""
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            found = cursor.fetchone()
        if found is None:
            return None
        values = list(found)
        for place, converters, column in self._converters(connection.vendor):
            for converter in converters:
                values[place] = converter(values[place], column, connection)
        return self._model.from_db(connection.alias, self._names, values)

    def insert(self, row: Row) -> None:
        """Insert the row; a key that the database generates is set on it. Raises IntegrityError."""
        key = self._model._meta.pk
        fields = tuple(field for field in self._fields if field is not key or row.pk is not None)
        statement = (
            f"INSERT INTO {self.table} ({_columns(fields)}) VALUES ({', '.join(['%s'] * len(fields))}) "  # noqa: S608
            f"RETURNING {key.column}"
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, _stored(row, fields))
            (generated,) = cursor.fetchone()
        if row.pk is None:
            row.pk = generated
        row._state.adding, row._state.db = False, connection.alias

    def update(self, row: Row, fields: tuple[str, ...]) -> None:
        """Store these fields of the row. Raises DatabaseError when the row is gone."""
        statement, stored = self._update_statement(fields)
        key = self._model._meta.pk.get_db_prep_value(row.pk, connection)
        with connection.cursor() as cursor:
            cursor.execute(statement, [*_stored(row, stored), key])
            if cursor.rowcount != 1:
                raise DatabaseError(f"there is no row {row.pk} in {self.table} any more")

    def _spell_update(self, names: tuple[str, ...]) -> tuple[str, tuple[models.Field[Any, Any], ...]]:
        by_name = {field.name: field for field in self._fields}
        fields = tuple(by_name[name] for name in names)
        changes = ", ".join(f"{field.column} = %s" for field in fields)
        return f"UPDATE {self.table} SET {changes} WHERE {self._model._meta.pk.column} = %s", fields  # noqa: S608

    def _converters_of(self, vendor: str) -> list[tuple[int, list[Callable[..., Any]], Any]]:
        """Of each column whose stored value is not the field's own: its place, what converts it, and its name."""
        columns = [field.get_col(self.table) for field in self._fields]
        found = [
            (connection.ops.get_db_converters(column) + column.get_db_converters(connection), column)
            for column in columns
        ]
        return [(place, converters, column) for place, (converters, column) in enumerate(found) if converters]


def _columns(fields: Sequence[models.Field[Any, Any]]) -> str:
    return ", ".join(str(field.column) for field in fields)


def _stored(row: models.Model, fields: Sequence[models.Field[Any, Any]]) -> list[Any]:
    return [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
