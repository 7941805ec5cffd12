"""A correction before it is asked for: what the log and today's mappings make of it."""

from schemas.audit import Record
from schemas.base import Status
from schemas.errors import UnreadableError
from schemas.notifications import DocumentCaptured
from schemas.topics import TopicNames
from streams.accounting.documents import GONE, read_document
from streams.accounting.evaluation import Evaluation, evaluate
from streams.projection.chart import ProjectedChart
from streams.projection.queries import ReadModel
from streams.record_details import record_details
from streams.requests import RequestError
from streams.settings import KafkaSettings
from streams.views.correction import Correction, standing
from streams.views.records import BEFORE_CAPTURE


class PostedRecords:
    """The ids of the records whose voucher stands in IFS, for evaluation: a refund follows its payment.

    The status does not tell: a payment whose change of U was refused stands, one that was reversed is `corrected`.
    """

    def __init__(self, model: ReadModel) -> None:
        self._model = model

    def __contains__(self, record_id: object) -> bool:
        told = [step for step in self._model.steps(str(record_id)) if step.status not in BEFORE_CAPTURE]
        return bool(told) and told[-1].posted_fingerprint is not None


async def prepare_correction(kafka: KafkaSettings, names: TopicNames, model: ReadModel, record: Record) -> Correction:
    """Return what correcting a record would reverse and post.

    Raises:
        RequestError: there is nothing to correct, or its newest document cannot be read.
        LogUnavailableError: Kafka does not answer.

    """
    if record.status is not Status.CHANGED_AFTER_POSTING:
        raise RequestError(
            f"{record.id} is {record.status}: only what is {Status.CHANGED_AFTER_POSTING} can be corrected"
        )
    details = await record_details(kafka, names, model, record)
    last = details.steps[-1]
    if last.posted_fingerprint is None or details.document is None:
        raise RequestError(f"{record.id}: the log does not tell yet what is posted and what it became; try again")
    captured = DocumentCaptured.model_validate(details.document)
    return Correction(
        record=record,
        posted_fingerprint=last.posted_fingerprint,
        # The audit trail keeps the last fingerprint that the document had, also when it is gone.
        document_fingerprint="" if captured.gone else last.document_fingerprint or "",
        reversed=standing(details.outcomes),
        evaluation=_as_it_is_now(record.id, captured, model),
        moved_to=captured.account_id if captured.account_id != record.account_id else None,
    )


def _as_it_is_now(record_id: str, captured: DocumentCaptured, model: ReadModel) -> Evaluation:
    if captured.gone:
        return Evaluation(Status.NOT_POSTED, GONE)
    try:
        document = read_document(captured)
    except UnreadableError as error:
        raise RequestError(f"{record_id}: the document as it is now cannot be read: {error}") from error
    return evaluate(document, ProjectedChart(model.mapping), posted=PostedRecords(model))
