"""Will a flight out of New York arrive more than 15 minutes late? Gradient-boosted trees."""

import lightgbm

from wichtel import plan, tunable

plan.metadata(primary_metric="auc", better="larger")

plan.features(
    [
        plan.Categorical("carrier", buckets=64),
        plan.Categorical("origin", buckets=16),
        plan.Categorical("dest", buckets=512),
        plan.Categorical("tailnum", buckets=8192),
        plan.Numeric("weekday"),
        plan.Numeric("hour"),
        plan.Numeric("minute"),
        plan.Numeric("distance"),
        plan.Numeric("temp"),
        plan.Numeric("dewp"),
        plan.Numeric("humid"),
        plan.Numeric("wind_dir"),
        plan.Numeric("wind_speed"),
        plan.Numeric("wind_gust"),
        plan.Numeric("precip"),
        plan.Numeric("pressure"),
        plan.Numeric("visib"),
    ]
)

model = lightgbm.LGBMClassifier(
    n_estimators=tunable.Int("n_estimators", default=50, min=20, max=200, log=True),
    learning_rate=tunable.Float("learning_rate", default=0.1, min=0.02, max=0.3, log=True),
    num_leaves=tunable.Int("num_leaves", default=31, min=7, max=63, log=True),
    min_child_samples=tunable.Int("min_child_samples", default=20, min=10, max=1000, log=True),
    reg_lambda=tunable.Float("reg_lambda", default=0.0, min=0.0, max=50.0),
    cat_smooth=tunable.Float("cat_smooth", default=10.0, min=1.0, max=300.0, log=True),
    cat_l2=tunable.Float("cat_l2", default=10.0, min=1.0, max=300.0, log=True),
    # All flights, so that the bins, and with them the trees, do not depend on which of them a seed draws.
    subsample_for_bin=300_000,
)
