"""The service answers its callers, strictly; others, and what is not as it must be, it refuses without a word too much."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from nacl.signing import SigningKey

from agentrooms.actors.verifier_wire import NONCE_BYTES, REQUEST_BYTES_MAX, SKEW_MS, RunConsensus, authorization
from agentrooms.api.problems import MEDIA_TYPE, Problem
from agentrooms.api.verifier import gate as verifier_auth
from agentrooms.api.verifier.gate import Gate
from agentrooms.consensus.certificate import check_certificate
from agentrooms.domain.deal import Decision
from agentrooms.domain.keys import public_hex, sign
from tests.domain.samples import wallet
from tests.verifier_service.stage import CALLER, LIMIT, SITE, Deal, Service, Stage, closing, key, vote_of

pytestmark = pytest.mark.xdist_group("verifier services")  # they start once, and take seconds
CONSENSUS = "/run-consensus"
STRANGER = SigningKey(b"x" * 32)
ASKED: dict[str, dict[str, Any]] = {
    CONSENSUS: {},
    "/verify-signature": {"message": "m", "signature": "", "publicKey": ""},
    "/verify-ownership": {"collection": SITE.collection, "tokenId": "1", "owner": SITE.escrow},
    "/execute-escrow": {},
}


@pytest.fixture
def service(stage: Stage) -> Service:
    return stage.services[0]


def request(deal: Deal, **changes: Any) -> dict[str, Any]:
    """The request for a vote, as plain JSON values that a test may spoil."""
    asked = RunConsensus(deal_id=deal.terms.deal, case=deal.case)
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(asked))
    return plain | changes


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == MEDIA_TYPE
    told = response.json()
    assert told["status"] == response.status_code
    assert str(LIMIT) not in response.text
    return response.status_code, told["detail"]


# --- What it answers --------------------------------------------------------------------------------------


def test_health_is_public_and_says_who_it_is(service: Service) -> None:
    told = httpx.get(service.url + "/health").json()
    assert told["status"] == "ok"
    assert (told["verifier"], told["publicKey"]) == (service.name, service.member.public_key)
    assert (told["chainId"], told["escrow"], told["setVersion"]) == (SITE.chain_id, SITE.escrow, 1)
    assert told["headBlock"] > 0


def test_a_vote_comes_with_the_counts_of_one(service: Service, stage: Stage) -> None:
    """What the caller says of the chain is taken and never believed."""
    deal = stage.deal()
    asked = request(deal, nftOwnership=False, buyerBalance=0.5, signatures=["x"])
    told = service.post(CONSENSUS, asked).json()
    assert {name: told[name] for name in ("approved", "verifierCount", "approvalCount", "threshold")} == {
        "approved": True,
        "verifierCount": 7,
        "approvalCount": 1,
        "threshold": 5,
    }
    assert told["vote"]["verifier"] == service.name
    assert service.post(CONSENSUS, asked).json() == told


def test_signatures_are_verified(service: Service) -> None:
    good = {"message": "hé", "signature": sign(STRANGER, "hé".encode()), "publicKey": public_hex(STRANGER)}
    assert service.post("/verify-signature", good).json() == {"valid": True}
    assert service.post("/verify-signature", good | {"message": "he"}).json() == {"valid": False}
    for name in ("signature", "publicKey"):
        told = service.post("/verify-signature", good | {name: good[name].upper()}).json()
        assert (told["valid"], told["error"].split()[0]) == (False, name)


def test_ownership_is_what_the_chain_says(service: Service) -> None:
    asked = ASKED["/verify-ownership"] | {"tokenId": "16", "owner": wallet("seller16")}
    assert service.post("/verify-ownership", asked).json() == {"owns": True, "owner": wallet("seller16")}
    other = service.post("/verify-ownership", asked | {"owner": wallet("buyer16")}).json()
    assert other == {"owns": False, "owner": wallet("seller16")}
    for nobody in ({"tokenId": "99999"}, {"collection": wallet("buyer16")}):
        assert service.post("/verify-ownership", asked | nobody).json() == {"owns": False, "owner": None}
    for wrong in ({"tokenId": "-1"}, {"owner": "me"}, {"collection": SITE.collection.upper()}):
        assert problem(service.post("/verify-ownership", asked | wrong))[0] == 422


def test_a_certified_deal_is_executed_once_and_nothing_else(service: Service, stage: Stage) -> None:
    """By the votes of the set; asked again, it says how that went."""
    deal = stage.deal()
    actors = stage.actors(deal)
    votes = [vote_of(actor, deal) for actor in actors.values()]
    closing(actors)
    assert check_certificate(sorted(votes, key=lambda v: v.verifier), Decision.APPROVE, deal.terms, stage.set) is None
    plain = msgspec.to_builtins(votes)
    asked = {"dealId": deal.terms.deal, "case": request(deal)["case"], "votes": plain, "price": 1, "nftId": "x"}
    wrong = {
        (409, "the escrow refuses: attestations_too_few"): plain[:4],
        (409, "the escrow refuses: attestations_not_ascending"): plain[:4] + plain[:1],
        (422, "the escrow cannot read this execution"): [plain[0] | {"attestation": "no hex"}] * 7,
    }
    for expected, given in wrong.items():
        assert problem(service.post("/execute-escrow", asked | {"votes": given})) == expected
    without = asked["case"] | {"buyer": None}
    assert problem(service.post("/execute-escrow", asked | {"case": without}))[0] == 422

    sent = service.post("/execute-escrow", asked).json()
    assert (sent["success"], sent["blockNumber"]) == (False, None)
    assert service.post("/execute-escrow", asked).json() == sent
    stage.rpc.call("devnet_mine")
    done = service.post("/execute-escrow", asked).json()

    assert (done["success"], done["txHash"]) == (True, sent["txHash"])
    assert stage.chain.owner(deal.terms.item.token_id) == deal.terms.buyer_wallet
    assert service.post("/execute-escrow", asked).json() == done


# --- Whom it answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize(
    "header", ["", "Bearer x", "Agentrooms-Ed25519 x", f"Agentrooms-Ed25519 {key()}.1.{'0' * 32}.1"]
)
def test_without_a_signature_nothing_is_answered(service: Service, path: str, header: str) -> None:
    assert problem(service.post(path, ASKED[path], authorization=header))[0] == 401


def test_a_request_counts_for_its_caller_verifier_path_body_and_time_only(service: Service, stage: Stage) -> None:
    path = "/verify-signature"
    body = msgspec.json.encode(ASKED[path])
    good = service.sign(path, body)
    refused = {
        "not among": service.sign(path, body, caller=STRANGER),
        "signed at": service.sign(path, body, late_ms=2 * SKEW_MS),
        "ms apart": service.sign(path, body, late_ms=-2 * SKEW_MS),
        "not the caller's over": stage.services[1].sign(path, body),
        "to this verifier": service.sign("/verify-ownership", body),
        "signature is not": good[:-1] + ("0" if good[-1] != "0" else "1"),
        "over this request": service.sign(path, body + b" "),
    }
    for why, header in refused.items():
        status, told = problem(service.post(path, body, authorization=header))
        assert status == 401
        assert why in told
    assert service.post(path, body, authorization=good).status_code == 200
    assert problem(service.post(path, body, authorization=good)) == (401, "this request was made before")
    assert problem(service.post(path, body.replace(b'"m"', b'"n"'), authorization=service.sign(path, body)))[0] == 401


def test_the_gate_forgets_what_time_refuses_anyway_and_takes_no_more_than_it_can_remember(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verifier_auth, "NONCES_MAX", 3)
    now = [1_000_000]
    gate = Gate("f" * 64, frozenset({key()}), lambda: now[0])

    def admit(nonce: int) -> None:
        drawn = nonce.to_bytes(NONCE_BYTES, "big")
        gate.admit(authorization(CALLER, "f" * 64, "/p", b"", at_ms=now[0], nonce=drawn), "/p", b"")

    for nonce in range(3):
        admit(nonce)
    with pytest.raises(Problem) as full:
        admit(3)
    assert full.value.status == 503
    with pytest.raises(Problem) as again:
        admit(0)
    assert again.value.status == 401
    now[0] += SKEW_MS + 1
    for nonce in range(3, 6):
        admit(nonce)


# --- What it takes ----------------------------------------------------------------------------------------


def test_a_body_has_a_bound(service: Service) -> None:
    """Also one that does not say how long it is."""
    body = b" " * (REQUEST_BYTES_MAX + 1)
    assert problem(service.post(CONSENSUS, body))[0] == 413
    headers = {"authorization": service.sign(CONSENSUS, body)}
    chunked = httpx.post(service.url + CONSENSUS, content=iter([body[:9], body[9:]]), headers=headers)
    assert problem(chunked)[0] == 413


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"null", b"[" * 50_000, b'{"dealId":1}'])
@pytest.mark.parametrize("path", ASKED)
def test_what_is_not_asked_for_is_refused(service: Service, path: str, body: bytes) -> None:
    assert problem(service.post(path, body))[0] == 422


def test_a_spoilt_case_is_no_vote_and_shows_no_limit(service: Service, stage: Stage) -> None:
    """A vote on it would be for ever; so there is none, and the deal can still be approved."""
    deal = stage.deal()

    def spoilt(*where: str, value: Any) -> dict[str, Any]:
        asked = request(deal)
        inner = asked
        for name in where[:-1]:
            inner = inner[name]
        inner[where[-1]] = value
        return asked

    refused = [
        spoilt("dealId", value="deal_other"),
        spoilt("extra", value=1),
        spoilt("case", value=None),
        spoilt("case", "terms", "price_usdc_micros", value=str(LIMIT)),
        spoilt("case", "terms", "price_usdc_micros", value=-1),
        spoilt("case", "terms", "price_usdc_micros", value=10**100),
        spoilt("case", "terms", "collection", value="nowhere"),
        spoilt("case", "terms", "item", "token_id", value="01"),
        spoilt("case", "terms", "quote", value="e\u0301"),
        spoilt("case", "buyer", "mandate", "principal", value="me"),
        spoilt("case", "buyer", "mandate", "role", value=str(LIMIT)),
        spoilt("case", "buyer", "mandate", "reservation_usdc_micros", value=LIMIT + 1),
        spoilt("case", "buyer", "mandate", "reservation_usdc_micros", value=-LIMIT),
        spoilt("case", "seller", "mandate", "salt", value="short"),
    ]
    for asked in refused:
        assert problem(service.post(CONSENSUS, asked))[0] == 422, asked
    for changed in ({"chain_id": 1}, {"escrow": "0x" + "1" * 40}, {"set_version": 2}):
        asked = request(deal)
        asked["case"]["terms"] |= changed
        assert problem(service.post(CONSENSUS, asked))[0] == 409
    assert service.post(CONSENSUS, request(deal)).json()["approved"] is True
    assert str(LIMIT) not in service.log.read_text()


def test_other_paths_and_methods_are_problems_too(service: Service) -> None:
    assert problem(httpx.get(service.url + "/docs"))[0] == 404
    assert problem(httpx.get(service.url + CONSENSUS))[0] == 405
