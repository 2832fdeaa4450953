"""The demo's sign-in; see app.identity.demo."""

from fastapi import APIRouter
from pydantic import BaseModel

from app.api.schemas import ErrorBody
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

    @router.post("/sign-in", responses={400: {"model": ErrorBody}})
    async def sign_in_as(request: SignIn) -> Token:
        """Sign in as one of the two demo users, without a password."""
        return Token(token=sign_in.mint(request.user), expires_in=TOKEN_SECONDS)

    return router
