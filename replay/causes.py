"""Why a frame is there: what it follows from, and what that follows from, back to the external input that began it.

One rule for all who ask: an order's life, `lockstep why`, the debugger's `why`, a replay's first difference. An app's frame
follows from the frame it was handling (`cause`). What a venue says is an external input; where it answers a request of ours
(`request_seq`) it follows from the sending of it. A fill or payment that was learned by a download follows from it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from journal.errors import JournalError
from journal.frames import Frame, frame_at, frames
from journal.messages import (
    Channel,
    DownloadBegin,
    DownloadEnd,
    Funding,
    OrderSent,
    RawMessage,
    RoutedCancel,
    RoutedCancelAll,
    RoutedDeadMan,
    RoutedOrder,
    RoutedQuery,
    RoutedQuote,
    RoutedReplace,
    SendRefused,
    VenueFill,
)

CHAIN_MAX = 1000
_REQUESTS = (RoutedOrder, RoutedReplace, RoutedCancel, RoutedCancelAll, RoutedQuote, RoutedQuery, RoutedDeadMan)
"""What a gateway sends. Those about many orders name none."""


def follows_from(
    frame: Frame, at: Callable[[int], Frame | None], send: Callable[[Frame], int], download: Callable[[Frame], int]
) -> int:
    """Seq of the frame that this one follows from; 0: an external input that answers nothing of ours.

    `at`: a frame by seq, None where it is not to be had. `send`: seq of the OrderSent of a request, `download`: seq of the
    DownloadBegin that a fill was learned by; 0 where there is none.
    A cause is an earlier frame; a body that names a later one is damage, not a reason."""
    here = frame.header.seq
    if begun := download(frame):
        return begun
    cause = at(frame.header.cause) if 0 < frame.header.cause < here else None
    if cause is not None and not said_again(frame, cause):
        return cause.header.seq
    request = getattr(frame.message, "request_seq", 0)
    asked = at(request) if 0 < request < here else None
    if asked is not None:
        sent = send(asked)
        return sent if request < sent < here else request
    return cause.header.seq if cause is not None else 0


def said_again(frame: Frame, cause: Frame) -> bool:
    """Whether a frame is the same news as its cause: what a gateway made of a raw message; the request it answers says why. To
    an app a raw message is a moment like any other, at which a timer of its own fell due."""
    return isinstance(cause.message, RawMessage) and cause.header.source == frame.header.source


def chain(path: Path, seq: int) -> list[Frame]:
    """The frame, the one it follows from, and so on; the external input that began it last."""
    found: list[Frame] = []
    send, download = partial(sending, path), partial(downloading, path)

    def at(wanted: int) -> Frame | None:
        try:
            return frame_at(path, wanted)
        except JournalError:
            if not found:
                raise
            return None  # a slice of a journal does not go back to the beginning

    while seq and len(found) < CHAIN_MAX:
        frame = at(seq)
        if frame is None:
            break
        found.append(frame)
        seq = follows_from(frame, at, send, download)
    return found


def sending(path: Path, request: Frame) -> int:
    """Seq of the frame that says that a request was sent; 0: none does."""
    if not isinstance(request.message, _REQUESTS):
        return 0
    order = getattr(request.message, "order_id", 0)
    kinds = [OrderSent.KIND, SendRefused.KIND]
    for frame in frames(path, from_seq=request.header.seq, orders=[order] if order else None, kinds=kinds):
        if isinstance(frame.message, OrderSent | SendRefused) and frame.message.request_seq == request.header.seq:
            return frame.header.seq if isinstance(frame.message, OrderSent) else 0
    return 0


def downloading(path: Path, fill: Frame) -> int:
    """Seq of the DownloadBegin of the download that a fill, or a payment, was learned by; 0: by none. What a venue answers when
    it is asked for a single order is no download."""
    if not isinstance(fill.message, VenueFill | Funding) or fill.message.channel != Channel.DOWNLOAD:
        return 0
    begun = 0
    for frame in frames(path, to_seq=fill.header.seq, kinds=[DownloadBegin.KIND, DownloadEnd.KIND]):
        if frame.header.source == fill.header.source:
            begun = frame.header.seq if isinstance(frame.message, DownloadBegin) else 0
    return begun
