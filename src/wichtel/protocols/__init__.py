"""What an experiment does: templates and stock protocols, as step graphs.

Owns: the `Protocol` contract, the Basic and Tuning templates, the comparison of a candidate with its baseline. May import: recipes, tuning,
training, plans, fleet, workflows, store, domain. Start with `port.py`, then `basic.py`. To add a protocol, copy `reduce_training_data.py`
(or `tune_hyperparameters.py`) and name the class under the entry-point group ``wichtel.protocols``.
"""

from wichtel.protocols.basic import Basic
from wichtel.protocols.parameter import ParameterSpec
from wichtel.protocols.port import Finish, Protocol, ProtocolInfo, Services, StepInfo
from wichtel.protocols.registry import get_protocol, protocols
from wichtel.protocols.tuning import Tuning

__all__ = [
    "Basic",
    "Finish",
    "ParameterSpec",
    "Protocol",
    "ProtocolInfo",
    "Services",
    "StepInfo",
    "Tuning",
    "get_protocol",
    "protocols",
]
