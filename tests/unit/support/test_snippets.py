"""What is taken out of a Markdown page."""

from pathlib import Path

from support.snippets import Snippet, snippets

PAGE = """\
# Title

```sh
# a comment
kubectl get srun \\
    --watch
$(not a prompt)
```

1. Nested:

   ```python title="x.py"
   def f():
       return 1
   ```

````markdown
```sh
inner
```
````

```console
$ strategyrun lint x.py
x.py: fine
```
"""


def page(tmp_path: Path) -> Path:
    """Write the page."""
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_blocks_come_in_order_with_language_and_line(tmp_path: Path) -> None:
    """A block inside a longer fence is that one's text."""
    found = list(snippets(page(tmp_path)))
    assert [(each.language, each.line) for each in found] == [
        ("sh", 3),
        ("python", 12),
        ("markdown", 17),
        ("console", 23),
    ]


def test_languages_select_and_indentation_goes(tmp_path: Path) -> None:
    """A block in a list is code all the same."""
    assert list(snippets(page(tmp_path), "python")) == [
        Snippet("python", 'title="x.py"', "def f():\n    return 1\n", 12)
    ]


def test_commands_are_what_a_reader_types(tmp_path: Path) -> None:
    """Comments are none, a continued line is one, and of a session only the prompts."""
    shell, session = snippets(page(tmp_path), "sh", "console")
    assert shell.commands == ["kubectl get srun     --watch", "$(not a prompt)"]
    assert session.commands == ["strategyrun lint x.py"]
