"""How Kubernetes documents become frozen values: camelCase outside, snake_case inside."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer, ValidationError
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen value with camelCase aliases; unknown fields are the API server's business."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    def document(self) -> dict[str, object]:
        """Return the JSON document of this value; what is unset stays out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Strict(Model):
    """Configuration is written by hand: a misspelt key is an error, not a default."""

    model_config = ConfigDict(extra="forbid")


def complaint(error: ValidationError) -> str:
    """Say in one line what does not fit first, and where; the value stays out: it may be long or hostile."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def rfc3339(moment: datetime) -> str:
    """Write a moment the way the API server does, with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(moment: datetime) -> datetime:
    """Cut a moment to what a status can hold of it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Timestamp = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
