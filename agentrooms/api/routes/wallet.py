"""The chain, and what a person's own wallet signs or sends to trade: it allows, and takes back, by itself.

Nothing here is signed for anybody, and no amount here follows from an agent's limit.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from agentrooms.api.auth.principal import SignedIn
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.items import NftId, find_item
from agentrooms.api.limits import HOUR_S, client_of
from agentrooms.api.models.base import UsdcIn, iso, problems
from agentrooms.api.models.wallet import (
    AllowanceBody,
    ApprovalsBody,
    CancellationBody,
    ChainBody,
    FundedBody,
    ItemApprovalBody,
    MandateHash,
    MoneyBody,
    PermitAsked,
    PermitBody,
    TransactionAnswer,
    TransactionBody,
    chain_amount,
    transaction_body,
)
from agentrooms.api.problems import Problem
from agentrooms.api.routes.common import CommandId
from agentrooms.api.strict import StrictRoute
from agentrooms.chain.evm.requests import Permit, Requests, TransactionRequest
from agentrooms.chain.holdings import Money
from agentrooms.chain.port import ChainUnreachable
from agentrooms.chain.spec import ChainMode
from agentrooms.live.commands import FundWallet
from agentrooms.projections.platform_model import nft_id

USDC_DECIMALS = 6
NAMES = {
    ChainMode.LEDGER: "Agentrooms ledger (a simulation)",
    ChainMode.DEVNET: "Agentrooms devnet",
    ChainMode.ANVIL: "Agentrooms devnet (anvil)",
}
ARK_NAMES = {11_811: ("ARK", "ARK"), 11_812: ("ARK test network", "DARK")}
PUBLIC_NODES = frozenset({"https://testnet.mainsailhq.com/rpc/api"})  # any other address may hold a key of ours

FUNDS_PER_HOUR = 100  # wallets of one address: each costs the desk some work on the chain

router = APIRouter(tags=["wallet"], route_class=StrictRoute)


@router.get("/chain", operation_id="getChain", summary="The chain that deals settle on", responses=problems(502))
def get_chain(home: HomeDep) -> ChainBody:
    """Anybody may know. A node that does not answer is said so, as `answers`."""
    mode, site = home.chain_mode, home.site
    try:
        head, price_wei = home.holdings.head(), home.holdings.gas_price_wei()
    except ChainUnreachable:
        head, price_wei = None, 0
    name, symbol = ARK_NAMES.get(site.chain_id, ("ARK", "ARK")) if mode is ChainMode.ARK else (NAMES[mode], "DEV")
    url = home.running.chain_url
    return ChainBody(
        mode=mode,
        chain_id=site.chain_id,
        chain_id_hex=hex(site.chain_id),
        name=name,
        rpc_url=url if url and (mode is not ChainMode.ARK or url in PUBLIC_NODES) else None,
        native_symbol=symbol,
        escrow=site.escrow,
        usdc=site.currency,
        usdc_decimals=USDC_DECIMALS,
        collection=site.collection,
        confirmations=home.settings.confirmations if mode is ChainMode.ARK else 1,
        demo=mode is not ChainMode.ARK,
        takes_transactions=_takes_transactions(home),
        answers=head is not None,
        block=head.block if head is not None else None,
        block_at=iso(head.at_ms) if head is not None and head.at_ms else None,
        gas_price=hex(price_wei) if head is not None and price_wei else None,
    )


@router.get(
    "/wallet/approvals",
    operation_id="getApprovals",
    summary="What the wallet has allowed, and what to sign or send to allow more",
    responses=problems(404, 502),
)
def get_approvals(
    home: HomeDep,
    principal: SignedIn,
    amount: Annotated[
        UsdcIn | None, Query(description="USDC that the escrow may take, in all deals together", examples=[50])
    ] = None,
    nftId: Annotated[NftId | None, Query()] = None,  # noqa: N803 - the name on the wire
) -> ApprovalsBody:
    """For the wallet that is signed in. A buyer allows an amount, a seller an item; a permit costs no fee."""
    money = home.holdings.money(principal.wallet)
    return ApprovalsBody(
        wallet_address=principal.wallet,
        escrow=home.site.escrow,
        money=_money(money),
        allowance=None if amount is None else _allowance(home, principal.wallet, amount, money),
        item=None if nftId is None else _item(home, principal.wallet, nftId),
    )


@router.post(
    "/wallet/permit",
    operation_id="permitTransaction",
    summary="Make a signed permit a transaction",
    responses=problems(502),
)
def permit_transaction(home: HomeDep, principal: SignedIn, body: PermitAsked) -> TransactionAnswer:
    """The permit must be the wallet's next one, for this amount. Anybody may send the transaction and pay its fee."""
    permit = _permit(home, principal.wallet, body.amount)
    if permit is None:
        raise Problem(
            409, "the currency of this chain takes no permits", hint="send the transaction of GET /wallet/approvals"
        )
    signature = permit.checked(bytes.fromhex(body.signature.removeprefix("0x")))
    if signature is None:
        raise Problem(
            422,
            "the signature is not this wallet's over its next permit for this amount",
            code="signature_invalid",
            hint="sign the typed data of GET /wallet/approvals anew; a contract's wallet sends the transaction instead",
        )
    request = _requests(home).permit(principal.wallet, body.amount, signature)
    return TransactionAnswer(transaction=transaction_body(request, None))


@router.get(
    "/wallet/cancellation",
    operation_id="getCancellation",
    summary="What to send to make signed mandates worthless",
    responses=problems(502),
)
def get_cancellation(
    home: HomeDep,
    principal: SignedIn,
    mandateHash: Annotated[MandateHash | None, Query()] = None,  # noqa: N803 - the name on the wire
) -> CancellationBody:
    """It works without this service: the escrow itself refuses what the wallet has cancelled."""
    hashed = mandateHash.removeprefix("0x") if mandateHash is not None else None
    state = home.holdings.mandate_state(principal.wallet, hashed) if hashed is not None else None
    sends = _requests(home) if _takes_transactions(home) else None

    def body(request: TransactionRequest | None) -> TransactionBody | None:
        return transaction_body(request, principal.wallet) if request is not None else None

    return CancellationBody(
        mandate_hash=f"0x{hashed}" if hashed is not None else None,
        fills=state.fills if state is not None else None,
        cancelled=state.cancelled if state is not None else None,
        counter=str(home.holdings.counter(principal.wallet)),
        cancel=body(sends.cancel(hashed) if sends is not None and hashed is not None else None),
        cancel_all=body(sends.cancel_all() if sends is not None else None),
        revoke=body(sends.allow(0) if sends is not None else None),
    )


@router.post(
    "/wallet/fund",
    operation_id="fundWallet",
    summary="Get the demo's money, an item and native coin",
    status_code=201,
    responses=problems(502),
)
def fund_wallet(request: Request, home: HomeDep, principal: SignedIn, id: CommandId) -> FundedBody:
    """On demo chains, once a wallet. On a public one nobody can be given money."""
    address = home.limits.hidden(client_of(request.scope, home.settings.trusted_proxies))
    home.limits.require(f"funds:{address}", FUNDS_PER_HOUR, HOUR_S, "wallets funded")
    answer = home.asking.ask(FundWallet(id=id, wallet=principal.wallet))
    return FundedBody(
        wallet_address=principal.wallet,
        nft_id=nft_id(home.site.collection, answer.token_id),
        collection=home.site.collection,
        token_id=answer.token_id,
        money=_money(home.holdings.money(principal.wallet)),
    )


def _takes_transactions(home: Home) -> bool:
    return home.chain_mode is not ChainMode.LEDGER


def _requests(home: Home) -> Requests:
    return Requests(home.site, home.holdings.gas_price_wei())


def _money(money: Money) -> MoneyBody:
    return MoneyBody(
        **chain_amount("balance", money.balance_usdc_micros), **chain_amount("allowance", money.allowance_usdc_micros)
    )


def _permit(home: Home, wallet: str, usdc_micros: int) -> Permit | None:
    token = home.holdings.permit_token()
    if token is None:
        return None
    return Permit(token, wallet, home.site.escrow, usdc_micros, home.holdings.permit_nonce(wallet))


def _allowance(home: Home, wallet: str, usdc_micros: int, money: Money) -> AllowanceBody:
    permit = _permit(home, wallet, usdc_micros)
    sends = _takes_transactions(home)
    return AllowanceBody(
        **chain_amount("amount", usdc_micros),
        allowed=money.allowance_usdc_micros >= usdc_micros,
        funded=money.balance_usdc_micros >= usdc_micros,
        transaction=transaction_body(_requests(home).allow(usdc_micros), wallet) if sends else None,
        permit=PermitBody(typed_data=permit.typed_data(), nonce=str(permit.nonce)) if permit is not None else None,
    )


def _item(home: Home, wallet: str, id_: str) -> ItemApprovalBody:
    row = find_item(home, id_)
    owned = home.holdings.owner_of(row.collection, row.token_id) == wallet
    request = _requests(home).approve_item(row.collection, row.token_id) if _takes_transactions(home) else None
    return ItemApprovalBody(
        nft_id=row.nft_id,
        owned=owned,
        approved=home.holdings.is_approved(row.collection, row.token_id, wallet),
        transaction=transaction_body(request, wallet) if request is not None else None,
    )
