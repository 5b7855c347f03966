"""Will a flight out of New York arrive more than 15 minutes late? A small network, for those who do not want trees."""

from sklearn.neural_network import MLPClassifier

from wichtel import plan, tunable

plan.metadata(primary_metric="auc", better="larger", main_tower="network", owner_of_loss="late")

plan.features(
    [
        plan.Numeric(name, transform="standardize")
        for name in ("weekday", "hour", "minute", "distance", "temp", "humid", "wind_speed", "precip", "pressure", "visib")
    ]
)

model = MLPClassifier(
    hidden_layer_sizes=(tunable.Int("width", default=16, candidates=[8, 16, 32, 64]),),
    learning_rate_init=tunable.Float("learning_rate", default=0.0003, min=0.0001, max=0.03, log=True),
    alpha=tunable.Float("alpha", default=0.0001, min=0.00001, max=0.1, log=True),
)
