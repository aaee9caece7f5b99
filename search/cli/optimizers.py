"""What does `optselect optimizers` print: the catalogue, one entry of it, or a class of one's own?"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from optselect.search.cli.terminal import print_document, stdout_console
from optselect.search.describing.child import describe_class
from optselect.search.documents import SCHEMA, CatalogueEntry, Optimizers, OwnClass
from optselect.search.spec.catalogue import CATALOGUE, ENTRIES, Entry
from optselect.search.spec.custom import read_custom
from optselect.search.spec.dimension import ranges_json
from optselect.search.spec.space import Custom, custom_name, find_optimizer
from optselect.search.status.tables import plain_table
from optselect.trials.terms.description import CustomDescription, ParameterDescription
from optselect.trials.terms.reference import Reference, is_reference, read_reference


def print_optimizers(name: str | None, as_json: bool) -> None:
    """The catalogue, one entry of it, or a class of the user's own."""
    if name is not None and is_reference(name):
        print_class(read_reference(name, Path.cwd()), as_json)
    elif name is not None:
        print_entry(CATALOGUE[find_optimizer(name)], as_json)
    elif as_json:
        print_document(optimizers_json())
    else:
        stdout_console().print(optimizers_table())


def print_class(reference: Reference, as_json: bool) -> None:
    """The arguments of a class, their defaults and ranges, and who says so."""
    name = custom_name(reference)
    description = describe_class(reference)
    custom = read_custom(dataclasses.replace(description, parameters=with_defaults(description)), reference)
    if as_json:
        found: Optimizers = {"schema": SCHEMA, "optimizers": [class_json(name, custom, description)]}
        print_document(found)
    else:
        stdout_console().print(class_table(name, class_rows(custom, description)))


def with_defaults(description: CustomDescription) -> dict[str, ParameterDescription]:
    """Apart from a study nobody need give what has no default."""
    return {
        key: dataclasses.replace(value, is_required=False) for key, value in description.parameters.items()
    }


def print_entry(entry: Entry, as_json: bool) -> None:
    if as_json:
        print_document(optimizers_json((entry,)))
    else:
        stdout_console().print(optimizers_table((entry,)))


def optimizers_table(entries: Sequence[Entry] = ENTRIES) -> Table:
    """The catalogue: what is searched, in Keras's own values; a star marks what is tried by default."""
    table = plain_table("optimizer", "tier", "argument", "range", wide="range")
    table.caption = "* tried unless told otherwise; tier 1 is searched first"
    table.caption_justify = "left"
    for entry in entries:
        name = f"{entry.optimizer} *" if entry.default else entry.optimizer
        for tier, dimensions in ((1, entry.tier_1), (2, entry.tier_2)):
            for dimension in dimensions:
                first = dimension is entry.tier_1[0]
                table.add_row(name if first else "", str(tier), dimension.keyword, dimension.shown_range())
        table.add_section()
    return table


def class_table(name: str, rows: Sequence[tuple[str, str, str, str]]) -> Table:
    """One class of the user's own: its arguments, their defaults, what is searched and who says so."""
    table = plain_table("argument", "default", "range", "by", wide="range")
    table.title, table.title_justify = name, "left"
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def optimizers_json(entries: Sequence[Entry] = ENTRIES) -> Optimizers:
    """The catalogue as data."""
    return {"schema": SCHEMA, "optimizers": [entry_json(entry) for entry in entries]}


def entry_json(entry: Entry) -> CatalogueEntry:
    """One optimizer as data."""
    return {
        "optimizer": entry.optimizer,
        "default": entry.default,
        "tier_1": ranges_json(entry.tier_1),
        "tier_2": ranges_json(entry.tier_2),
        "source": entry.source,
        "remark": entry.remark,
    }


def class_json(name: str, custom: Custom, description: CustomDescription) -> OwnClass:
    """One class as data."""
    return {
        "optimizer": name,
        "reference": description.reference,
        "parameters": {
            key: {"default": one.default, "shown": one.shown, "is_required": one.is_required}
            for key, one in description.parameters.items()
        },
        "tier_1": ranges_json(custom.entry.tier_1),
        "tier_2": ranges_json(custom.entry.tier_2),
        "search_space": ranges_json(custom.own),
        "source": custom.entry.source,
    }


def class_rows(custom: Custom, description: CustomDescription) -> list[tuple[str, str, str, str]]:
    """Argument, default, range and who says so, of each argument; what is not searched last."""
    own = {d.keyword: d for d in custom.own}
    tiers = {
        d.keyword: (tier, d)
        for tier, ds in enumerate((custom.entry.tier_1, custom.entry.tier_2), 1)
        for d in ds
    }
    rows = []
    for keyword in dict.fromkeys((*own, *tiers, *description.parameters)):
        parameter = description.parameters.get(keyword)
        default = "-" if parameter is None else parameter.shown or "none: must be given"
        if keyword in own:
            rows.append((keyword, default, own[keyword].shown_range(), "search_space of the class"))
        elif keyword in tiers:
            tier, dimension = tiers[keyword]
            rows.append((keyword, default, dimension.shown_range(), f"known name, tier {tier}"))
        else:
            rows.append((keyword, default, "not searched", "unknown name"))
    return rows
