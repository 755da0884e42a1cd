"""Verifiers in other processes and in this one settle deals together, whatever the remote ones go through."""

from __future__ import annotations

import msgspec
import pytest

from agentrooms.consensus.certificate import check_certificate
from agentrooms.consensus.votes import is_valid
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import Decision
from agentrooms.events.file_vault import FileVault
from agentrooms.services.failpoints import EXIT_STATUS, VARIABLE
from tests.cli.commands import said
from tests.verifier_service.stage import REMOTE, Deal, Stage, ask, closing

pytestmark = pytest.mark.xdist_group("verifier services")  # they start once, and take seconds


def settled(stage: Stage, deal: Deal) -> list[str]:
    """Settles a deal on the devnet; returns who voted."""
    actors = stage.actors(deal)
    try:
        verdict, outcome = stage.settle(deal, actors)
    finally:
        closing(actors)
    assert check_certificate(verdict.votes, Decision.APPROVE, deal.terms, stage.set) is None
    assert outcome is not None
    assert outcome.receipt is not None
    assert outcome.receipt.succeeded
    assert stage.chain.owner(deal.terms.item.token_id) == deal.terms.buyer_wallet
    return [vote.verifier for vote in verdict.votes]


def test_four_local_and_three_remote_verifiers_settle_a_deal(stage: Stage) -> None:
    """The set was registered from what each service said it is; the escrow counts its attestations."""
    deal = stage.deal()
    assert stage.chain.owner(deal.terms.item.token_id) == deal.terms.seller_wallet

    assert settled(stage, deal) == [member.id for member in stage.set.verifiers]
    assert {member.id for member in stage.set.verifiers} >= set(REMOTE)


def test_one_killed_between_storing_and_answering_says_the_same_in_its_next_life(stage: Stage) -> None:
    """Blocks later it would have seen, and so signed, something else."""
    service, deal = stage.services[2], stage.deal()
    before = ask(service, stage.deal())
    service.kill()
    service.start(**{VARIABLE: "verifier.after_put:exit"})
    assert ask(service, deal) is None
    assert service.ended() == EXIT_STATUS
    memory = FileVault(service.folder / "memory.sqlite")
    stored = memory.get(f"vote/{service.name}/{deal.terms.deal}")
    memory.close()
    stage.rpc.call("devnet_mine")
    service.start()

    vote = ask(service, deal)

    assert vote is not None
    assert canonical(vote) == stored
    assert is_valid(vote, deal.terms, stage.set)
    other = ask(service, stage.deal())
    assert before is not None
    assert other is not None
    assert other.annex.block > vote.annex.block == before.annex.block


def test_it_looks_at_the_chain_for_itself(stage: Stage) -> None:
    """What nobody owns any more, it rejects; and for ever, as any verifier."""
    deal, other = stage.deal(), stage.deal()
    case = deal.case
    assert case.seller is not None
    stolen = msgspec.structs.replace(deal.terms, item=other.terms.item)
    vote = ask(stage.services[0], Deal(msgspec.structs.replace(case, terms=stolen), deal.vault))
    assert vote is not None
    assert vote.decision is Decision.REJECT
    assert "seller_does_not_own_item" in vote.annex.reasons
    again = ask(stage.services[0], deal)
    assert again is not None
    assert again == vote


@pytest.mark.parametrize("changed", [{"chain_id": 1}, {"escrow": "0x" + "1" * 40}, {"set_version": 2}])
def test_of_another_chain_escrow_or_set_it_says_nothing(stage: Stage, changed: dict[str, object]) -> None:
    deal = stage.deal()
    terms = msgspec.structs.replace(deal.terms, **changed)
    assert ask(stage.services[0], Deal(msgspec.structs.replace(deal.case, terms=terms), deal.vault)) is None


def test_a_deal_without_its_mandates_is_rejected_by_name(stage: Stage) -> None:
    """As by a verifier of this process that is asked without them."""
    deal = stage.deal()
    case = msgspec.structs.replace(deal.case, buyer=None, seller=None)
    vote = ask(stage.services[1], Deal(case, deal.vault))
    assert vote is not None
    assert {"buyer_mandate_invalid:missing", "seller_mandate_invalid:missing"} <= set(vote.annex.reasons)


def test_a_service_is_who_its_identity_says(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it runs."""
    service = stage.services[0]
    monkeypatch.setenv("VERIFIER_NAME", service.name)
    monkeypatch.setenv("VERIFIER_DATA", str(service.folder))
    assert msgspec.json.decode(said("verifier", "identity")[0], type=type(service.member)) == service.member
    assert (service.folder / "secret").stat().st_mode & 0o077 == 0
    assert (service.folder / "memory.sqlite").stat().st_mode & 0o077 == 0


def test_with_two_remote_verifiers_down_a_deal_completes(stage: Stage) -> None:
    """The last test here, so that nobody waits until they are up again."""
    for service in stage.services[:2]:
        service.kill()
    assert settled(stage, stage.deal()) == ["verifier_1", "verifier_2", "verifier_3", "verifier_4", "verifier_7"]
