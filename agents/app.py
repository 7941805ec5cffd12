"""The wiring of the worker: which agent answers which topics, with which tables and clients.

    collector    zuora.notification.v1, fetch-later                         table objects
    bookkeeper   zuora.document.v1, ledger.mapping.v1, ledger.voucher.v1,   tables mappings, records, held, releases
                 connector.request.v1, chart-copy, release, handed-over,
                 posting-progress
    poster       ledger.voucher-command.v1, posting-retry                   tables commands, waiting
                 (connector.control.v1 is followed beside)

Each agent is an app and a consumer group of its own, `{app id}-{agent}`; all named ones run in this process.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog
from aiohttp import web

from agents.bookkeeper.beginning import Beginning
from agents.bookkeeper.bookkeeper import Bookkeeper
from agents.bookkeeper.rows import Tables
from agents.bookkeeper.said import Said
from agents.collector.collector import LARGEST_DOCUMENT_BYTES, LATER_AT_ONCE, Collector, share_of_limits
from agents.collector.metrics import on_zuora_wait
from agents.parking import Parking
from agents.poster.pauses import Pauses
from agents.poster.poster import TICK, Poster
from agents.poster.road import READ_AHEAD, READ_AHEAD_BYTES
from agents.poster.ticking import Ticker
from agents.runtime import Event, StateTable, StreamApp, Timing, Work, run_process
from agents.serving import add_probes, run, start_site
from agents.tls import server_tls
from schemas import topics
from schemas.credentials import System
from schemas.topics import TABLES, TopicNames, TopicSpec
from streams.log.groups import refuse_second_app
from streams.log.producer import LogProducer
from streams.log.reader import LogRecord, Position, log_bounds, read_many, read_to_end
from streams.log.topics import largest_records, require_topics
from streams.privacy.documents import LeftOut, Sealed, Sealing
from streams.privacy.personal_keys import PersonalKeys
from streams.settings import Settings
from streams.systems.ifs.client import IfsClient
from streams.systems.ifs.service import budget_of, connected, token_source
from streams.systems.zuora.client import ZuoraClient, zuora_session, zuora_tokens
from streams.vault.current import CurrentCredentials, chosen, without_vault
from streams.vault.keys import LocalKeys
from streams.vault.records import Vault
from streams.vault.watcher import VaultWatcher

log = structlog.get_logger(__name__)

FETCHES_AT_ONCE = 64
"""More than Zuora's 40 at a time, so that a document of many pages leaves no slot unused."""


@dataclass
class Wiring:
    """What agents are made of; clients are closed with `resources`."""

    settings: Settings
    names: TopicNames
    producer: LogProducer
    resources: AsyncExitStack
    watcher: VaultWatcher
    """Keeps the tokens of clients up to date with the vault; `settings` have the credentials of the start."""

    def app(self, agent: str) -> StreamApp:
        """Return the stream app of an agent, without its handlers."""
        session = self.settings.worker.session_seconds
        return StreamApp(
            self.names.agent(agent),
            kafka=self.settings.kafka,
            producer=self.producer,
            data_dir=self.settings.data_dir / "worker",
            timing=Timing(session_seconds=session, heartbeat_seconds=session / 6),
        )

    def tables(self, app: StreamApp, agent: str) -> dict[str, StateTable]:
        """Declare an agent's tables."""
        return {
            spec.name: app.table(
                spec.name,
                partitions=spec.partitions or self.settings.kafka.partitions,
                changelog_topic=self.names.changelog(agent, spec.name),
                **self._largest_entry(agent, spec),
            )
            for spec in TABLES[agent]
        }

    def _largest_entry(self, agent: str, spec: TopicSpec) -> dict[str, int]:
        if not spec.large_messages:
            return {}
        return {"largest_record_bytes": self.producer.largest_record(self.names.changelog(agent, spec.name))}


async def collector(wiring: Wiring) -> StreamApp:
    """Wire the collector: HTTP-bound, a window of fetches, each object's in order."""
    app, names, settings = wiring.app("collector"), wiring.names, wiring.settings
    tables = wiring.tables(app, "collector")
    notifications = names.public(topics.NOTIFICATION)
    share = share_of_limits(lambda: len(app.assigned_partitions(notifications)), settings.kafka.partitions)
    tokens = wiring.watcher.serve(System.ZUORA, zuora_tokens(settings.zuora))
    session = await wiring.resources.enter_async_context(zuora_session(settings.zuora, share=share, tokens=tokens))
    agent = Collector(
        ZuoraClient(session, on_wait=on_zuora_wait),
        names,
        tables["objects"],
        partitions=settings.kafka.partitions,
        sealing=await _sealing(wiring),
        largest_document_bytes=_largest_document(wiring),
    )
    app.windowed(topics=[notifications], handler=agent.on_notification, size=FETCHES_AT_ONCE)
    # These mostly sleep until their time has come; what is handed over must not queue behind them.
    app.windowed(
        topics=[names.working(topics.FETCH_LATER)],
        handler=agent.on_fetch_later,
        size=LATER_AT_ONCE,
        span=4 * LATER_AT_ONCE,
    )
    return app


def _largest_document(wiring: Wiring) -> int:
    """Return in bytes what every topic takes that a document or its voucher goes through, and tables that keep it."""
    names = wiring.names
    passed = [names.public(spec.name) for spec in topics.PUBLIC_TOPICS if spec.large_messages]
    passed += [
        names.changelog(agent, spec.name) for agent, specs in TABLES.items() for spec in specs if spec.large_messages
    ]
    return min(LARGEST_DOCUMENT_BYTES, *(wiring.producer.largest_record(topic) for topic in passed))


async def _sealing(wiring: Wiring) -> Sealing:
    """Return what becomes of personal fields: sealed where there is a key of keys, else left out."""
    settings = wiring.settings
    if not settings.vault.keys:
        log.warning(
            "ZIFS_VAULT__KEYS is not set: account names and comments are kept in clear, other personal data is left out"
        )
        return LeftOut(settings.privacy.fields)
    keys = PersonalKeys(
        settings.kafka, wiring.names, wiring.producer, LocalKeys(settings.vault.keys), process="collector"
    )
    await keys.read()
    await wiring.resources.enter_async_context(keys.following())
    return Sealed(keys, settings.privacy.fields)


async def bookkeeper(wiring: Wiring) -> StreamApp:
    """Wire the bookkeeper: no HTTP, one event at a time."""
    app, names, settings = wiring.app("bookkeeper"), wiring.names, wiring.settings
    await refuse_second_app(settings.kafka, agent="bookkeeper", group=app.app_id, topic=names.public(topics.DOCUMENT))

    async def read_values(places: Collection[tuple[str, int, int]]) -> list[bytes | None]:
        return [record.value for record in await read_many(settings.kafka, places)]

    async def read_topic(topic: str, partitions: Collection[int] | None) -> AsyncIterator[list[LogRecord]]:
        bounds = (await log_bounds(settings.kafka, [topic])).only(partitions)
        async for batch in read_to_end(settings.kafka, [topic], {}, bounds):
            yield batch.records

    async def read_from(topic: str, offsets: Mapping[Position, int]) -> AsyncIterator[list[LogRecord]]:
        async for batch in read_to_end(settings.kafka, [topic], offsets):
            yield batch.records

    async def read_ends(of: Collection[str]) -> Mapping[Position, int]:
        return (await log_bounds(settings.kafka, of)).end

    said = Said(names, partitions=settings.kafka.partitions, read=read_from, ends=read_ends, read_values=read_values)
    agent = Bookkeeper(
        names=names,
        tables=Tables(**wiring.tables(app, "bookkeeper")),
        partitions=settings.kafka.partitions,
        ifs=settings.ifs,
        read_values=read_values,
        said=said,
    )
    app.serial(topics=agent.topics, handler=agent.on_event)
    app.before_events(Beginning(agent, names, read_topic, said))
    return app


async def poster(wiring: Wiring) -> StreamApp:
    """Wire the poster: one change set at a time, one active in the whole group."""
    app, names, settings = wiring.app("poster"), wiring.names, wiring.settings
    commands = names.public(topics.VOUCHER_COMMAND)
    await refuse_second_app(settings.kafka, agent="poster", group=app.app_id, topic=commands)
    tokens = wiring.watcher.serve(System.IFS, token_source(settings.ifs))
    service = await wiring.resources.enter_async_context(connected(settings.ifs, tokens, budget_of(settings.ifs)))
    pauses = Pauses()
    await pauses.read(settings.kafka, names.public(topics.CONTROL))
    await wiring.resources.enter_async_context(pauses.following(settings.kafka, names.public(topics.CONTROL)))
    tables = wiring.tables(app, "poster")
    agent = Poster(
        IfsClient(service, settings.ifs),
        names=names,
        commands=tables["commands"],
        waiting=tables["waiting"],
        app_id=settings.app_id,
        settings=settings.ifs,
        is_heard=lambda: app.seconds_since_heartbeat < settings.worker.session_seconds / 2,
        pauses=pauses,
        behind=lambda: sum(app.lag(commands).values()),
    )
    retries = names.working(topics.POSTING_RETRY)
    ticker = Ticker(
        seconds_until_due=lambda: agent.seconds_until_due,
        append=lambda: wiring.producer.send_and_confirm(retries, key=TICK, value=b"{}", partition=0),
    )

    async def on_events(taken: Sequence[tuple[Event, Work]]) -> None:
        await agent.on_events(taken)
        if any(event.topic == retries for event, _ in taken):
            ticker.handled()

    app.gathered(topics=[commands, retries], handler=on_events, ahead=READ_AHEAD, ahead_bytes=READ_AHEAD_BYTES)
    app.before_events(agent.before_events)
    await wiring.resources.enter_async_context(ticker.running())
    parking = Parking(
        settings.kafka,
        names,
        send=lambda one: wiring.producer.send_and_confirm(one.topic, key=one.key, value=one.value, headers=one.headers),
        is_active=lambda: bool(app.assigned_partitions(commands)),
    )
    await wiring.resources.enter_async_context(parking.running())
    return app


AGENTS = {"collector": collector, "bookkeeper": bookkeeper, "poster": poster}


def run_worker(settings: Settings, agents: Sequence[str]) -> None:
    """Run the named agents in this process until it is told to stop; ends it with the exit code."""
    codes: list[int] = []

    async def main() -> None:
        codes.append(await _work(settings, agents))

    run(main())
    raise SystemExit(codes[0])


async def _work(settings: Settings, agents: Sequence[str]) -> int:
    names = TopicNames(prefix=settings.kafka.topic_prefix, app_id=settings.app_id)
    if not settings.vault.keys:  # then no vault can help, and what is missing is told before Kafka is asked
        _require_far_sides(without_vault(settings), agents)
    vault = Vault(settings)
    await require_topics(settings.kafka, names)
    largest = await largest_records(settings.kafka, names)
    contents = await vault.contents()
    current = await chosen(settings, vault, contents)
    _require_far_sides(current, agents)
    watcher = VaultWatcher(vault, contents, current)
    async with AsyncExitStack() as resources:
        producer = LogProducer(settings.kafka, client_id=f"{settings.app_id}-worker", largest_records=largest)
        wiring = Wiring(current.settings, names, producer, resources, watcher)
        apps = [await AGENTS[name](wiring) for name in agents]
        await resources.enter_async_context(watcher.running())
        tls = server_tls(settings.worker, "ZIFS_WORKER__")
        site = await start_site(_probes(apps), settings.worker.host, settings.worker.port, tls=tls)
        resources.push_async_callback(site.stop)
        return await run_process(apps, producer)


def _require_far_sides(current: CurrentCredentials, agents: Sequence[str]) -> None:
    """Name a missing setting of a far side before anything is started."""
    checks: dict[str, tuple[System, Callable[[], object]]] = {
        "collector": (System.ZUORA, lambda: zuora_tokens(current.settings.zuora)),
        "poster": (System.IFS, lambda: token_source(current.settings.ifs)),
    }
    for system, check in (checks[name] for name in agents if name in checks):
        current.require(system)
        check()


def _probes(apps: Sequence[StreamApp]) -> web.Application:
    async def why_not_ready() -> list[str]:
        return [reason for app in apps for reason in app.why_not_ready()]

    site = web.Application()
    add_probes(site, why_not_ready)
    return site
