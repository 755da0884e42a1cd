# pragma version 0.4.3
# pragma evm-version shanghai
"""
@title A contract that signs (ERC-1271), or plays a trick. It cannot receive NFTs by safeTransferFrom.
"""

HONEST: constant(uint256) = 0
BURNS_GAS: constant(uint256) = 1
RETURN_BOMB: constant(uint256) = 2  # that begins with the right answer
ANSWERS_TRUE: constant(uint256) = 3
ANSWERS_SHORT: constant(uint256) = 4
REVERT_BOMB: constant(uint256) = 5

trick: uint256
accepted: HashMap[bytes32, bool]


@deploy
def __init__(_trick: uint256):
    self.trick = _trick


@external
def accept(digest: bytes32, accepted: bool):
    self.accepted[digest] = accepted


@external
def act(target: address, data: Bytes[1024]):
    raw_call(target, data)


@external
@view
@raw_return
def isValidSignature(digest: bytes32, signature: Bytes[1024]) -> Bytes[15_000]:
    if self.trick == BURNS_GAS:
        for i: uint256 in range(1_000_000):
            assert not self.accepted[convert(i, bytes32)]
    magic: bytes32 = 0x1626ba7e00000000000000000000000000000000000000000000000000000000
    if self.trick == RETURN_BOMB or self.trick == REVERT_BOMB:
        words: DynArray[bytes32, 500] = []
        for i: uint256 in range(500):
            words.append(magic)
        if self.trick == REVERT_BOMB:
            raw_revert(slice(abi_encode(words), 64, 15_000))
        return slice(abi_encode(words), 64, 15_000)
    if self.trick == ANSWERS_TRUE:
        return abi_encode(True)
    if self.trick == ANSWERS_SHORT:
        return slice(magic, 0, 4)
    return abi_encode(magic) if self.accepted[digest] else abi_encode(empty(bytes32))
