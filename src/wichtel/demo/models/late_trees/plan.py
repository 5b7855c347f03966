"""Will a flight out of New York arrive more than 15 minutes late? Boosted trees, as they came out of a first afternoon."""

import lightgbm

from wichtel import plan, tunable

plan.metadata(primary_metric="auc", better="larger", main_tower="trees", owner_of_loss="late")

plan.features(
    [
        plan.Categorical("carrier", buckets=64),
        plan.Categorical("origin", buckets=16),
        plan.Categorical("dest", buckets=512),
        plan.Categorical("tailnum", buckets=4096),
        plan.Numeric("weekday"),
        plan.Numeric("hour"),
        plan.Numeric("minute"),
        plan.Numeric("distance"),
        plan.Numeric("temp"),
        plan.Numeric("humid"),
        plan.Numeric("wind_dir"),
        plan.Numeric("wind_speed"),
        plan.Numeric("precip"),
        plan.Numeric("pressure"),
        plan.Numeric("visib"),
    ]
)

model = lightgbm.LGBMClassifier(
    n_estimators=tunable.Int("n_estimators", default=60, min=10, max=200, log=True),
    learning_rate=tunable.Float("learning_rate", default=0.2, min=0.01, max=0.5, log=True),
    num_leaves=tunable.Int("num_leaves", default=63, min=4, max=127, log=True),
    min_child_samples=tunable.Int("min_child_samples", default=20, min=10, max=1000, log=True),
    # All flights, so that the bins, and with them the trees, do not depend on which of them a seed draws.
    subsample_for_bin=200_000,
    reg_lambda=tunable.Float("reg_lambda", default=0.0, min=0.0, max=50.0),
    cat_smooth=tunable.Float("cat_smooth", default=10.0, min=1.0, max=300.0, log=True),
)
