"""The REST service: the workspace over HTTP. :func:`dovetail.interfaces.rest.app.make_app`."""
