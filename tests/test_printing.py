"""What is printed is text."""

from rich.table import Table

from lic.printing import Console, Words, printable

NAME = "runs/x [/raw] [bold] :tada: \x1b[31m\x07"


def test_names_are_printed_as_they_are_and_steer_no_terminal() -> None:
    console = Console(width=100, force_terminal=True)
    table = Table(title=NAME)
    table.add_column(NAME)
    table.add_row(NAME)
    for text in (NAME, table):
        with console.capture() as capture:
            console.print(text)
        assert "[/raw] [bold] :tada:" in capture.get()
        assert "\x1b[31m" not in capture.get() and "\x07" not in capture.get()
    assert Words("[/raw]").markup is False
    assert printable("one\ntwo\x1b") == "one\ntwo\N{REPLACEMENT CHARACTER}"
