"""What keeps people from using a page, as axe finds it."""

from pathlib import Path

from playwright.async_api import Page

_AXE = Path(__file__).parents[2] / "website/node_modules/axe-core/axe.min.js"
_RUN = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`));
}"""


async def barriers(page: Page) -> list[str]:
    """Return what axe finds in a page as it is now; nothing is as it should be."""
    # Past the page's policy, as a person's own tools are.
    await page.evaluate(_AXE.read_text())
    found: list[str] = await page.evaluate(_RUN)
    return found
