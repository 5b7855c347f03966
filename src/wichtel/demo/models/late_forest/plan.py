"""Will a flight out of New York arrive more than 15 minutes late? A forest, which the laboratory has not had the time for."""

from sklearn.ensemble import RandomForestClassifier

from wichtel import plan, tunable

plan.metadata(primary_metric="auc", better="larger")
plan.features([plan.Numeric(name) for name in ("hour", "weekday", "distance", "temp", "humid", "wind_speed", "precip", "visib")])

model = RandomForestClassifier(
    n_estimators=tunable.Int("n_estimators", default=40, min=10, max=200, log=True),
    max_depth=tunable.Int("max_depth", default=8, min=2, max=16),
)
