"""Stream processing on Kafka that loses nothing: faust-streaming, hardened.

What belongs here: everything that touches Faust. Each override says which fault of faust-streaming 0.15.3 it closes,
and a test fails without it; a chaos test guards upgrades. Faust still joins the group, assigns partitions and carries
events to the agents; reading, seeking, recovering, acknowledging and committing are done here.
What does not belong here: anything that knows Zuora, IFS Cloud or accounting.
"""

from agents.runtime.app import StreamApp
from agents.runtime.failure import ExitCode, end_process
from agents.runtime.process import run_process
from agents.runtime.stage import BeforeEvents, OpenWork
from agents.runtime.table import StateTable
from agents.runtime.timing import Timing
from agents.runtime.window import Handler
from agents.runtime.work import Abandoned, Event, NotInHandlerError, Work, handling, send_message

__all__ = [
    "Abandoned",
    "BeforeEvents",
    "Event",
    "ExitCode",
    "Handler",
    "NotInHandlerError",
    "OpenWork",
    "StateTable",
    "StreamApp",
    "Timing",
    "Work",
    "end_process",
    "handling",
    "run_process",
    "send_message",
]
