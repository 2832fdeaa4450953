"""What the documents say that the code knows better."""

from scripts.settings_page import PAGE, page


def test_the_page_of_settings_says_what_the_settings_say() -> None:
    assert PAGE.read_text() == page(), "docs/settings.md is out of date. Run: make settings"
