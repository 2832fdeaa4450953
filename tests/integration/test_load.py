"""The load run, in short: `make load` is the long form."""

from pathlib import Path

from benchmarks.plots import draw
from load.figures import Did
from load.page import BEGIN, END, write
from load.plan import Plan
from load.report import charts, held, limits, operations, verdict
from load.run import run

PLAN = Plan(users=20, seconds=5.0, every=0.5, ramp=1.0, pause=1.0, warm_seconds=2.0, checked_users=5)


async def test_all_that_users_send_at_once_is_answered_and_stored_and_nothing_is_left(tmp_path: Path) -> None:
    ran = await run(PLAN, tmp_path)

    print(operations(ran).text(), held(ran).text(), verdict(ran), sep="\n")
    assert ran.wrong == []
    assert ran.outcome.figures.turns >= PLAN.users
    for did in (Did.CREATE, Did.ADD, Did.STORED, Did.FIRST_WORDS):
        assert ran.outcome.figures.seconds[did]
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    write(page, [ran])
    assert "### 20 users" in page.read_text()
    assert limits([ran]).rows[0][0] == "20"
    assert [file.name for file in draw(charts([ran]), tmp_path)] == ["load-levels.svg"]
