"""How many minutes late will a flight out of New York be? The crews of the next flight want to know."""

import lightgbm
import numpy as np
from sklearn.compose import TransformedTargetRegressor

from wichtel import plan, tunable

plan.metadata(primary_metric="rmse", better="smaller")

plan.features(
    [
        plan.Categorical("carrier", buckets=64),
        plan.Categorical("origin", buckets=16),
        plan.Categorical("dest", buckets=512),
        *(plan.Numeric(name) for name in ("weekday", "hour", "distance", "temp", "humid", "wind_speed", "precip", "pressure", "visib")),
    ]
)

target = tunable.Choice("target", default="minutes", candidates=["minutes", "logarithm"])

model = lightgbm.LGBMRegressor(
    n_estimators=tunable.Int("n_estimators", default=100, min=10, max=200, log=True),
    learning_rate=tunable.Float("learning_rate", default=0.1, min=0.01, max=0.5, log=True),
    num_leaves=tunable.Int("num_leaves", default=31, min=4, max=127, log=True),
)
if target == "logarithm":
    # Many flights are early, and have no logarithm: a mistake of the kind that Wichtel reports to whoever made it.
    model = TransformedTargetRegressor(regressor=model, func=np.log, inverse_func=np.exp, check_inverse=False)
