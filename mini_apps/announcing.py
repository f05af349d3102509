"""What an app may say to everybody its bot may write to."""

from typing import Any

from mini_apps.bound import BoundApp
from mini_apps.broadcast_jobs import LONGEST_TEXT, BroadcastJobs, JobRefused

__all__ = ["Announcing"]

LONGEST_CAPTION = 1024  # characters; https://core.telegram.org/bots/api#sendphoto


class Announcing(BoundApp):
    """The members of an app that write to its bot's whole audience."""

    async def broadcast_job(
        self, text: str, /, *, parse_mode: str | None = None, photo: str = "", paid: bool = False, **fields: Any
    ) -> str:
        """Let the bot send a message to everybody it may write to; a bot worker does it, behind all other calls.

        Nobody gets it twice, whatever dies meanwhile; see `broadcast_jobs` for how it goes. (`broadcast` is for the
        pages that are open now.)

        Source: https://core.telegram.org/bots/api#sendmessage, https://core.telegram.org/bots/api#sendphoto

        Args:
            text: of the message, or the caption of the photo.
            parse_mode: how it is marked up; None takes the app's `parse-mode`, an empty text none.
            photo: file id or address of a photo.
            paid: send up to `telegram.send-per-second-paid` a second, for Stars (`allow_paid_broadcast`).
            **fields: more of the method's, such as `reply_markup`.

        Returns:
            The job's id.

        Raises:
            JobRefused: the text is empty or too long, or a field cannot be sent.
            Overloaded: too many jobs are kept.
            BrokerUnavailable: Redis did not confirm it; look whether it is there before you repeat it.
        """
        longest = LONGEST_CAPTION if photo else LONGEST_TEXT
        if not (text or photo) or len(text) > 4 * longest:  # with its mark-up; Telegram counts without
            raise JobRefused(f"a broadcast's text has 1 to {longest} characters")
        mode = self.settings.parse_mode if parse_mode is None else parse_mode
        content = {"photo": photo, "caption": text or None} if photo else {"text": text}
        paying = True if paid else None
        every = {**content, "parse_mode": mode or None, "allow_paid_broadcast": paying, **fields}
        total = await self.mesh.audience.count(self.name)
        return await self.broadcast_jobs.create("sendPhoto" if photo else "sendMessage", every, total)

    @property
    def broadcast_jobs(self) -> BroadcastJobs:
        """The app's broadcast jobs: to list, watch, pause, resume and cancel them."""
        return BroadcastJobs(self.mesh.bus, self.keys)
