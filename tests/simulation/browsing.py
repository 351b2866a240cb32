"""A headless Chromium, driven over its own pipe: no port, no other package.

Commands and events are JSON, each ended by a NUL, on file descriptors 3 (in) and 4 (out):
https://chromedevtools.github.io/devtools-protocol/.
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from patience import PATIENCE_S
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--remote-debugging-pipe"),
)


class Browser:
    """One browser. Every page has its own session, and keeps what happened in it."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._heard = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        said = {"id": self._number, "method": method, "params": params}
        said |= {"sessionId": session} if session else {}
        os.write(self._commands, json.dumps(said).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def wait(self, method: str, session: str) -> None:
        """Until an event has come."""
        while not any(event["method"] == method for event in self.of(session)):
            self.events.append(self._next())

    def of(self, session: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("sessionId") == session]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        while b"\0" not in self._heard:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "chromium does not answer"
            more = os.read(self._answers, 1 << 20)
            assert more, "chromium ended"
            self._heard += more
        message, _, self._heard = self._heard.partition(b"\0")
        return json.loads(message)

    def open(self, address: str, width: int, *, dark: bool = False) -> "Page":
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable", session)
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", session, **size)
        wish = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", session, features=wish)
        self.ask("Page.navigate", session, url=address)
        self.wait("Page.loadEventFired", session)
        page = Page(self, session)
        page.value("Promise.all([...document.images].map(image => image.decode())).then(() => 1)")
        return page


class Page:
    """An open page, fully loaded."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self._browser.ask("Runtime.evaluate", self._session, **asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self) -> np.ndarray:
        """(height, width, 3) the whole page, as it is painted."""
        self._browser.ask("Page.bringToFront", self._session)  # a hidden page is not painted
        size = self._browser.ask("Page.getLayoutMetrics", self._session)["cssContentSize"]
        shot = self._browser.ask(
            "Page.captureScreenshot",
            self._session,
            captureBeyondViewport=True,
            clip={**size, "scale": 1},
        )
        with Image.open(BytesIO(b64decode(shot["data"]))) as image:
            return np.asarray(image.convert("RGB"))

    def printed(self) -> bytes:
        """The page as a PDF."""
        return b64decode(self._browser.ask("Page.printToPDF", self._session)["data"])

    @property
    def requested(self) -> list[str]:
        """The addresses that were asked for, but for what is in the page itself."""
        asked = [
            event["params"]["request"]["url"]
            for event in self._browser.of(self._session)
            if event["method"] == "Network.requestWillBeSent"
        ]
        return [address for address in asked if not address.startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        """What stands in the console: errors, warnings, exceptions, refused content."""
        events = self._browser.of(self._session)
        return [
            json.dumps(event["params"])
            for event in events
            if event["method"]
            in {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}
        ]


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser that knows nothing, with ``folder`` for what it writes down."""
    assert CHROMIUM is not None
    # Above 9, so that putting the ends onto 3 and 4 in the child overwrites neither.
    hears, tells = (_high(end) for end in os.pipe())
    answers, says = (_high(end) for end in os.pipe())

    def connect() -> None:
        os.dup2(hears, 3)
        os.dup2(says, 4)

    running = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        preexec_fn=connect,  # noqa: PLW1509 - it takes no lock
        pass_fds=(3, 4),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(hears)
    os.close(says)
    try:
        browser = Browser(tells, answers)
        yield browser
        browser.ask("Browser.close")
        running.wait(PATIENCE_S)
    finally:
        os.close(tells)
        os.close(answers)
        running.kill()
        running.wait()


def _high(end: int) -> int:
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(end)
    return moved
