"""What an app may do with the pictures of its media folder, which pages fill through the gateway."""

import asyncio
from typing import TYPE_CHECKING, Any

from mini_apps.bound import BoundApp
from shared.media import MediaFolder, MediaFull, is_upload

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from shared.settings import AppSettings

__all__ = ["Picturing"]

UNUSED_SECONDS = 86_400.0  # that a picture may be of no use


class Picturing(BoundApp):
    """The members of an app that store and take away pictures; the folder is `gateway.media`, on a shared volume.

    Args:
        settings: the app's section of the settings.
        name: of the app in the deployment.
    """

    _media_folder: "MediaFolder | None"

    def __init__(self, settings: "AppSettings | Mapping[str, Any]", name: str | None = None) -> None:
        super().__init__(settings, name)
        self._media_folder = None

    async def save_image(self, raw: bytes, /) -> str:
        """Store a picture as an upload to the gateway is, and return its address for pages.

        Args:
            raw: a whole PNG, JPEG, WebP or GIF file.

        Raises:
            shared.images.BadImage: a `ValueError`: it is none of these, broken, or has too many pixels.
            shared.media.MediaFull: there is no room, or the settings name no folder.
            OSError: the folder is not writable in this process.
        """
        stored = await asyncio.to_thread(self._media().store, self.name, raw)
        return self.settings.media_address(stored.name)

    async def remove_image(self, address: str, /) -> bool:
        """Take a picture of this app away; false where it is none, such as a picture from elsewhere.

        Browsers that have shown it may keep it.

        Args:
            address: as `save_image` or the gateway gave it.

        Raises:
            OSError: the folder is not writable in this process.
        """
        if not self.owns_image(address) or self.settings.media_folder() is None:
            return False
        return await asyncio.to_thread(self._media().remove, self.name, address.rpartition("/")[2])

    async def remove_unused_images(self, used: "Collection[str]", /, *, older: float = UNUSED_SECONDS) -> int:
        """Take away the pictures of this app that nothing refers to: uploads that came to no use.

        Only the app knows which these are; nothing goes by itself. Run it from `server_tasks`.

        Args:
            used: the addresses that the app has kept anywhere, read just now; those of other pictures do not matter.
            older: seconds since the upload, in which the page still may tell the app of it.

        Returns:
            How many were taken away.

        Raises:
            OSError: the folder is not writable in this process.
        """
        if self.settings.media_folder() is None:
            return 0
        names = {address.rpartition("/")[2] for address in used if self.owns_image(address)}
        before = self.clock.time() - older
        return await asyncio.to_thread(self._media().remove_unused, self.name, names, before)

    def owns_image(self, address: str, /) -> bool:
        """Tell whether an address is one that `save_image` or the gateway gave for a picture of this app.

        Ask before you keep an address that a page sent: everything else may lead anywhere.

        Args:
            address: what the page sent.
        """
        name = address.rpartition("/")[2]
        return is_upload(name) and address == self.settings.media_address(name)

    def _media(self) -> MediaFolder:
        if self._media_folder is None:
            folder = self.settings.media_folder()
            if folder is None:
                raise MediaFull("there is no folder for pictures: set gateway.media")
            self._media_folder = MediaFolder(folder, self.settings.gateway.media_max_bytes)
        return self._media_folder
