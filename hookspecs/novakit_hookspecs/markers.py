"""The two pluggy markers every hook specification and implementation uses."""

import pluggy

PROJECT = "novakit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
