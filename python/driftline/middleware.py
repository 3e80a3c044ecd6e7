"""Captures of a serving process: middleware for FastAPI, Starlette and Flask, and a decorator.

The middleware sees requests and answers as JSON. What is no JSON object is left alone, and so is everything
else than the paths that were named. The answer goes out before its capture is looked at.
"""

import functools
import json
import time

#: Bytes of a body that are looked at; a larger one passes without a capture.
BODY_BYTES = 1 << 20


def captured(client, features=None, prediction=None):
    """A decorator for a function that predicts: its keyword arguments, or what `features(*args, **kwargs)`
    says, and what it returns, or what `prediction(returned)` says.

    >>> @captured(client)
    ... def predict(dep_delay, carrier): ...
    """

    def decorate(function):
        import inspect

        names = inspect.signature(function)

        def take(args, kwargs, returned, started, status):
            try:
                if features is not None:
                    given = features(*args, **kwargs)
                else:
                    given = dict(names.bind(*args, **kwargs).arguments)
                    given.pop("self", None)
                answer = prediction(returned) if prediction is not None and status == 200 else returned
                client.capture(given, answer, latency_us=_since_us(started), status=status)
            except Exception:
                client._trouble("a call could not be captured", exc_info=True)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                started = time.perf_counter_ns()
                try:
                    returned = await function(*args, **kwargs)
                except Exception:
                    take(args, kwargs, None, started, 500)
                    raise
                take(args, kwargs, returned, started, 200)
                return returned

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                started = time.perf_counter_ns()
                try:
                    returned = function(*args, **kwargs)
                except Exception:
                    take(args, kwargs, None, started, 500)
                    raise
                take(args, kwargs, returned, started, 200)
                return returned

        return wrapper

    return decorate


class CaptureMiddleware:
    """ASGI middleware: `app.add_middleware(CaptureMiddleware, client=client, paths=["/predict"])`.

    `features(body)` and `prediction(body)` choose from the two JSON bodies; without them each is taken whole.
    A header `x-request-id` is the capture's id.
    """

    def __init__(self, app, *, client, paths, features=None, prediction=None):
        self.app = app
        self.client = client
        self.paths = frozenset(paths)
        self.features = features
        self.prediction = prediction

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"] not in self.paths:
            await self.app(scope, receive, send)
            return
        started = time.perf_counter_ns()
        asked, answered = Body(), Body()
        status = 500
        done = False

        async def receiving():
            message = await receive()
            if message["type"] == "http.request":
                asked.add(message.get("body", b""))
            return message

        async def sending(message):
            nonlocal status, done
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                answered.add(message.get("body", b""))
                done = not message.get("more_body", False)
            latency_us = _since_us(started)
            await send(message)
            if done:
                self._take(scope, asked, answered, status, latency_us)

        try:
            await self.app(scope, receiving, sending)
        except Exception:
            if not done:
                self._take(scope, asked, answered, 500, _since_us(started))
            raise

    def _take(self, scope, asked, answered, status, latency_us):
        id = None
        for name, value in scope.get("headers", ()):
            if name == b"x-request-id":
                id = value.decode("latin-1")
        _capture(self, Exchange(asked, answered, id, status, latency_us))


class FlaskCaptures:
    """For Flask: `FlaskCaptures(app, client=client, paths=["/predict"])`; options as above."""

    def __init__(self, app, *, client, paths, features=None, prediction=None):
        self.client = client
        self.paths = frozenset(paths)
        self.features = features
        self.prediction = prediction
        app.before_request(self._before)
        app.after_request(self._after)

    def _before(self):
        from flask import g

        g.driftline_started = time.perf_counter_ns()

    def _after(self, response):
        from flask import g, request

        try:
            if request.path in self.paths and not response.direct_passthrough:
                asked, answered = Body(), Body()
                asked.add(request.get_data(cache=True))
                answered.add(response.get_data())
                id = request.headers.get("x-request-id")
                latency_us = _since_us(g.get("driftline_started", time.perf_counter_ns()))
                _capture(self, Exchange(asked, answered, id, response.status_code, latency_us))
        except Exception:
            self.client._trouble("a request could not be captured", exc_info=True)
        return response


class Body:
    """The bytes of a body, as far as they are looked at."""

    def __init__(self):
        self.parts = []
        self.bytes = 0

    def add(self, part):
        self.bytes += len(part)
        if self.bytes <= BODY_BYTES:
            self.parts.append(part)

    def json(self):
        """The object that stands there, or None."""
        if self.bytes > BODY_BYTES:
            return None
        try:
            return json.loads(b"".join(self.parts))
        except ValueError:
            return None


class Exchange:
    """A request with its answer, not looked at yet."""

    def __init__(self, asked, answered, id, status, latency_us):
        self.asked = asked
        self.answered = answered
        self.id = id
        self.status = status
        self.latency_us = latency_us


def _capture(middleware, exchange):
    try:
        features = exchange.asked.json()
        answered = exchange.answered.json() if exchange.status < 400 else None
        if features is not None and middleware.features is not None:
            features = middleware.features(features)
        if answered is not None and middleware.prediction is not None:
            answered = middleware.prediction(answered)
        middleware.client.capture(
            features if isinstance(features, dict) else None,
            answered,
            id=exchange.id,
            latency_us=exchange.latency_us,
            status=exchange.status,
        )
    except Exception:
        middleware.client._trouble("a request could not be captured", exc_info=True)


def _since_us(started):
    return (time.perf_counter_ns() - started) // 1000
