"""Makes tests/golden/config_fields.json: the fields of config.json that transformers gives each family of models, with
their defaults.

    python3 tests/golden/config_fields.py tests/golden/config_fields.json

Needs transformers alone. The version stands in the file.
"""

import dataclasses
import json
import pathlib
import sys

import transformers

FAMILIES = {
    "bert": transformers.BertConfig,
    "distilbert": transformers.DistilBertConfig,
    "roberta": transformers.RobertaConfig,
    "mobilebert": transformers.MobileBertConfig,
    "electra": transformers.ElectraConfig,
    "convbert": transformers.ConvBertConfig,
}


def fields(kind):
    """What it declares, what it writes, and other names that it takes for these."""
    config = kind()
    written = config.to_dict()
    names = {field.name for field in dataclasses.fields(kind)} | set(written) | set(kind.attribute_map)
    return {name: written.get(name, getattr(config, name, None)) for name in sorted(names)}


def main():
    families = {name: fields(kind) for name, kind in FAMILIES.items()}
    for each in families.values():
        each["transformers_version"] = None  # the same file whatever wrote it
    pathlib.Path(sys.argv[1]).write_text(json.dumps(
        {"versions": {"transformers": transformers.__version__, "script": "config_fields.py"}, "fields": families}, indent=1) + "\n")


main()
