"""An observer that keeps the contract."""

from novakit_hookspecs import hookimpl

heard = []


@hookimpl
async def novakit_on_server(event):
    heard.append(event.event)
