"""Which epoch is kept, and when a training is given up."""

import pytest

from glcm_mae.training.choice import EpochChoice

RANKS = [[0.5, 1.0], [0.7, 0.0], [0.7, 0.2], [0.6, 9.0], [0.7, 0.2], [0.1, 0.0], [0.8, 0.0]]


def test_the_best_is_kept_and_the_second_number_decides_ties() -> None:
    choice = EpochChoice()
    kept = [choice.keeps(epoch, rank) for epoch, rank in enumerate(RANKS)]
    assert kept == [True, True, True, False, False, False, True]
    assert choice.epoch == 6


def test_the_last_is_kept_but_patience_counts_from_the_best() -> None:
    choice = EpochChoice(last=True, patience=3)
    for epoch, rank in enumerate(RANKS[:5]):
        assert choice.keeps(epoch, rank)
        assert choice.epoch == epoch
        assert not choice.gives_up(epoch)
    assert choice.keeps(5, RANKS[5])
    assert choice.gives_up(5)


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_restored_choice_goes_on_alike(cut: int) -> None:
    whole = EpochChoice(patience=3)
    said = [(whole.keeps(e, r), whole.gives_up(e)) for e, r in enumerate(RANKS)]
    first, second = EpochChoice(patience=3), EpochChoice(patience=3)
    before = [(first.keeps(e, RANKS[e]), first.gives_up(e)) for e in range(cut)]
    second.restore(first.facts)
    after = [(second.keeps(e, RANKS[e]), second.gives_up(e)) for e in range(cut, len(RANKS))]
    assert before + after == said
    assert second.epoch == whole.epoch


def test_without_patience_nothing_is_given_up() -> None:
    choice = EpochChoice()
    choice.keeps(0, [1.0])
    assert not choice.gives_up(10_000)


def test_facts_of_an_older_checkpoint_serve() -> None:
    choice = EpochChoice(patience=2)
    choice.restore({"rank": [0.5, 0.1], "epoch": 3})
    assert not choice.gives_up(4)
    assert choice.gives_up(5)
