"""``open-speech models load | watch | unload | delete``: models of a running server, with a bar for who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import click

from .connection import check, connected, connection_options
from .progress import model_bar

if TYPE_CHECKING:
    import httpx

    from open_speech_api.wire.lifecycle import ManagedModel, ModelProgress

T = TypeVar("T")

LOOK_EVERY_S = 0.2
MOVING = ("queued", "downloading", "loading")
Show = Callable[["ModelProgress"], None]


@click.command()
@click.argument("id")
@connection_options
def load(id: str, url: str | None, api_key: str | None, insecure: bool) -> None:
    """Load model ID into the server's memory, fetching its weights first if need be."""
    with connected(url, api_key, insecure) as client:
        announce(status(client, id))
        found = act(client, id, "load")
    click.echo(f"{found.id} is loaded on {found.device or 'cpu'}.", err=True)


@click.command()
@click.argument("id")
@connection_options
def watch(id: str, url: str | None, api_key: str | None, insecure: bool) -> None:
    """Watch model ID until it is fetched, loaded, or has failed; then print its state."""
    with connected(url, api_key, insecure) as client:
        with model_bar(id) as show:
            while (now := progress(client, id)).status in MOVING:
                show(now)
                time.sleep(LOOK_EVERY_S)
        state = status(client, id).state
    if now.error is not None:
        raise click.ClickException(now.error.message)
    click.echo(state)


@click.command()
@click.argument("id")
@connection_options
def unload(id: str, url: str | None, api_key: str | None, insecure: bool) -> None:
    """End the processes of model ID; when this returns, their memory is back."""
    with connected(url, api_key, insecure) as client:
        check(client.delete(path(id)))
    click.echo(f"{id} is unloaded.", err=True)


@click.command()
@click.argument("id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connection_options
def delete(id: str, yes: bool, url: str | None, api_key: str | None, insecure: bool) -> None:
    """Delete the weights of model ID from the server's machine."""
    from open_speech_api.wire.lifecycle import FilesDeleted, ModelFiles

    with connected(url, api_key, insecure) as client:
        there = read(client.get(path(id, "artifacts")), ModelFiles)
        if not there.files:
            raise click.ClickException(f"nothing of {there.model} is on that machine")
        if not yes:
            click.confirm(f"Delete {megabytes(there.bytes)} of {there.model}?", abort=True, err=True)
        gone = read(client.delete(path(id, "artifacts")), FilesDeleted)
    click.echo(f"{gone.model} is deleted; {megabytes(gone.freed_bytes)} are free again.", err=True)


def act(client: httpx.Client, id: str, verb: str) -> ManagedModel:
    """Load or fetch a model, showing how far it is while a person watches. Who leaves ends nothing."""
    from open_speech_api.wire.lifecycle import ManagedModel

    asking = Asking(client, path(id, verb))
    with model_bar(id) as show:
        while asking.is_alive():
            show(progress(client, id))
            asking.join(LOOK_EVERY_S)
    return read(asking.answer(), ManagedModel)


class Asking(threading.Thread):
    """A request that takes long; it does not keep an interrupted command from ending."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._path = path
        self._found: httpx.Response | Exception
        self.start()

    def run(self) -> None:
        try:
            self._found = self._client.post(self._path)
        except Exception as error:  # fence: raised again by whoever waits
            self._found = error

    def answer(self) -> httpx.Response:
        """Give what was answered, once the thread has ended. Raises what the request raised."""
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


def announce(found: ManagedModel) -> None:
    """Say what will be fetched and under which licence, before it is."""
    if found.state == "available":
        size = f"{found.size_mb:.0f} MB" if found.size_mb else "weights of unknown size"
        click.echo(f"Fetching {size} of {found.id}; licence: {found.licence or 'unknown'}.", err=True)


def status(client: httpx.Client, id: str) -> ManagedModel:
    from open_speech_api.wire.lifecycle import ManagedModel

    return read(client.get(path(id, "status")), ManagedModel)


def progress(client: httpx.Client, id: str) -> ModelProgress:
    from open_speech_api.wire.lifecycle import ModelProgress

    return read(client.get(path(id, "progress")), ModelProgress)


def path(id: str, verb: str = "") -> str:
    """Give the path of a model, or of a verb on it."""
    return f"/api/models/{quote(id, safe='')}" + (f"/{verb}" if verb else "")


def read(response: httpx.Response, type: type[T]) -> T:
    """Decode an answer; raise what the server said if it is a refusal."""
    import msgspec

    check(response)
    try:
        return msgspec.json.decode(response.content, type=type)
    except msgspec.MsgspecError:
        raise click.ClickException("what answers there is no Open Speech server") from None


def megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
