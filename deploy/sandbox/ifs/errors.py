"""IFS's ways of saying no: OData errors, and business errors as they come out of its database layer."""

from deploy.sandbox.exact import Json

#: ORA number -> HTTP status seen in the field; others are 500.
_MIXED = {20111: 400, 20112: 400, 20121: 400, 20122: 400, 20124: 400, 20118: 403, 20119: 403}


class OdataError(Exception):
    """An error answer on its way out."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: list[Json] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details, self.headers = status, code, message, details, headers

    def body(self) -> Json:
        """The JSON body; `details` is there only when there are any."""
        error: Json = {"code": self.code, "message": self.message}
        if self.details is not None:
            error["details"] = self.details
        return {"error": error}


class BusinessError(OdataError):
    """A rule of the application refused: `ORA-{number}: {Lu}.{KEY}: {text}` under a status that says little."""

    def __init__(self, number: int, key: str, text: str, status_mode: str = "mixed") -> None:
        self.number, self.key, self.text = number, key, text
        status = _MIXED.get(number, 500) if status_mode == "mixed" else int(status_mode)
        details: list[Json] = [{"code": number, "message": f"ORA-{number}: {key}: {text}"}]
        super().__init__(status, "DATABASE_ERROR", "Database error occurred. Contact administrator.", details)

    def under(self, status_mode: str) -> "BusinessError":
        """The same refusal under the status that the settings ask for."""
        return BusinessError(self.number, self.key, self.text, status_mode)


def rule(key: str, text: str) -> BusinessError:
    """ORA-20110: a record's rule is broken."""
    return BusinessError(20110, key, text)


def missing_object(unit: str, what: str) -> BusinessError:
    """ORA-20111: what a value refers to does not exist."""
    return BusinessError(20111, f"{unit}.FND_RECORD_NOT_EXIST", f"The {what} does not exist.")


def mandatory(unit: str, column: str, what: str) -> BusinessError:
    """ORA-20124: a mandatory field is missing."""
    return BusinessError(20124, f"{unit}.NULLVALUE", f"Field [{column}] is mandatory for {what} and requires a value.")


def bad_body(message: str) -> OdataError:
    """The request's JSON is not what the entity takes."""
    return OdataError(400, "ODP_DESERIALIZATION_ERROR", message)


def not_found(what: str) -> OdataError:
    """Resource unknown."""
    return OdataError(404, "ODP_RESOURCE_NOTFOUND", f"The requested resource {what} was not found.")
