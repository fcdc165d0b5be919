"""The limit of each tap: the noise ratio up to which a stage counts as faithful.

Limits are justified by measurement: ``tox -e calibration`` draws 1,100 inputs of every size and
content, climbs towards the largest ratio, and compares Equimo, the mapped example and its ONNX file
with Meta on each, isolated, and in chains on an eighth as many: 3,300 comparisons a tap and more;
``tox -e thorough`` compares every block on 200 inputs, 168,595 comparisons.
The table holds the strongest ratio that this has shown of an honest stage, and what it would be
against Meta's one run, without twins. A limit is at least half as high again as the strongest
(``MARGIN``), and no lower than 3, or 4 of one token, for the sums of another CPU and another
BLAS; the weakest fault of the catalogue is at 9.5. What stands out:

- rope tables: without twins 4.0, with them 1.1: float32 angles of three orders differ by the ulp of
  the largest angle, and Meta alone is one draw of it;
- norms: one number a token, its deviation, errs for all its channels at once, so few tokens are a
  small sample. ``cls`` has one an image: 3.3, at its 99th percentile 2.2; ``patches`` and ``pooled``
  reach their largest on a grid of one patch. ``norm``, which holds them all, stays within 1.5;
- probabilities: a row with one large logit errs as that logit does, in all its numbers at once; the
  worst of the 87,000 rows of one input is at 3.2;
- the copy of a block's input is exact: whatever errs there was not copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

#: A limit over the strongest clean ratio that was measured, at least.
MARGIN = 1.5


@dataclass(frozen=True)
class Limit:
    """The largest ratio over the whole tensor and over one token, and what honest stages reached:
    ``strongest`` and ``strongest_token``, and over the whole ``alone``, against Meta without twins.
    """

    whole: float
    token: float
    strongest: float
    strongest_token: float
    alone: float


LIMITS: MappingProxyType[str, Limit] = MappingProxyType({
    # tap                  whole token  strongest, of a token, without twins
    "patch_embed":  Limit(3.0, 4.0, 1.01, 1.20, 1.25),
    "tokens":       Limit(3.0, 4.0, 1.01, 1.23, 1.25),
    "rope.sin":     Limit(3.0, 4.0, 1.11, 1.71, 4.04),
    "rope.cos":     Limit(3.0, 4.0, 1.04, 1.81, 3.88),
    "input":        Limit(3.0, 4.0, 1.51, 1.97, 1.51),
    "norm1":        Limit(3.0, 4.5, 1.67, 2.97, 2.59),
    "attn.q_proj":  Limit(3.0, 4.0, 1.54, 1.87, 1.54),
    "attn.k_proj":  Limit(3.0, 4.0, 1.55, 1.87, 1.58),
    "attn.v_proj":  Limit(3.0, 4.0, 1.48, 1.82, 1.50),
    "attn.q":       Limit(3.0, 4.0, 1.52, 1.83, 1.55),
    "attn.k":       Limit(3.0, 4.0, 1.58, 1.83, 1.61),
    "attn.logits":  Limit(3.0, 4.0, 1.50, 2.41, 1.50),
    "attn.probs":   Limit(3.0, 5.0, 1.60, 3.20, 1.60),
    "attn.context": Limit(3.0, 4.5, 1.84, 2.93, 1.84),
    "attn.out":     Limit(3.0, 4.0, 1.58, 2.51, 1.58),
    "ls1":          Limit(3.0, 4.0, 1.57, 2.57, 1.57),
    "residual1":    Limit(3.0, 4.0, 1.56, 2.18, 1.56),
    "norm2":        Limit(3.0, 4.5, 1.53, 2.88, 1.53),
    "ffn.gate":     Limit(3.0, 4.0, 1.56, 1.73, 1.56),
    "ffn.up":       Limit(3.0, 4.0, 1.56, 1.78, 1.56),
    "ffn.hidden":   Limit(3.0, 4.0, 1.58, 1.80, 1.58),
    "ffn.out":      Limit(3.0, 4.0, 1.53, 1.84, 1.55),
    "ls2":          Limit(3.0, 4.0, 1.55, 1.90, 1.55),
    "output":       Limit(3.0, 4.0, 1.53, 1.98, 1.53),
    "norm":         Limit(3.0, 4.5, 1.46, 2.70, 1.59),
    "cls":          Limit(5.5, 5.5, 3.34, 3.34, 3.78),
    "registers":    Limit(3.0, 4.5, 1.71, 2.73, 1.88),
    "patches":      Limit(4.0, 4.5, 2.41, 2.74, 2.69),
    "pooled":       Limit(4.0, 4.0, 2.41, 2.41, 2.69),
})  # fmt: skip


def limits(tap: str) -> Limit:
    """The limit of a tap; raises KeyError for a name that is not in the tap table."""
    return LIMITS[tap]
