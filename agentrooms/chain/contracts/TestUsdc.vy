# pragma version 0.4.3
# pragma evm-version shanghai
# pragma optimize codesize
"""
@title Test USD Coin
@license Apache-2.0
@notice ERC-20 of 6 decimals with EIP-2612 permits, for chains without Circle's. Its owner mints at will.
        A permit's deadline is in the chain's own unit of block.timestamp; max_value(uint256) never passes.
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    amount: uint256

name: public(constant(String[13])) = "Test USD Coin"
symbol: public(constant(String[4])) = "USDC"
version: public(constant(String[1])) = "1"
decimals: public(constant(uint8)) = 6

DOMAIN_TYPEHASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME_HASH: constant(bytes32) = keccak256("Test USD Coin")
VERSION_HASH: constant(bytes32) = keccak256("1")
PERMIT_TYPEHASH: constant(bytes32) = keccak256(
    "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

owner: public(immutable(address))
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
nonces: public(HashMap[address, uint256])


@deploy
def __init__():
    owner = msg.sender


@external
def transfer(to: address, amount: uint256) -> bool:
    self._move(msg.sender, to, amount)
    return True


@external
def transferFrom(sender: address, to: address, amount: uint256) -> bool:
    """
    @notice Moves what the holder allowed the caller; an allowance of max_value(uint256) is never used up.
    """
    allowed: uint256 = self.allowance[sender][msg.sender]
    if allowed != max_value(uint256):
        assert allowed >= amount, "allowance too low"
        self._allow(sender, msg.sender, allowed - amount)
    self._move(sender, to, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    self._allow(msg.sender, spender, amount)
    return True


@external
def permit(holder: address, spender: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    """
    @notice Sets an allowance by the holder's signature. Anyone may send it, and may so come before another:
            who sends a permit first looks at the allowance when it fails.
    """
    assert block.timestamp <= deadline, "permit expired"
    assert convert(s, uint256) <= HALF_ORDER and (v == 27 or v == 28), "signature not canonical"
    hashed: bytes32 = keccak256(abi_encode(PERMIT_TYPEHASH, holder, spender, amount, self.nonces[holder], deadline))
    signer: address = ecrecover(keccak256(concat(b"\x19\x01", self._domain(), hashed)), v, r, s)
    assert signer != empty(address) and signer == holder, "not signed by the holder"
    self.nonces[holder] += 1
    self._allow(holder, spender, amount)


@external
def mint(to: address, amount: uint256):
    assert msg.sender == owner, "caller is not the owner"
    assert to != empty(address), "receiver is zero"
    self.totalSupply += amount
    self.balanceOf[to] += amount
    log Transfer(sender=empty(address), receiver=to, amount=amount)


@external
@view
def DOMAIN_SEPARATOR() -> bytes32:
    return self._domain()


@internal
@view
def _domain() -> bytes32:
    return keccak256(abi_encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, chain.id, self))


@internal
def _allow(holder: address, spender: address, amount: uint256):
    self.allowance[holder][spender] = amount
    log Approval(owner=holder, spender=spender, amount=amount)


@internal
def _move(sender: address, to: address, amount: uint256):
    assert to != empty(address), "receiver is zero"
    assert self.balanceOf[sender] >= amount, "balance too low"
    self.balanceOf[sender] -= amount
    self.balanceOf[to] += amount
    log Transfer(sender=sender, receiver=to, amount=amount)
