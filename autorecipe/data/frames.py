"""Frames of other libraries (polars, pyarrow, ...) -> pandas, by the Arrow stream or the dataframe protocol."""

from typing import Any

from autorecipe.data.sources import is_frame
from autorecipe.errors import InputError


def to_pandas(value: Any) -> Any:
    """A pandas DataFrame of another library's, or a Series; anything else as it is.

    Raises:
        InputError: it cannot be read, or a cell holds several values.
    """
    if value is None or is_frame(value) or type(value).__module__.split(".")[0] == "pandas":
        return value
    if not (hasattr(value, "__arrow_c_stream__") or hasattr(value, "__dataframe__")):
        return value
    import pyarrow as pa
    from pyarrow.interchange import from_dataframe

    try:
        if not hasattr(value, "__arrow_c_stream__"):
            table = from_dataframe(value)
        elif hasattr(value, "columns"):
            table = pa.table(value)
        else:
            name = str(getattr(value, "name", None) or "target")
            table = pa.table({name: pa.chunked_array(value)})
    except (pa.ArrowException, NotImplementedError, TypeError, ValueError) as error:
        raise InputError(f"the {type(value).__name__} cannot be read as a table: {error}; give a DataFrame") from error
    frame = table.cast(_schema(table.schema, type(value).__name__)).to_pandas(date_as_object=False)
    return frame if hasattr(value, "columns") or hasattr(value, "__dataframe__") else frame.iloc[:, 0]


def _schema(schema: Any, what: str) -> Any:
    """The schema with decimal numbers as floats.

    Raises:
        InputError: a column holds lists or records.
    """
    import pyarrow as pa

    for i, field in enumerate(schema):
        if pa.types.is_nested(field.type):
            raise InputError(
                f"column '{field.name}' of the {what} holds {field.type} values; give one number, text or date in each "
                "cell, or leave the column out"
            )
        if pa.types.is_decimal(field.type):
            schema = schema.set(i, field.with_type(pa.float64()))
    return schema
