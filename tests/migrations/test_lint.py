"""Migrations are looked at before they meet a table in use."""

from scripts.lint_migrations import complaints, main, violations

SAFE = "SET lock_timeout = '5s';\nBEGIN;\nALTER TABLE chat_threads ADD COLUMN note TEXT;\nCOMMIT;\n"
BLOCKING = "SET lock_timeout = '5s';\nBEGIN;\nCREATE INDEX ix_note ON chat_threads (title);\nCOMMIT;\n"
RULE = "require-concurrent-index-creation"


def test_each_migration_passes_or_says_why_not() -> None:
    assert main() == 0


def test_what_blocks_a_table_is_told() -> None:
    (line,) = complaints("0009", violations(BLOCKING), {})
    assert line.startswith(f"0009: {RULE} ")


def test_a_reason_lets_it_pass() -> None:
    assert complaints("0009", violations(BLOCKING), {RULE: "The table is new."}) == []


def test_a_reason_for_nothing_is_told() -> None:
    assert complaints("0009", violations(SAFE), {RULE: "The table is new."}) == [
        f"0009: accepts {RULE}, which it does not break"
    ]
