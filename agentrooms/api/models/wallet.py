"""The chain, and what a person's wallet is asked to sign or send."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from agentrooms.api.items import NFT
from agentrooms.api.models.auth import SIGNATURE, WALLET
from agentrooms.api.models.base import Asked, Time, Usdc, UsdcIn, Wire, usdc
from agentrooms.api.models.nfts import COLLECTION
from agentrooms.chain.evm.requests import TransactionRequest
from agentrooms.chain.spec import ChainMode

ESCROW = "0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0"  # in examples
HASH = "0x" + "5a" * 32
TYPED_DATA: dict[str, Any] = {
    "types": {"EIP712Domain": [{"name": "name", "type": "string"}], "Permit": [{"name": "value", "type": "uint256"}]},
    "primaryType": "Permit",
    "domain": {"name": "Test USD Coin"},
    "message": {"value": "50000000"},
}
EXACT_MAX = 1 << 53  # micro-USDC from which on a JSON number is not exact

Address = Annotated[str, Field(description="An address in lower case", examples=[ESCROW])]
Whole = Annotated[
    str, Field(description="A whole number of up to 256 bits", pattern="^[0-9]{1,78}$", examples=["48250000"])
]
Hex = Annotated[str, Field(pattern="^0x[0-9a-f]+$", examples=["0x2e24"])]
MandateHash = Annotated[str, Field(pattern="^(0x)?[0-9a-f]{64}$", description="A mandate's hash", examples=[HASH])]


class TransactionBody(Wire):
    """A transaction as `eth_sendTransaction` takes it; the wallet adds its nonce."""

    from_: str | None = Field(
        alias="from", description="Who must send it; null: anybody may", examples=[WALLET.lower()]
    )
    to: Address
    data: Hex = Field(examples=["0x095ea7b3"])
    value: Hex = Field(description="Native coin: none", examples=["0x0"])
    chain_id: Hex
    gas: Hex = Field(examples=["0x186a0"])
    gas_price: Hex = Field(examples=["0x12a05f200"])
    type: Hex = Field(description="A legacy transaction (EIP-155)", examples=["0x0"])


class PermitBody(Wire):
    """A permit to sign (`eth_signTypedData_v4`) instead of sending a transaction; then POST /wallet/permit."""

    typed_data: dict[str, Any] = Field(examples=[TYPED_DATA])
    nonce: Whole = Field(description="The wallet's next permit; a signature holds for this one", examples=["0"])


class MoneyBody(Wire):
    """A wallet's USDC, and what the escrow may take of it."""

    balance: float | None = Field(description="USDC, to the micro; null when no JSON number holds it", examples=[48.25])
    balance_micros: Whole
    allowance: float | None = Field(description="The same; null when no JSON number holds it", examples=[48.25])
    allowance_micros: Whole


class AllowanceBody(Wire):
    """What lets the escrow take the amount that was asked about."""

    amount: Usdc
    amount_micros: Whole
    allowed: bool = Field(description="The escrow may take as much already", examples=[False])
    funded: bool = Field(description="The wallet holds as much", examples=[True])
    transaction: TransactionBody | None = Field(description="Null on a ledger, where nobody sends transactions")
    permit: PermitBody | None = Field(description="Null where the currency takes none")


class ItemApprovalBody(Wire):
    """What lets the escrow move the item that was asked about."""

    nft_id: str = Field(examples=[NFT])
    owned: bool = Field(description="The wallet owns it now", examples=[True])
    approved: bool = Field(description="The escrow may move it already", examples=[False])
    transaction: TransactionBody | None = Field(description="Null on a ledger, where nobody sends transactions")


class ApprovalsBody(Wire):
    """What a wallet has allowed, and what it may sign to allow more. Amounts are its own choice, never a limit."""

    wallet_address: Address = Field(examples=[WALLET.lower()])
    escrow: Address
    money: MoneyBody
    allowance: AllowanceBody | None = Field(description="Null without `amount`")
    item: ItemApprovalBody | None = Field(description="Null without `nftId`")


class PermitAsked(Asked):
    """A signed permit."""

    amount: UsdcIn = Field(examples=["50.00"])
    signature: str = Field(pattern="^(0x)?[0-9a-fA-F]{130}$", description="65 bytes in hex", examples=[SIGNATURE])


class TransactionAnswer(Wire):
    """One transaction."""

    transaction: TransactionBody


class CancellationBody(Wire):
    """What makes signed mandates worthless. Agents are removed by DELETE /agents/{id}; this holds against anybody."""

    mandate_hash: str | None = Field(examples=[HASH])
    fills: int | None = Field(description="Deals that the mandate was used for", examples=[0])
    cancelled: bool | None = Field(description="It is worthless already", examples=[False])
    counter: Whole = Field(
        description="The wallet's in the escrow; mandates with another count no more", examples=["0"]
    )
    cancel: TransactionBody | None = Field(description="Ends one mandate; null without `mandateHash`")
    cancel_all: TransactionBody | None = Field(description="Ends all mandates so far; null on a ledger")
    revoke: TransactionBody | None = Field(description="Takes the whole allowance back; null on a ledger")


class FundedBody(Wire):
    """What the wallet was given. It allows the escrow to take it by GET /wallet/approvals."""

    wallet_address: Address = Field(examples=[WALLET.lower()])
    nft_id: str = Field(examples=[NFT])
    collection: str = Field(examples=[COLLECTION])
    token_id: str = Field(examples=["1234"])
    money: MoneyBody


class ChainBody(Wire):
    """The chain that deals settle on."""

    mode: ChainMode
    chain_id: int = Field(examples=[11_812])
    chain_id_hex: Hex
    name: str = Field(examples=["ARK test network"])
    rpc_url: str | None = Field(description="For a wallet that does not know the chain", examples=[None])
    native_symbol: str = Field(examples=["DARK"])
    escrow: Address
    usdc: Address
    usdc_decimals: int = Field(examples=[6])
    collection: Address = Field(description="Of rooms that name none")
    confirmations: int = Field(description="Blocks after which a transaction is final", examples=[3])
    demo: bool = Field(description="POST /wallet/fund gives money and an item", examples=[True])
    takes_transactions: bool = Field(description="Wallets allow and cancel on it; a ledger has none", examples=[True])
    answers: bool = Field(description="Its node answers now", examples=[True])
    block: int | None = Field(description="The newest; null without an answer", examples=[118])
    block_at: Time | None
    gas_price: Hex | None = Field(description="What a unit of gas costs", examples=["0x12a05f200"])


def transaction_body(request: TransactionRequest, sender: str | None) -> TransactionBody:
    """Returns a transaction as it goes out."""
    fields = {
        "from": sender,
        "to": request.to,
        "data": request.data,
        "value": "0x0",
        "chainId": hex(request.chain_id),
        "gas": hex(request.gas),
        "gasPrice": hex(request.gas_price_wei),
        "type": "0x0",
    }
    return TransactionBody.model_validate(fields)


def chain_amount(name: str, micros: int) -> dict[str, Any]:
    """Returns an amount on the chain for both fields; a number only where it is exact."""
    return {name: usdc(micros) if micros < EXACT_MAX else None, f"{name}_micros": str(micros)}
