"""Interception: what is replaced, what is not and why."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wichtel.domain import PlanError, UserError
from wichtel.recipes import Intercept

RECIPE = Intercept("keras.layers.Embedding", "library.layers:Doubled")
IMPORT = "from library.layers import Doubled  # wichtel: instead of keras.layers.Embedding\n"


@pytest.fixture
def apply(make_tree, analysis):
    def apply(source, recipe=RECIPE, **files):
        edit = recipe.apply(make_tree(source, **files), analysis, {})
        return edit.tree.files["plan.py"].decode(), list(edit.notes), edit

    return apply


@pytest.mark.parametrize(
    ("bind", "callee"),
    [
        ("import keras", "keras.layers.Embedding"),
        ("import keras.layers as kl", "kl.Embedding"),
        ("import keras.layers", "keras . layers.Embedding"),
        ("from keras import layers as L", "L.Embedding"),
        ("from keras import layers", "layers.Embedding"),
        ("from keras.layers import Embedding as E", "E"),
        ("from keras.layers import Dense, Embedding", "Embedding"),
        ("import tensorflow as tf", "tf.keras.layers.Embedding"),
        ("from tensorflow import keras", "keras.layers.Embedding"),
        ("from tensorflow.keras import layers", "layers.Embedding"),
        ("try:\n    import keras\nexcept ImportError:\n    from tensorflow import keras", "keras.layers.Embedding"),
    ],
)
def test_every_way_to_name_it(apply, bind, callee):
    call = "e = {}(10, 4,  # wide\n    name='x')(z)\n"
    source, notes, _ = apply(f"{bind}\n" + call.format(callee))
    assert source == f"{bind}\n{IMPORT}" + call.format("Doubled")
    # Where two imports give the same name, it is the same function either way.
    assert notes == []


def test_everywhere_in_an_expression(apply):
    template = """import keras
from keras import layers
@wrap({0}(1, 2))
def f(x, default={0}(3, 4)):
    y = [{0}(i, 2) for i in range(3) if (n := i)]
    match x:
        case 1: return {0}(
            {0}(5, 6),
        )
    return f"{{{0}(7, 8)}}" + ({0})(9, 9)
with (open("a") as a, open("b") as b): pass
"""
    source, notes, _ = apply(template.format("layers.Embedding"))
    head, _, rest = template.partition("from keras import layers\n")
    assert source == head + "from keras import layers\n" + IMPORT + rest.format("Doubled")
    assert notes == []


def test_local_imports_and_shadowing(apply):
    source, notes, _ = apply(
        "def build():\n    from keras import layers\n    return layers.Embedding(1, 2)\n"
        "def other(layers):\n    return layers.Embedding(1, 2)\n"
        "class Embedding: pass\nEmbedding(1)\nx.Embedding(2)\n"
    )
    assert source == (
        "def build():\n    from keras import layers\n    return Doubled(1, 2)\n"
        + IMPORT
        + "def other(layers):\n    return layers.Embedding(1, 2)\n"
        "class Embedding: pass\nEmbedding(1)\nx.Embedding(2)\n"
    )
    assert notes == []


def test_the_import_does_not_overtake_the_choice_of_a_backend(apply):
    source, _, _ = apply('import os\nos.environ["KERAS_BACKEND"] = "torch"\nimport keras\nkeras.layers.Embedding(1, 2)\n')
    assert source == f'import os\nos.environ["KERAS_BACKEND"] = "torch"\nimport keras\n{IMPORT}Doubled(1, 2)\n'
    source, _, _ = apply("import keras; keras.layers.Embedding(1, 2)\n")
    assert source == f"{IMPORT}import keras; Doubled(1, 2)\n"


def test_a_taken_name_is_not_shadowed(apply):
    source, _, _ = apply("import keras\ndef f(Doubled):\n    return keras.layers.Embedding(1, 2)\n")
    assert "from library.layers import Doubled as wichtel_Doubled" in source
    assert "return wichtel_Doubled(1, 2)" in source


def test_other_uses_are_reported_with_their_lines(apply):
    source, notes, _ = apply(
        "from functools import partial\nfrom keras import layers\n"
        "layers.Embedding(1, 2)\n"
        "Emb = layers.Embedding\n"
        "make = partial(layers.Embedding, 3)\n"
        "class Mine(layers.Embedding): pass\n"
        "build(layers.Embedding)\n"
        "kinds = [layers.Embedding]\n"
        "layers.Embedding.from_config({})\n"
        'getattr(layers, "Embedding")(1, 2)\n'
        "def f(x: layers.Embedding): ...\n"
    )
    assert notes == [
        "plan.py:4: not replaced: it gets another name by assignment (layers.Embedding).",
        "plan.py:5: not replaced: partial() takes it (layers.Embedding).",
        "plan.py:6: not replaced: the class Mine inherits from it (layers.Embedding).",
        "plan.py:7: not replaced: it is passed to build (layers.Embedding).",
        "plan.py:8: not replaced: it is used as a value (layers.Embedding).",
        "plan.py:9: not replaced: its attribute is used (layers.Embedding).",
        'plan.py:10: not replaced: getattr(…, "Embedding") may be keras.layers.Embedding.',
    ]
    assert source.count("layers.Embedding") == 7 + 1  # and the mark of the import


def test_a_name_that_may_be_something_else_is_replaced_with_a_warning(apply):
    _, notes, _ = apply("from keras import layers\nif odd:\n    import mine as layers\nlayers.Embedding(1, 2)\n")
    assert notes == ["plan.py:4: layers.Embedding may also be mine.Embedding here; replaced."]


def test_star_imports(apply):
    with pytest.raises(PlanError, match=r"plan\.py:1: the star import from keras\.layers .*Write: from keras\.layers import Embedding"):
        apply("from keras.layers import *\nEmbedding(1, 2)\n")
    _, notes, _ = apply("import keras\nfrom other import *\nEmbedding(1, 2)\nkeras.layers.Embedding(1, 2)\n")
    assert notes == ["plan.py:3: not replaced: Embedding may come from the star import at plan.py:2."]


def test_all_files_and_names_passed_on_between_them(apply):
    source, notes, edit = apply(
        "import helper\nfrom helper import Emb as E\nhelper.layers.Embedding(1, 2)\nE(1, 2)\nhelper.Emb(3, 4)\nhelper.other.Embedding(1)\n",
        **{
            "helper.py": "from keras import layers\nfrom keras.layers import Embedding as Emb\nimport other\ndef f(): return Emb(5, 6)\n",
            "note.txt": "Embedding",
        },
    )
    assert (
        source
        == f"import helper\n{IMPORT}from helper import Emb as E\nDoubled(1, 2)\nDoubled(1, 2)\nDoubled(3, 4)\nhelper.other.Embedding(1)\n"
    )
    assert "return Doubled(5, 6)" in edit.tree.files["helper.py"].decode()
    assert notes == []
    assert edit.summary == "replace 4 calls of keras.layers.Embedding by Doubled of library.layers"


def test_a_second_interception_finds_the_first(apply, make_tree, analysis):
    once, _, edit = apply("import keras\n# Here.\na = keras.layers.Embedding(1, 2)\n")
    second = Intercept("tensorflow.keras.layers.Embedding", "library.layers:Hashed").apply(edit.tree, analysis, {})
    assert second.tree.files["plan.py"].decode() == (
        "import keras\n"
        "from library.layers import Hashed  # wichtel: instead of tensorflow.keras.layers.Embedding\n"
        "# Here.\na = Hashed(1, 2)\n"
    )
    assert second.notes == ("plan.py:4: replaces the earlier replacement library.layers.Doubled, whose effect is lost.",)
    with pytest.raises(UserError, match="changes nothing"):
        RECIPE.apply(edit.tree, analysis, {})
    # New calls beside the old ones use the import that is there.
    more = RECIPE.apply(make_tree(once + "b = keras.layers.Embedding(3, 4)\n"), analysis, {})
    assert more.tree.files["plan.py"].decode() == once + "b = Doubled(3, 4)\n"


def test_nothing_to_replace_says_what_was_seen(apply):
    with pytest.raises(UserError, match=r"changes nothing \(replace 0 calls.*plan\.py:2: not replaced: it gets another name"):
        apply("from keras import layers\nE = layers.Embedding\nE(1, 2)\n")


@pytest.mark.parametrize("target", ["Embedding", "keras layers", "", None])
def test_bad_targets(target):
    with pytest.raises(UserError, match="not a function's full name"):
        Intercept(target, "a:b")


def test_a_file_that_would_not_come_back_as_it_was(apply):
    with pytest.raises(PlanError, match=r"^plan\.py:3: cannot be edited without touching this line"):
        apply("import keras\nkeras.layers.Embedding(1)\n\n    # odd\n")


pieces = st.sampled_from(
    [
        "x = layers.Embedding(1, 2)\n",
        "y = keras.layers.Embedding(\n    3, 4,\n)(x)  # why\n",
        "def f(layers):\n    return layers.Embedding(1)\n",
        "class A:\n\tdef g(self):\n\t\treturn Embedding(5, 6) or layers.Dense(1)\n",
        "s = 'layers.Embedding(1, 2)'\n",
        "z = [Embedding(i, 2)(w) for i in range(2)]\n",
        "E = layers.Embedding\n",
        "\n",
        "    # odd\n",
        "if x: layers.Embedding(1, 2); y = 1\n",
        "async def h():\n    return await q(layers.Embedding(1, 2))\n",
        "t: 'list[int]' = lambda a, /, *, b: (layers.Embedding(a, b))\n",
    ]
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(pieces, min_size=1, max_size=8), newline=st.sampled_from(["\n", "\r\n"]), end=st.booleans())
def test_only_callees_and_one_import_line_change(make_tree, analysis, parts, newline, end):
    text = "import keras\nfrom keras import layers\nfrom keras.layers import Embedding\n" + "".join(parts)
    text = text.replace("\n", newline) if end else text.replace("\n", newline).rstrip("\r\n")
    try:
        edit = RECIPE.apply(make_tree(text.encode()), analysis, {})
    except UserError:
        return
    changed = edit.tree.files["plan.py"].decode()
    ast.parse(changed)
    # Undo the change by text alone: take out the import, and give the callees a name that all of them share.
    undone = changed.replace(IMPORT.rstrip("\n") + newline, "")
    assert undone != changed
    shared = re.compile(r"\b(?:(?:keras\.)?layers\.)?Embedding\(|Doubled\(")
    assert shared.sub("@(", undone) == shared.sub("@(", text)
    # Every call that is left is inside a string or has another meaning.
    assert changed.count("Doubled(") == sum(
        isinstance(node, ast.Call) and ast.unparse(node.func) in ("layers.Embedding", "keras.layers.Embedding", "Embedding")
        for node in ast.walk(ast.parse(text))
    ) - text.count("def f(layers)")
