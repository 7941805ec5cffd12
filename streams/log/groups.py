"""Consumer groups: who else works on our topics, and what a group has committed."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import for_code
from aiokafka.protocol.commit import OffsetFetchRequest

from schemas.errors import UsageError
from streams.log.topics import admin_client
from streams.settings import KafkaSettings

LIVE_STATES = frozenset({"Stable", "PreparingRebalance", "CompletingRebalance"})


async def refuse_second_app(kafka: KafkaSettings, *, agent: str, group: str, topic: str) -> None:
    """Refuse to start beside another app id's agent on the same topic: two of them would post the same documents.

    Raises:
        UsageError: one line that names the other group.
        LogUnavailableError: Kafka does not answer within 10 seconds.

    """
    async with admin_client(kafka) as admin:
        groups = [
            name for name, _ in await admin.list_consumer_groups() if name != group and name.endswith(f"-{agent}")
        ]
        # One at a time: aiokafka 0.14 misreads an answer about several groups ("Buffer underrun decoding string").
        answers = [answer for other in groups for answer in await admin.describe_consumer_groups([other])]
    for answer in answers:
        for _code, name, state, _kind, _protocol, members, *_ in answer.groups:
            # A member's assignment holds the names of its topics as they are; there is no need to take it apart.
            works_here = any(topic.encode() in bytes(member[4] or b"") for member in members)
            if state in LIVE_STATES and works_here:
                raise UsageError(
                    f"another {agent} is at work on {topic} under the group {name}: stop it first, "
                    "or give this one a ZIFS_KAFKA__TOPIC_PREFIX of its own"
                )


def heeding_errors_of_offsets(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return `send`, which asks Kafka, so that it raises what a question about committed offsets is refused with.

    Fault closed: since version 2 of OffsetFetch (KIP-88) an error may be of the answer as a whole, which names no
    partition then: that the coordinator has moved, or is loading what was committed. aiokafka looks at the errors of
    partitions alone, and takes such an answer for "nothing was ever committed".
    """

    async def heeding(request: Any, *to: Any) -> Any:
        answer = await send(request, *to)
        if isinstance(request, OffsetFetchRequest) and (code := getattr(answer, "error_code", 0)):
            raise for_code(code)
        return answer

    return heeding
