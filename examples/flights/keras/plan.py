"""Will a flight out of New York arrive more than 15 minutes late? Embeddings and a small network."""

import keras
from keras import layers

from wichtel import plan, tunable

plan.metadata(primary_metric="auc", better="larger", main_tower="deep", owner_of_loss="late")

EMBEDDINGS = {"carrier": 64, "origin": 16, "dest": 512, "hour": 32, "weekday": 16}
NUMBERS = ["distance", "temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]

inputs = plan.features(
    [plan.Categorical(name, buckets=buckets) for name, buckets in EMBEDDINGS.items()]
    + [plan.Numeric(name, transform="standardize") for name in NUMBERS]
)

embedding = tunable.Int("embedding", default=8, candidates=[4, 8, 16])
width = tunable.Int("width", default=32, candidates=[16, 32, 64, 128])
depth = tunable.Int("depth", default=1, candidates=[1, 2])
dropout = tunable.Float("dropout", default=0.0, min=0.0, max=0.5)
learning_rate = tunable.Float("learning_rate", default=0.001, min=0.0003, max=0.03, log=True)

known = [layers.Embedding(buckets, embedding, name=f"{name}_embedding")(inputs[name]) for name, buckets in EMBEDDINGS.items()]
measured = [layers.Reshape((1,), name=f"{name}_column")(inputs[name]) for name in NUMBERS]
x = layers.Concatenate(name="deep_input")(known + measured)
x = layers.Dense(width, activation="relu", name="deep_1")(x)
if depth > 1:
    second = tunable.Int("second_width", default=16, candidates=[8, 16, 32])
    x = layers.Dense(second, activation="relu", name="deep_2")(x)
if dropout > 0:
    x = layers.Dropout(dropout, name="deep_dropout")(x)
late = layers.Dense(1, activation="sigmoid", name="late")(x)

model = keras.Model(inputs, late)
model.compile(optimizer=keras.optimizers.Adam(learning_rate), loss="binary_crossentropy")
