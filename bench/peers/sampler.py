# packages: numpy==2.4.6 deap==1.4.4
"""DEAP's typed trees, drawn or mutated until EfficientBERT's validity rules hold, as its public code uses them."""
import pathlib
import random

from compare import Pair
from deap import gp

UNARY = ("gelu", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "swish")
BINARY = ("add", "mul", "max")
CONFIG = pathlib.Path(__file__).resolve().parents[2] / "configs/efficientbert.textproto"


class Tensor:
    pass


class Weight:
    pass


def primitives():
    made = gp.PrimitiveSetTyped("ffn", [Tensor, Weight, Weight], Tensor)
    made.renameArguments(ARG0="x", ARG1="wb1", ARG2="wb2")
    made.addPrimitive(lambda t, w: None, [Tensor, Weight], Tensor, name="linear")
    for name in BINARY:
        made.addPrimitive(lambda a, b: None, [Tensor, Tensor], Tensor, name=name)
    for name in UNARY:
        made.addPrimitive(lambda a: None, [Tensor], Tensor, name=name)
    # Full trees need a way down through a weight; it is taken out again.
    made.addPrimitive(lambda w: w, [Weight], Weight, name="same")
    return made


def is_valid(tree):
    """Height, one x at least, wb1 then wb2 once each, no activation in an activation, no linear in a linear, no equal operands."""
    if not 3 <= tree.height <= 7:
        return False
    leaves = [node.value for node in tree if node.arity == 0]
    if "x" not in leaves or [leaf for leaf in leaves if leaf != "x"] != ["wb1", "wb2"]:
        return False
    for i, node in enumerate(tree):
        if node.arity == 0:
            continue
        first = tree[i + 1]
        if first.name in UNARY and node.name in UNARY or first.name == node.name == "linear":
            return False
        if node.name in BINARY:
            one = tree.searchSubtree(i + 1)
            other = tree.searchSubtree(one.stop)
            if [n.name for n in tree[one]] == [n.name for n in tree[other]]:
                return False
    return True


def prepare(options):
    made = primitives()
    random.seed(1)

    def plain(tree):
        return gp.PrimitiveTree([node for node in tree if node.name != "same"])

    def draw(count=40):
        for _ in range(count):
            while not is_valid(plain(gp.PrimitiveTree(gp.genHalfAndHalf(made, min_=3, max_=7)))):
                pass
        return count

    seed = gp.PrimitiveTree.from_string("linear(gelu(linear(x, wb1)), wb2)", made)

    def subtree(pset, type_):
        return gp.genFull(pset, min_=0, max_=3, type_=type_)

    def mutate(count=400):
        for _ in range(count):
            while True:
                tree, = gp.mutUniform(gp.PrimitiveTree(list(seed)), expr=subtree, pset=made)
                if is_valid(plain(tree)) and str(plain(tree)) != str(seed):
                    break
        return count

    return [str(CONFIG)], [Pair("valid expressions", "DEAP, half and half", "expressions", draw),
                           Pair("mutations of BERT's", "DEAP mutUniform", "mutations", mutate)]


def add_options(parser):
    pass
