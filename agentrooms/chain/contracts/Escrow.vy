# pragma version 0.4.3
# pragma evm-version shanghai
# pragma optimize gas
"""
@title Agentrooms escrow
@license Apache-2.0
@notice Swaps one NFT for one price, atomically and without custody, inside two signed mandates.
        Anyone may send `execute`. A deal needs the mandates of both principals, both agents' signatures
        over the deal, and attestations of more than two thirds of the current verifiers.
        The owner may pause and rotate the verifiers; nothing the owner does can move an asset.
        All signed times are milliseconds, whatever the chain's own unit is.
        A refusal reverts with Refused(uint256 reason); `check` returns the same number beforehand.
"""

struct Trait:
    key: bytes32
    value: bytes32

struct Mandate:
    principal: address
    role: uint8
    agent: address
    collection: address
    items: bytes32
    traits: DynArray[Trait, 16]
    currency: address
    minPrice: uint256
    maxPrice: uint256
    notBefore: uint256
    expiry: uint256
    fills: uint256
    counter: uint256
    details: bytes32
    salt: bytes32

struct Deal:
    dealId: bytes32
    sellerMandate: bytes32
    buyerMandate: bytes32
    collection: address
    tokenId: uint256
    currency: address
    price: uint256
    deadline: uint256
    details: bytes32

struct Order:
    mandate: Mandate
    signature: Bytes[1024]
    agentSignature: Bytes[65]
    proof: DynArray[bytes32, 16]

struct Facts:
    owner: address
    approved: bool
    balance: uint256
    allowance: uint256
    executedBlock: uint256
    sellerFills: uint256
    buyerFills: uint256
    sellerCancelled: bool
    buyerCancelled: bool
    sellerContractSigned: bool
    buyerContractSigned: bool
    paused: bool
    setVersion: uint256
    traitValues: DynArray[bytes32, 16]
    blockNumber: uint256
    nowMs: uint256

event Executed:
    dealId: indexed(bytes32)
    dealHash: indexed(bytes32)
    seller: indexed(address)
    buyer: address
    collection: address
    tokenId: uint256
    currency: address
    price: uint256

event Cancelled:
    principal: indexed(address)
    mandateHash: indexed(bytes32)

event AllCancelled:
    principal: indexed(address)
    counter: uint256

event Rotated:
    setVersion: indexed(uint256)
    verifiers: address[7]

event Paused: pass

event Unpaused: pass

event OwnershipTransferStarted:
    previousOwner: indexed(address)
    newOwner: indexed(address)

event OwnershipTransferred:
    previousOwner: indexed(address)
    newOwner: indexed(address)

# --- Reasons; contracts/reasons.py gives each its name ---------------------------------------------------

PAUSED: constant(uint256) = 1
DEADLINE_PASSED: constant(uint256) = 2
DEAL_ALREADY_USED: constant(uint256) = 3
SELF_TRADE: constant(uint256) = 4
COLLECTION_IS_CURRENCY: constant(uint256) = 5
ATTESTATIONS_TOO_FEW: constant(uint256) = 6
ATTESTATION_NOT_BY_VERIFIER: constant(uint256) = 7
ATTESTATIONS_NOT_ASCENDING: constant(uint256) = 8
BALANCE_TOO_LOW: constant(uint256) = 9
ALLOWANCE_TOO_LOW: constant(uint256) = 10
SELLER_DOES_NOT_OWN_ITEM: constant(uint256) = 11
ITEM_NOT_APPROVED: constant(uint256) = 12
PAYMENT_FAILED: constant(uint256) = 13
PAYMENT_NOT_EXACT: constant(uint256) = 14
ITEM_NOT_DELIVERED: constant(uint256) = 15

# About one side's order: added to SELLER or BUYER.
SELLER: constant(uint256) = 20
BUYER: constant(uint256) = 40
SIDE_OTHER: constant(uint256) = 1
SIDE_SIGNATURE: constant(uint256) = 2
SIDE_AGENT_SIGNATURE: constant(uint256) = 3
SIDE_ROLE: constant(uint256) = 4
SIDE_COLLECTION: constant(uint256) = 5
SIDE_ITEM: constant(uint256) = 6
SIDE_TRAITS: constant(uint256) = 7
SIDE_CURRENCY: constant(uint256) = 8
SIDE_PRICE_LOW: constant(uint256) = 9
SIDE_PRICE_HIGH: constant(uint256) = 10
SIDE_NOT_STARTED: constant(uint256) = 11
SIDE_EXPIRED: constant(uint256) = 12
SIDE_COUNTER: constant(uint256) = 13
SIDE_CANCELLED: constant(uint256) = 14
SIDE_SPENT: constant(uint256) = 15

# --- What is hashed and signed ---------------------------------------------------------------------------

DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME_HASH: constant(bytes32) = keccak256("AgentroomsEscrow")
VERSION_HASH: constant(bytes32) = keccak256("1")
MANDATE_TYPEHASH: constant(bytes32) = keccak256(
    "Mandate(address principal,uint8 role,address agent,address collection,bytes32 items,Trait[] traits,address currency,uint256 minPrice,uint256 maxPrice,uint256 notBefore,uint256 expiry,uint256 fills,uint256 counter,bytes32 details,bytes32 salt)Trait(bytes32 key,bytes32 value)"
)
TRAIT_TYPEHASH: constant(bytes32) = keccak256("Trait(bytes32 key,bytes32 value)")
DEAL_TYPEHASH: constant(bytes32) = keccak256(
    "Deal(bytes32 dealId,bytes32 sellerMandate,bytes32 buyerMandate,address collection,uint256 tokenId,address currency,uint256 price,uint256 deadline,bytes32 details)"
)
ATTESTATION_TYPEHASH: constant(bytes32) = keccak256("Attestation(bytes32 deal,uint256 setVersion)")

ROLE_SELLER: constant(uint8) = 0
ROLE_BUYER: constant(uint8) = 1
VERIFIERS: constant(uint256) = 7
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168
CONTRACT_SIGNED: constant(bytes32) = 0x1626ba7e00000000000000000000000000000000000000000000000000000000

# Other people's code is asked with bounded gas and a bounded answer, so that it can waste no more than this.
SIGNATURE_GAS: constant(uint256) = 300_000
VIEW_GAS: constant(uint256) = 200_000

# --- State -----------------------------------------------------------------------------------------------

msPerTick: public(immutable(uint256))
owner: public(address)
pendingOwner: public(address)
paused: public(bool)
setVersion: public(uint256)
counterOf: public(HashMap[address, uint256])
isCancelled: public(HashMap[address, HashMap[bytes32, bool]])
verifier_set: address[VERIFIERS]
executed_block: HashMap[bytes32, uint256]
fills: HashMap[bytes32, uint256]


@deploy
def __init__(_msPerTick: uint256, _verifiers: address[VERIFIERS]):
    """
    @param _msPerTick Milliseconds of one unit of block.timestamp: 1 or 1000
    @param _verifiers The first set, version 1; the deployer becomes the owner
    """
    assert _msPerTick == 1 or _msPerTick == 1000, "msPerTick is 1 or 1000"
    msPerTick = _msPerTick
    self.owner = msg.sender
    log OwnershipTransferred(previousOwner=empty(address), newOwner=msg.sender)
    self._rotate(_verifiers)


# --- Settling --------------------------------------------------------------------------------------------


@external
@nonreentrant
def execute(deal: Deal, seller: Order, buyer: Order, attestations: DynArray[Bytes[65], 7]):
    """
    @notice Settles a deal whole or reverts with Refused(reason). Anyone may call it.
    """
    self._refuse(self._reason(deal, seller, buyer, attestations))
    self.executed_block[deal.dealId] = block.number
    self.fills[deal.sellerMandate] += 1
    self.fills[deal.buyerMandate] += 1
    seller_wallet: address = seller.mandate.principal
    buyer_wallet: address = buyer.mandate.principal
    self._refuse(self._pay(deal.currency, buyer_wallet, seller_wallet, deal.price))
    self._refuse(self._deliver(deal.collection, seller_wallet, buyer_wallet, deal.tokenId))
    log Executed(
        dealId=deal.dealId,
        dealHash=self._deal_hash(deal),
        seller=seller_wallet,
        buyer=buyer_wallet,
        collection=deal.collection,
        tokenId=deal.tokenId,
        currency=deal.currency,
        price=deal.price,
    )


@external
@view
@nonreentrant
def check(deal: Deal, seller: Order, buyer: Order, attestations: DynArray[Bytes[65], 7]) -> uint256:
    """
    @notice The reason for which `execute` would refuse now; 0 when no view can name one.
    """
    return self._reason(deal, seller, buyer, attestations)


@external
@view
@nonreentrant
def facts(
    deal: Deal,
    seller: Mandate,
    sellerSignature: Bytes[1024],
    buyer: Mandate,
    buyerSignature: Bytes[1024],
    traitKeys: DynArray[bytes32, 16],
) -> Facts:
    """
    @notice All that a verifier asks of the chain about one deal, of one block. Judges nothing itself.
    """
    domain: bytes32 = self._domain()
    seller_hash: bytes32 = self._mandate_hash(seller)
    buyer_hash: bytes32 = self._mandate_hash(buyer)
    trait_values: DynArray[bytes32, 16] = []
    for key: bytes32 in traitKeys:
        trait_values.append(self._trait(deal.collection, deal.tokenId, key)[1])
    owner: address = self._owner_of(deal.collection, deal.tokenId)
    return Facts(
        owner=owner,
        approved=self._approved(deal.collection, deal.tokenId, owner),
        balance=self._balance(deal.currency, buyer.principal)[1],
        allowance=self._allowance(deal.currency, buyer.principal),
        executedBlock=self.executed_block[deal.dealId],
        sellerFills=self.fills[seller_hash],
        buyerFills=self.fills[buyer_hash],
        sellerCancelled=self.isCancelled[seller.principal][seller_hash]
        or seller.counter != self.counterOf[seller.principal],
        buyerCancelled=self.isCancelled[buyer.principal][buyer_hash]
        or buyer.counter != self.counterOf[buyer.principal],
        sellerContractSigned=self._contract_signed(self._digest(domain, seller_hash), sellerSignature, seller.principal),
        buyerContractSigned=self._contract_signed(self._digest(domain, buyer_hash), buyerSignature, buyer.principal),
        paused=self.paused,
        setVersion=self.setVersion,
        traitValues=trait_values,
        blockNumber=block.number,
        nowMs=block.timestamp * msPerTick,
    )


@external
@view
@nonreentrant
def executedBlockOf(dealId: bytes32) -> uint256:
    """
    @notice The block that executed a deal, 0 while none has. Locked while a deal is half done.
    """
    return self.executed_block[dealId]


@external
@view
@nonreentrant
def fillsOf(mandateHash: bytes32) -> uint256:
    """
    @notice How many deals a mandate has settled. Locked while a deal is half done.
    """
    return self.fills[mandateHash]


@external
@view
def verifiers() -> address[VERIFIERS]:
    return self.verifier_set


@external
@view
def domainSeparator() -> bytes32:
    return self._domain()


# --- A principal's own brakes ----------------------------------------------------------------------------


@external
def cancel(mandateHash: bytes32):
    """
    @notice Voids one of the caller's own mandates, for ever.
    """
    self.isCancelled[msg.sender][mandateHash] = True
    log Cancelled(principal=msg.sender, mandateHash=mandateHash)


@external
def cancelAll():
    """
    @notice Voids all mandates the caller has signed so far. The counter jumps to where nobody could have
            known, so no mandate can have been signed for it in advance.
    """
    jump: uint256 = (convert(blockhash(block.number - 1), uint256) >> 128) + 1
    self.counterOf[msg.sender] += jump
    log AllCancelled(principal=msg.sender, counter=self.counterOf[msg.sender])


# --- The owner's two powers ------------------------------------------------------------------------------


@external
def rotate(_verifiers: address[VERIFIERS]):
    """
    @notice Registers the next set of verifiers; attestations of earlier sets are void from now on.
    """
    self._only_owner()
    self._rotate(_verifiers)


@external
def pause():
    self._only_owner()
    self.paused = True
    log Paused()


@external
def unpause():
    self._only_owner()
    self.paused = False
    log Unpaused()


@external
def transferOwnership(newOwner: address):
    """
    @notice Offers ownership; it moves when the new owner accepts. The zero address withdraws an offer.
    """
    self._only_owner()
    self.pendingOwner = newOwner
    log OwnershipTransferStarted(previousOwner=self.owner, newOwner=newOwner)


@external
def acceptOwnership():
    assert msg.sender == self.pendingOwner, "caller was not offered ownership"
    log OwnershipTransferred(previousOwner=self.owner, newOwner=msg.sender)
    self.owner = msg.sender
    self.pendingOwner = empty(address)


@internal
def _only_owner():
    assert msg.sender == self.owner, "caller is not the owner"


@internal
def _rotate(_verifiers: address[VERIFIERS]):
    for i: uint256 in range(VERIFIERS):
        assert _verifiers[i] != empty(address), "a verifier is zero"
        for j: uint256 in range(i, bound=VERIFIERS):
            assert _verifiers[i] != _verifiers[j], "a verifier stands twice"
    self.verifier_set = _verifiers
    self.setVersion += 1
    log Rotated(setVersion=self.setVersion, verifiers=_verifiers)


# --- Judging a deal --------------------------------------------------------------------------------------


@internal
@pure
def _refuse(reason: uint256):
    if reason != 0:
        raw_revert(abi_encode(reason, method_id=method_id("Refused(uint256)")))


@internal
@view
def _reason(deal: Deal, seller: Order, buyer: Order, attestations: DynArray[Bytes[65], 7]) -> uint256:
    now_ms: uint256 = block.timestamp * msPerTick
    if self.paused:
        return PAUSED
    if now_ms > deal.deadline:
        return DEADLINE_PASSED
    if self.executed_block[deal.dealId] != 0:
        return DEAL_ALREADY_USED
    if self._mandate_hash(seller.mandate) != deal.sellerMandate:
        return SELLER + SIDE_OTHER
    if self._mandate_hash(buyer.mandate) != deal.buyerMandate:
        return BUYER + SIDE_OTHER
    domain: bytes32 = self._domain()
    if not self._principal_signed(self._digest(domain, deal.sellerMandate), seller.signature, seller.mandate.principal):
        return SELLER + SIDE_SIGNATURE
    if not self._principal_signed(self._digest(domain, deal.buyerMandate), buyer.signature, buyer.mandate.principal):
        return BUYER + SIDE_SIGNATURE
    deal_hash: bytes32 = self._deal_hash(deal)
    signed: bytes32 = self._digest(domain, deal_hash)
    if not self._key_signed(signed, seller.agentSignature, seller.mandate.agent):
        return SELLER + SIDE_AGENT_SIGNATURE
    if not self._key_signed(signed, buyer.agentSignature, buyer.mandate.agent):
        return BUYER + SIDE_AGENT_SIGNATURE
    breach: uint256 = self._breach(deal, deal.sellerMandate, seller.mandate, seller.proof, ROLE_SELLER, now_ms)
    if breach != 0:
        return SELLER + breach
    breach = self._breach(deal, deal.buyerMandate, buyer.mandate, buyer.proof, ROLE_BUYER, now_ms)
    if breach != 0:
        return BUYER + breach
    if seller.mandate.principal == buyer.mandate.principal:
        return SELF_TRADE
    if deal.collection == deal.currency:
        return COLLECTION_IS_CURRENCY
    short: uint256 = self._attested(domain, deal_hash, attestations)
    if short != 0:
        return short
    return self._unready(deal, seller.mandate.principal, buyer.mandate.principal)


@internal
@view
def _breach(
    deal: Deal, mandate_hash: bytes32, mandate: Mandate, proof: DynArray[bytes32, 16], role: uint8, now_ms: uint256
) -> uint256:
    """
    @dev The first limit of a mandate that the deal breaks, 0 when none.
    """
    if mandate.role != role:
        return SIDE_ROLE
    if mandate.collection != deal.collection:
        return SIDE_COLLECTION
    if mandate.items != empty(bytes32) and self._climb(deal.tokenId, proof) != mandate.items:
        return SIDE_ITEM
    for trait: Trait in mandate.traits:
        known: bool = False
        found: bytes32 = empty(bytes32)
        known, found = self._trait(deal.collection, deal.tokenId, trait.key)
        if not known or found != trait.value:
            return SIDE_TRAITS
    if mandate.currency != deal.currency:
        return SIDE_CURRENCY
    if deal.price < mandate.minPrice:
        return SIDE_PRICE_LOW
    if deal.price > mandate.maxPrice:
        return SIDE_PRICE_HIGH
    if now_ms < mandate.notBefore:
        return SIDE_NOT_STARTED
    if now_ms >= mandate.expiry:
        return SIDE_EXPIRED
    if mandate.counter != self.counterOf[mandate.principal]:
        return SIDE_COUNTER
    if self.isCancelled[mandate.principal][mandate_hash]:
        return SIDE_CANCELLED
    if self.fills[mandate_hash] >= mandate.fills:
        return SIDE_SPENT
    return 0


@internal
@view
def _attested(domain: bytes32, deal_hash: bytes32, attestations: DynArray[Bytes[65], 7]) -> uint256:
    """
    @dev Ascending signers are distinct signers; the set's version is part of what they sign.
    """
    if 3 * len(attestations) <= 2 * VERIFIERS:
        return ATTESTATIONS_TOO_FEW
    signed: bytes32 = self._digest(
        domain, keccak256(abi_encode(ATTESTATION_TYPEHASH, deal_hash, self.setVersion))
    )
    registered: address[VERIFIERS] = self.verifier_set
    last: uint256 = 0
    for attestation: Bytes[65] in attestations:
        signer: address = self._recovered(signed, attestation)
        if signer not in registered:  # no entry is zero, so neither is a signer found in it
            return ATTESTATION_NOT_BY_VERIFIER
        if convert(signer, uint256) <= last:
            return ATTESTATIONS_NOT_ASCENDING
        last = convert(signer, uint256)
    return 0


@internal
@view
def _unready(deal: Deal, seller: address, buyer: address) -> uint256:
    """
    @dev What currency and collection already say against the swap. Nothing rests on their honesty.
    """
    answered: bool = False
    balance: uint256 = 0
    answered, balance = self._balance(deal.currency, buyer)
    if not answered or balance < deal.price:
        return BALANCE_TOO_LOW
    if self._allowance(deal.currency, buyer) < deal.price:
        return ALLOWANCE_TOO_LOW
    if self._owner_of(deal.collection, deal.tokenId) != seller:
        return SELLER_DOES_NOT_OWN_ITEM
    if not self._approved(deal.collection, deal.tokenId, seller):
        return ITEM_NOT_APPROVED
    return 0


# --- Moving the two assets -------------------------------------------------------------------------------


@internal
def _pay(currency: address, buyer: address, seller: address, price: uint256) -> uint256:
    """
    @dev Takes tokens that answer nothing, as some do; only balances that moved by exactly the price count.
    """
    answered: bool[4] = [False, False, False, False]
    held: uint256[4] = [0, 0, 0, 0]
    answered[0], held[0] = self._balance(currency, buyer)
    answered[1], held[1] = self._balance(currency, seller)
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        currency,
        abi_encode(buyer, seller, price, method_id=method_id("transferFrom(address,address,uint256)")),
        max_outsize=32,
        revert_on_failure=False,
    )
    if not success or (len(answer) != 0 and not self._is_true(answer)):
        return PAYMENT_FAILED
    answered[2], held[2] = self._balance(currency, buyer)
    answered[3], held[3] = self._balance(currency, seller)
    for answer_came: bool in answered:
        if not answer_came:
            return PAYMENT_NOT_EXACT
    if held[2] > held[0] or held[0] - held[2] != price or held[3] < held[1] or held[3] - held[1] != price:
        return PAYMENT_NOT_EXACT
    return 0


@internal
def _deliver(collection: address, seller: address, buyer: address, token_id: uint256) -> uint256:
    """
    @dev transferFrom, not safeTransferFrom: the buyer's code gets no say in the middle of a swap.
    """
    success: bool = raw_call(
        collection,
        abi_encode(seller, buyer, token_id, method_id=method_id("transferFrom(address,address,uint256)")),
        revert_on_failure=False,
    )
    if not success or self._owner_of(collection, token_id) != buyer:
        return ITEM_NOT_DELIVERED
    return 0


# --- Questions to other contracts ------------------------------------------------------------------------


@internal
@view
def _ask(target: address, question: Bytes[68]) -> (bool, bytes32):
    """
    @dev One word from a view of a contract that may be hostile; (False, 0) for failure or a short answer.
    """
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        target, question, max_outsize=32, gas=VIEW_GAS, is_static_call=True, revert_on_failure=False
    )
    if not success or len(answer) != 32:
        return False, empty(bytes32)
    return True, convert(answer, bytes32)


@internal
@pure
def _is_true(answer: Bytes[32]) -> bool:
    return len(answer) == 32 and convert(answer, uint256) == 1


@internal
@view
def _trait(collection: address, token_id: uint256, key: bytes32) -> (bool, bytes32):
    return self._ask(collection, abi_encode(token_id, key, method_id=method_id("getTraitValue(uint256,bytes32)")))


@internal
@view
def _owner_of(collection: address, token_id: uint256) -> address:
    answered: bool = False
    word: bytes32 = empty(bytes32)
    answered, word = self._ask(collection, abi_encode(token_id, method_id=method_id("ownerOf(uint256)")))
    if convert(word, uint256) > convert(max_value(uint160), uint256):  # no address, and no reason to fail
        return empty(address)
    return convert(word, address)


@internal
@view
def _approved(collection: address, token_id: uint256, owner: address) -> bool:
    answered: bool = False
    word: bytes32 = empty(bytes32)
    if owner == empty(address):
        return False
    answered, word = self._ask(collection, abi_encode(token_id, method_id=method_id("getApproved(uint256)")))
    if word == convert(self, bytes32):
        return True
    answered, word = self._ask(
        collection, abi_encode(owner, self, method_id=method_id("isApprovedForAll(address,address)"))
    )
    return convert(word, uint256) == 1


@internal
@view
def _balance(currency: address, holder: address) -> (bool, uint256):
    answered: bool = False
    word: bytes32 = empty(bytes32)
    answered, word = self._ask(currency, abi_encode(holder, method_id=method_id("balanceOf(address)")))
    return answered, convert(word, uint256)


@internal
@view
def _allowance(currency: address, holder: address) -> uint256:
    return convert(
        self._ask(currency, abi_encode(holder, self, method_id=method_id("allowance(address,address)")))[1], uint256
    )


# --- Hashes and signatures -------------------------------------------------------------------------------


@internal
@view
def _domain() -> bytes32:
    """
    @dev Computed anew each time, so that a fork with another chain id has another domain.
    """
    return keccak256(abi_encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, chain.id, self))


@internal
@pure
def _digest(domain: bytes32, struct_hash: bytes32) -> bytes32:
    return keccak256(concat(b"\x19\x01", domain, struct_hash))


@internal
@pure
def _mandate_hash(mandate: Mandate) -> bytes32:
    hashes: DynArray[bytes32, 16] = []
    for trait: Trait in mandate.traits:
        hashes.append(keccak256(abi_encode(TRAIT_TYPEHASH, trait.key, trait.value)))
    # The encoding of a list is its offset, its length, then the words that EIP-712 hashes.
    traits: bytes32 = keccak256(slice(abi_encode(hashes), 64, 32 * len(hashes)))
    return keccak256(
        abi_encode(
            MANDATE_TYPEHASH,
            mandate.principal,
            mandate.role,
            mandate.agent,
            mandate.collection,
            mandate.items,
            traits,
            mandate.currency,
            mandate.minPrice,
            mandate.maxPrice,
            mandate.notBefore,
            mandate.expiry,
            mandate.fills,
            mandate.counter,
            mandate.details,
            mandate.salt,
        )
    )


@internal
@pure
def _deal_hash(deal: Deal) -> bytes32:
    return keccak256(abi_encode(DEAL_TYPEHASH, deal))


@internal
@pure
def _climb(token_id: uint256, proof: DynArray[bytes32, 16]) -> bytes32:
    """
    @dev From a token id's leaf to the root; leaves are hashed twice, so that no inner node passes for one.
    """
    node: bytes32 = keccak256(abi_encode(keccak256(abi_encode(token_id))))
    for sibling: bytes32 in proof:
        if convert(node, uint256) < convert(sibling, uint256):
            node = keccak256(concat(node, sibling))
        else:
            node = keccak256(concat(sibling, node))
    return node


@internal
@view
def _principal_signed(digest: bytes32, signature: Bytes[1024], principal: address) -> bool:
    """
    @dev A key first: since EIP-7702 an account with code may still be a person with a key.
    """
    if len(signature) == 65 and self._key_signed(digest, slice(signature, 0, 65), principal):
        return True
    return self._contract_signed(digest, signature, principal)


@internal
@view
def _contract_signed(digest: bytes32, signature: Bytes[1024], principal: address) -> bool:
    """
    @dev ERC-1271, of an account with code.
    """
    if not principal.is_contract:
        return False
    success: bool = False
    answer: Bytes[32] = b""
    success, answer = raw_call(
        principal,
        abi_encode(digest, signature, method_id=method_id("isValidSignature(bytes32,bytes)")),
        max_outsize=32,
        gas=SIGNATURE_GAS,
        is_static_call=True,
        revert_on_failure=False,
    )
    return success and len(answer) == 32 and convert(answer, bytes32) == CONTRACT_SIGNED


@internal
@pure
def _key_signed(digest: bytes32, signature: Bytes[65], signer: address) -> bool:
    return signer != empty(address) and self._recovered(digest, signature) == signer


@internal
@pure
def _recovered(digest: bytes32, signature: Bytes[65]) -> address:
    """
    @dev The signer of a signature r, s, v, or zero. Each signature has one spelling: s is low, v 27 or 28.
    """
    if len(signature) != 65:
        return empty(address)
    s: uint256 = convert(slice(signature, 32, 32), uint256)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    if s > HALF_ORDER or (v != 27 and v != 28):
        return empty(address)
    return ecrecover(digest, v, convert(slice(signature, 0, 32), uint256), s)
