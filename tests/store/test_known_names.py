from datetime import timedelta

from wichtel.domain import BUILT_IN_INTENTS, Experiment, ExperimentConfig, Model, Registration


def test_names_that_occur_are_told_once_in_order(database):
    with database.transaction() as tx:
        assert tx.known_names.of("owner") == tx.known_names.of("metric") == []
        tx.models.add(Model(name="m", owner="a", team="t", head="v", created=tx.now))
        tx.registrations.add(Registration(id="r", owner="a", models=(), protocols=(), experiments=(), created=tx.now))
        for i, owner in enumerate(("bo", "ana", "bo", "Zoe", "ana", "çe")):
            tx.experiments.add(
                Experiment(
                    id=f"e{i}",
                    registration="r",
                    model="m",
                    target="v",
                    protocol="P",
                    config=ExperimentConfig(intent=BUILT_IN_INTENTS[0]),
                    owner=owner,
                    quota_group="t",
                    created=tx.now + timedelta(seconds=i),
                )
            )
    with database.read() as tx:
        assert tx.known_names.of("owner") == ["Zoe", "ana", "bo", "çe"]
        assert tx.known_names.of("owner", limit=2) == ["Zoe", "ana"]
        assert tx.known_names.of("owner", begin="b", limit=1) == ["bo"]
        assert tx.known_names.of("team") == ["t"]
