"""The HTTP side of a service: /health, one error body for everything that goes wrong, and the
server.
"""

from http import HTTPStatus

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Lifespan

from atlas_common import logs
from atlas_common.errors import ServiceError

__all__ = ["ServiceError", "create_app", "serve"]

GRACE = 3  # seconds that running requests get after SIGTERM; the process must have ended within 5


def create_app(service: str, *, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Make an app with `GET /health`, whose errors all have the body {"error": {code, message,
    service}}.
    """
    # No /docs: its pages load scripts from elsewhere. /openapi.json stays.
    app = FastAPI(title=service, lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "service": service}

    def body(status: int, code: str, message: str) -> JSONResponse:
        return JSONResponse(
            {"error": {"code": code, "message": message, "service": service}}, status
        )

    @app.exception_handler(ServiceError)
    async def refused(_: Request, error: ServiceError) -> JSONResponse:
        return body(error.status, error.code, error.message)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Place and reason only: the input itself may be large, or not even JSON (NaN).
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        return body(422, "invalid_request", "; ".join(faults))

    @app.exception_handler(HTTPException)
    async def framework(_: Request, error: HTTPException) -> JSONResponse:
        code = HTTPStatus(error.status_code).name.lower()
        response = body(error.status_code, code, str(error.detail))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def bug(_: Request, __: Exception) -> JSONResponse:  # uvicorn logs the traceback
        return body(500, "internal_error", f"{service} failed; its log tells why")

    return app


def serve(app: FastAPI, port: int) -> None:
    """Serve on all interfaces until SIGTERM or SIGINT; logs go to stderr as JSON lines."""
    logs.configure(app.title)
    uvicorn.run(
        app,
        host="0.0.0.0",  # noqa: S104  # a container's own network; what is published is the caller's choice
        port=port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
