"""The few pages the gateway has of its own: small, light or dark, without anything from elsewhere."""

from collections.abc import Sequence
from html import escape

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
  :root {{ --back: #eef1f5; --card: #fff; --text: #17212b; --quiet: #60707f; --line: #dfe5eb; --accent: #1677c7; }}
  @media (prefers-color-scheme: dark) {{
    :root {{ --back: #0e1621; --card: #17212b; --text: #f1f5f9; --quiet: #93a4b5; --line: #26333f; --accent: #6ab3f3; }}
  }}
  * {{ box-sizing: border-box; }}
  body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px; background: var(--back);
         color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }}
  main {{ width: 100%; max-width: 420px; padding: 32px; border-radius: 16px; background: var(--card);
         box-shadow: 0 1px 2px #0001, 0 12px 32px #0000000f; }}
  small {{ color: var(--quiet); font-size: 13px; letter-spacing: .06em; }}
  h1 {{ margin: 4px 0 8px; font-size: 22px; line-height: 1.25; overflow-wrap: anywhere; }}
  p {{ margin: 0; color: var(--quiet); overflow-wrap: anywhere; }}
  ul {{ margin: 24px 0 0; padding: 0; list-style: none; border-top: 1px solid var(--line); }}
  li {{ border-bottom: 1px solid var(--line); }}
  li > * {{ display: flex; justify-content: space-between; padding: 12px 0; }}
  a {{ color: var(--accent); text-decoration: none; font-weight: 600; }}
  a::after {{ content: "\\2192"; }}
  a:focus-visible {{ outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }}
  i {{ color: var(--quiet); font-style: normal; }}
</style>
<main>
  <small>{kicker}</small>
  <h1>{heading}</h1>
  <p>{text}</p>{links}
</main>
</html>
"""


def page(kicker: str, heading: str, text: str, links: str = "") -> str:
    """Return a page.

    Args:
        kicker: a short line over the heading, such as the status.
        heading: what this page is or what happened.
        text: a sentence or two.
        links: finished HTML below.
    """
    return _PAGE.format(
        title=escape(heading), kicker=escape(kicker), heading=escape(heading), text=escape(text), links=links
    )


def index(apps: Sequence[tuple[str, str | None]]) -> str:
    """Return the page that lists the apps.

    Args:
        apps: the name of each, and where its pages are (None: it has none here).
    """
    text = "These mini apps are served here." if apps else "No mini app is set up here yet."
    items = "".join(f"\n    <li>{_item(name, address)}</li>" for name, address in apps)
    return page("Mini Apps", "Gateway", text, f"\n  <ul>{items}\n  </ul>" if apps else "")


def _item(name: str, address: str | None) -> str:
    if address is None:
        return f"<span>{escape(name)} <i>no pages here</i></span>"
    return f'<a href="{escape(address)}">{escape(name)}</a>'
