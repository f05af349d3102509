"""Takes away pictures that no event has: an admin uploaded one and then did not create the event."""

from examples.mini_event import store
from mini_apps import App

LOOK_SECONDS = 3_600.0  # between two looks


async def run(app: App) -> None:
    """Look for pictures without an event, until cancelled."""
    while True:
        async with app.db() as s:
            used = await store.pictures(s)
        try:
            removed = await app.remove_unused_images(used)
        except OSError as error:
            app.log.warning("unused pictures were not removed", reason=str(error))
        else:
            if removed:
                app.log.info("unused pictures were removed", pictures=removed)
        await app.clock.sleep(LOOK_SECONDS)
