"""The committed artefacts are what the committed sources compile to, and their reasons have names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentrooms.chain.contracts import build
from agentrooms.chain.contracts.artefact import ARTEFACTS, FOLDER, NAMES, load
from agentrooms.chain.contracts.reasons import BUYER, CODES, REASONS, SELLER, refused
from agentrooms.consensus import judgement
from agentrooms.domain.eip712 import keccak, uint
from agentrooms.errors import InvalidInput

_CONSTANT = re.compile(r"^([A-Z_]+): constant\(uint256\) = (\d+)$", re.MULTILINE)


def test_artefacts_are_what_the_sources_compile_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "ARTEFACTS", tmp_path)
    build.main()
    for name in NAMES:
        committed = (ARTEFACTS / f"{name}.json").read_bytes()
        assert (tmp_path / f"{name}.json").read_bytes() == committed, "run python -m agentrooms.chain.contracts.build"


def test_another_compiler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrooms.chain.contracts.build.vyper.__version__", "0.4.4")
    with pytest.raises(build.WrongCompiler, match=r"of Vyper 0\.4\.3, installed is 0\.4\.4"):
        build.compile_source(FOLDER / "TestUsdc.vy")


def test_there_is_an_artefact_for_every_source_and_no_other() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.vy")) == sorted(NAMES)
    assert sorted(path.stem for path in ARTEFACTS.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_code_runs_on_chains_of_shanghai_and_within_their_sizes(name: str) -> None:
    artefact = load(name)
    assert (artefact.evm_version, artefact.compiler) == ("shanghai", "vyper 0.4.3")
    assert len(artefact.runtime) // 2 <= 24_576
    assert len(artefact.initcode) // 2 <= 49_152


def test_an_unknown_contract_is_a_clear_error() -> None:
    with pytest.raises(InvalidInput, match="no contract is called 'Escroww'"):
        load("Escroww")


def test_every_reason_of_the_source_has_its_name_and_no_name_stands_alone() -> None:
    head = (FOLDER / "Escrow.vy").read_text(encoding="utf-8").split("# --- Reasons")[1].split("# --- ")[0]
    numbers = {name: int(code) for name, code in _CONSTANT.findall(head)}
    assert (numbers.pop("SELLER"), numbers.pop("BUYER")) == (SELLER, BUYER)
    sides = {code for name, code in numbers.items() if name.startswith("SIDE_")}
    deal = {code: name.lower() for name, code in numbers.items() if not name.startswith("SIDE_")}
    assert {code: name for code, name in REASONS.items() if code < SELLER} == deal
    assert {code for code in REASONS if code >= SELLER} == {base + code for base in (SELLER, BUYER) for code in sides}
    assert len(CODES) == len(REASONS)


def test_names_that_verifiers_know_too_are_spelled_alike() -> None:
    shared = {
        "deadline_passed",
        "deal_already_used",
        "self_trade",
        "balance_too_low",
        "allowance_too_low",
        "seller_does_not_own_item",
        "item_not_approved",
        "seller_mandate_spent",
        "buyer_mandate_spent",
        "seller_mandate_invalid:item_not_mandated",
        "seller_mandate_invalid:price_below_limit",
        "seller_mandate_invalid:price_above_maximum",
        "buyer_mandate_invalid:item_not_wanted",
        "buyer_mandate_invalid:price_above_limit",
        *(f"seller_mandate_invalid:{detail}" for detail in ("other", "signature", "collection", "mandate_expired")),
        *(f"buyer_mandate_invalid:{detail}" for detail in ("other", "signature", "collection", "mandate_expired")),
    }
    assert (shared - set(CODES), shared - judgement.REASONS) == (set(), set())


def test_a_refusal_is_read_from_the_data_of_a_revert() -> None:
    selector = keccak(b"Refused(uint256)")[:4]
    assert refused(selector + uint(44)) == "buyer_mandate_invalid:role"
    assert refused(selector + uint(99)) is None
    assert refused(keccak(b"Error(string)")[:4] + uint(44)) is None
    assert refused(selector) is None
    assert refused(b"") is None
