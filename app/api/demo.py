"""The demo's sign-in; see app.identity.demo."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.api.body import SMALL_BODY_BYTES, read_model
from app.api.callers import admit_address
from app.api.schemas import failures, json_body
from app.api.services import CurrentServices
from app.errors import RequestTimeout, TooLarge
from app.identity.demo import TOKEN_SECONDS, DemoSignIn, DemoUser


class SignIn(BaseModel):
    """Who to be."""

    user: DemoUser


class Token(BaseModel):
    """A bearer token and how many seconds it is good for."""

    token: str
    expires_in: int


def demo_router(sign_in: DemoSignIn) -> APIRouter:
    """Return the route that hands out tokens to anybody who asks."""
    router = APIRouter(prefix="/demo")

    @router.post("/sign-in", responses=failures(RequestTimeout, TooLarge), openapi_extra=json_body(SignIn))
    async def sign_in_as(request: Request, services: CurrentServices) -> Token:
        """Sign in as one of the two demo users, without a password."""
        await admit_address(request, services)
        wanted = await read_model(request, SignIn, SMALL_BODY_BYTES)
        return Token(token=sign_in.mint(wanted.user), expires_in=TOKEN_SECONDS)

    return router
