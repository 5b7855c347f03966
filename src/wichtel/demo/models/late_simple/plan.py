"""Will a flight out of New York arrive more than 15 minutes late? A first draft: nothing to tune, and no holdout."""

from sklearn.linear_model import LogisticRegression

from wichtel import plan

plan.metadata(primary_metric="auc", better="larger")
plan.features([plan.Numeric(name, transform="standardize") for name in ("hour", "weekday", "distance", "precip", "visib")])

model = LogisticRegression()
