"""What keeps a command from being posted: for this one voucher, or for all of them."""

from schemas.errors import FarSideError
from streams.systems.ifs.errors import Judgement, Verdict
from streams.systems.ifs.refusals import Explanation


class CannotPostError(FarSideError):
    """Nothing can be posted safely; the message is the one clear line for the person who must act."""


class NotPossibleError(Exception):
    """The voucher cannot be made as it is; becomes a rejection."""

    def __init__(self, explanation: Explanation, message: str) -> None:
        super().__init__(message)
        self.judgement = Judgement(Verdict.REFUSED, None, message, explanation)
