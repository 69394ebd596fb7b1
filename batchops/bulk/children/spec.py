"""The options of a purge, or an archive, with children."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from batchops.bulk.children.edge_text import declared_edge, edge_choice
from batchops.spec.models import CHILDREN, Flag, Several


def _edges(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        declared_edge(text)
    return texts


def _choices(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        edge_choice(text)
    return texts


Edges = Annotated[Several, AfterValidator(_edges), Flag("'A.X -> B.Y'", CHILDREN, several=True, kind="sql")]
Choices = Annotated[Several, AfterValidator(_choices), Flag("'A.X = ACTION'", CHILDREN, several=True)]


class ChildrenSpec(BaseModel):
    """Which tables go with a parent, and how."""

    with_children: Annotated[bool, Flag(group=CHILDREN)] = Field(
        False, description="First delete the rows of other tables that refer to the rows, along foreign keys."
    )
    child: Edges = Field(
        (),
        description="Declare that column X of table A refers to Y of B, where there is no foreign key. [where SQL] "
        "may follow. Repeatable.",
    )
    edge: Choices = Field((), description="What happens to rows that refer by A.X: delete, null or refuse. Repeatable.")
    stop_at: Annotated[Several, Flag("TABLE", CHILDREN, several=True)] = Field(
        (), description="Leave this table alone. What its rows refer to stays. Repeatable."
    )
    max_total: Annotated[int | None, Flag("N", CHILDREN)] = Field(
        None, ge=1, description="End after N changed rows of all tables together. --max-rows counts those of TABLE."
    )

    @model_validator(mode="after")
    def _of_the_graph(self) -> Self:
        given = {"--child": self.child, "--edge": self.edge, "--stop-at": self.stop_at, "--max-total": self.max_total}
        flag = next((name for name, value in given.items() if value), None)
        if flag is not None and not self.with_children:
            raise ValueError(f"{flag} needs --with-children")
        return self
