"""From the lines of a journal to its records."""

from collections.abc import Iterator
from pathlib import Path

from raycolor.errors import CheckpointError
from raycolor.study.records import (
    FORMAT,
    Ask,
    Fault,
    Record,
    Reported,
    UnknownFormat,
    from_line,
)


def parsed(
    where: Path | str, content: bytes, *, asked: int = 0, first_line: int = 1
) -> Iterator[Record]:
    """Read complete lines.

    Args:
        where: they came from, for messages.
        content: lines, each with its end.
        asked: trials that exist before them.
        first_line: number of the first line, for messages.

    Raises:
        CheckpointError: a line is damaged, or the format is another one.
    """
    # Not splitlines(): text in a record may hold other characters that it takes for line ends.
    for number, line in enumerate(content.split(b"\n")[:-1], start=first_line):
        try:
            record = from_line(line.decode("utf-8"))
            asked = asked_after(record, asked)
            yield record
        except UnknownFormat as error:
            raise CheckpointError(
                f"{where}, line {number}: the journal has format {error}, this raycolor writes "
                f"{FORMAT}; use the raycolor that began the study, or another --study"
            ) from error
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"{where}, line {number}: damaged ({error}); mend or remove the line, or move the "
                "study's folder away to begin anew"
            ) from error


def asked_after(record: Record, before: int) -> int:
    """Count the trials that exist after a record.

    Args:
        record: of a study.
        before: trials that existed before it.

    Raises:
        ValueError: it is of a trial that does not exist, as when a line was taken out.
    """
    match record:
        case Ask(number=number):
            if number != before:
                raise ValueError(f"trial {number} begins, but the next one is {before}")
            return before + 1
        case Reported(number=number) | Fault(number=number):
            if not 0 <= number < before:
                raise ValueError(f"trial {number} has not begun")
            return before
        case _:
            return before
